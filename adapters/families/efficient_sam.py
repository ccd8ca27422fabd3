"""EfficientSAM (arXiv 2312.00863): a plain ViT, a decoder of its own, and a geometry of its own.

The image is stretched to 1024 x 1024, so nothing is padded, and a point is scaled along each axis for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.adapters.base import Capabilities, Prepared, Prompts, Segmenter
from sambench.adapters.families.sam import SamSegmenter, with_weights
from sambench.adapters.modules.efficient_decoder import NOWHERE, SLOTS, MaskDecoder, PromptEncoder
from sambench.adapters.modules.plain_vit import PlainViT
from sambench.adapters.weights.resolve import resolve
from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.evsam.geometry import PIXEL_MEAN, PIXEL_STD
from sambench.evsam.prompt_encoder import BOTTOM_RIGHT, PROMPT_FRAME, TOP_LEFT
from sambench.evsam.size import Size
from sambench.evsam.transformer import ImageTokens

DEPTH = 12  # blocks of either encoder (official ``build_efficient_sam.py``)


@dataclass(frozen=True)
class Variant:
    """What tells one EfficientSAM from another (same file)."""

    dim: int
    heads: int


VARIANTS = {
    "efficient_sam_ti": Variant(dim=192, heads=3),
    "efficient_sam_s": Variant(dim=384, heads=6),
}


class EfficientSam(nn.Module):
    """The three parts, under the official checkpoints' names."""

    input_size = PROMPT_FRAME
    """Side of the square that images are stretched to."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.image_encoder = PlainViT(dim=variant.dim, heads=variant.heads, depth=DEPTH)
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = MaskDecoder()

    def project_image(self, features: Tensor, position: Tensor, masks: Tensor | None = None) -> ImageTokens:
        """Compute what no point changes, of features (B, 256, 64, 64); it takes no masks."""
        assert masks is None
        return self.mask_decoder.project_image(features, position.to(features.dtype))

    def decode(
        self, image: ImageTokens, xy: Tensor, labels: Tensor, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """Decode N prompts: logits (N, M, 256, 256) and predicted IoU (N, M)."""
        return self.mask_decoder.decode(image, self._tokens(xy, labels), multimask)

    def decode_best(self, image: ImageTokens, xy: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decode the best alternative alone: logits (N, 256, 256), IoU (N,), which of the three (N,)."""
        return self.mask_decoder.decode_best(image, self._tokens(xy, labels))

    def _tokens(self, xy: Tensor, labels: Tensor) -> Tensor:
        return self.prompt_encoder(xy, labels).to(self.mask_decoder.mask_tokens.weight.dtype)


class EfficientSamSegmenter(SamSegmenter):
    """Boxes and foreground points, six points a prompt, to three masks or one.

    The alternatives come in the order of the mask tokens. A mask is ``> 0`` after `upsample`, as of every
    model here; the official example takes ``>= 0``, which differs where a logit is exactly zero.
    """

    capabilities = Capabilities(background_points=False, max_points=SLOTS, box_points=2, mask_input=False)

    def prepare(self, image: np.ndarray) -> Prepared:
        """Stretch to the input size without smoothing, normalise: (3, 1024, 1024) float32."""
        x = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        side = self.model.input_size
        x = F.interpolate(x[None], (side, side), mode="bilinear", align_corners=False)[0]
        mean, std = (torch.tensor(values).reshape(3, 1, 1) / 255 for values in (PIXEL_MEAN, PIXEL_STD))
        return Prepared((x - mean) / std, (image.shape[0], image.shape[1]))

    def to_points(self, prompts: Prompts, size: Size) -> tuple[Tensor, Tensor]:
        """Write prompts as points in the stretched frame, a box first: xy (N, P, 2) and labels (N, P)."""
        xy, labels = as_points(prompts)
        return to_input_frame(xy, size), labels

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Resize to the image, bicubic and in one step."""
        return F.interpolate(logits.float()[:, None], size, mode="bicubic", align_corners=False)[:, 0]


def as_points(prompts: Prompts) -> tuple[Tensor, Tensor]:
    """Write prompts as points alone, a box as its two corners: xy (N, P, 2) float and labels (N, P)."""
    xy, labels = [], []
    if prompts.boxes is not None:
        corners = torch.tensor([TOP_LEFT, BOTTOM_RIGHT], device=prompts.boxes.device)
        xy.append(prompts.boxes.float().reshape(-1, 2, 2))
        labels.append(corners.expand(len(prompts), 2))
    if prompts.points is not None and prompts.labels is not None:
        xy.append(prompts.points.float())
        labels.append(prompts.labels)
    return torch.cat(xy, dim=1), torch.cat(labels, dim=1)


def to_input_frame(xy: Tensor, size: Size) -> Tensor:
    """Scale pixel coordinates (..., 2) of an image of ``size`` to 1024 along each axis.

    What lies left of or above the image goes to -1, as in the official ``get_rescaled_pts``.
    """
    height, width = size
    scaled = xy * PROMPT_FRAME / xy.new_tensor([width, height])
    return torch.where(xy >= 0, scaled, NOWHERE)


def create_model(name: str) -> EfficientSam:
    """Build a variant with random weights, in eval mode, with the official ``state_dict`` layout.

    Raises:
        SambenchError: there is no variant of that name.
    """
    if name not in VARIANTS:
        raise SambenchError(
            f"no EfficientSAM {name!r}; there are {', '.join(VARIANTS)}.{did_you_mean(name, VARIANTS)}"
        )
    return EfficientSam(VARIANTS[name]).eval()


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Create ``efficient_sam_ti`` or ``efficient_sam_s``."""
    model, found = with_weights(lambda: create_model(name), resolve(name, weights))
    return EfficientSamSegmenter(name, model, found, device, adopt=True)
