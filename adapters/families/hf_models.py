"""How transformers' promptable models get pixels and prompts in, and masks out.

Two geometries, as the models were trained: SAM and SAM-HQ keep the aspect ratio and pad, SAM 2, EdgeTAM and
SAM 3 stretch every image to a square. The arithmetic is done here, on tensors; transformers' own processors
are what the tests compare it with.

transformers gives the norms of the two-way transformer an epsilon of 1e-6 where SAM's authors have 1e-5: with
the same weights, masks of its SAM and of `sam_vit` here differ by 1e-4 to 4e-4 of their logits' scale.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.adapters.base import Capabilities, Embedding, Prediction, Prepared, Prompts, Segmenter, Weights
from sambench.adapters.devices import by_kind
from sambench.adapters.families.sam import PROMPT_BATCH
from sambench.evsam import geometry
from sambench.evsam.size import Size


@dataclass(frozen=True)
class HfEmbedding(Embedding):
    """An embedding with the further maps that a model's mask decoder reads."""

    maps: tuple[Tensor, ...]
    """SAM-HQ: the encoder's first global block, (h, w, C). SAM 2 and after: (C, 4h, 4w) and (C, 2h, 2w)."""


class HfSegmenter(Segmenter):
    """Boxes, points and masks to three masks or one.

    Args:
        name: the registry's name.
        model: of transformers, with its weights loaded; moved to the device and set to eval mode.
        weights: where they come from.
        device: where to compute.
    """

    capabilities = Capabilities()

    def __init__(self, name: str, model: Any, weights: Weights, device: torch.device) -> None:
        self.name = name
        self.weights = weights
        self.device = device
        self.model = model.to(device).eval().requires_grad_(False)
        self.side: int = model.config.prompt_encoder_config.image_size
        self.prompt_batch = by_kind(PROMPT_BATCH, device.type)

    @torch.inference_mode()
    def embed(self, prepared: Sequence[Prepared]) -> list[Embedding]:
        """Encode a batch, once for all prompts."""
        pixels = torch.stack([p.pixels for p in prepared]).to(self.device, non_blocking=True)
        batches = self.features(pixels)
        return [self.embedding(p.size, *maps) for p, *maps in zip(prepared, *batches, strict=True)]

    def embedding(self, size: Size, features: Tensor, *maps: Tensor) -> HfEmbedding:
        """Keep what `features` made of an image of ``size``."""
        return HfEmbedding(features, size, maps)

    @torch.inference_mode()
    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        """Scale the prompts to the model's frame and decode: logits (N, 3 or 1, 4h, 4w)."""
        assert isinstance(embedding, HfEmbedding)
        if not len(prompts):  # transformers reshapes by -1, which an empty batch leaves open
            one = self.decode_batch(embedding, Prompts(boxes=torch.zeros(1, 4)), multimask)
            return Prediction(one.logits[:0], one.iou[:0])
        prompts = prompts.to(self.device)
        # transformers counts images, then prompts on an image; a mask it takes one an image
        images, dim = (1, 0) if prompts.masks is None else (len(prompts), 1)
        inputs: dict[str, Any] = self.image_inputs(embedding, images)
        if prompts.boxes is not None:
            corners = self.to_frame(prompts.boxes.float().reshape(-1, 2, 2), embedding.size)
            inputs["input_boxes"] = corners.reshape(-1, 4).unsqueeze(dim)
        if prompts.points is not None and prompts.labels is not None:
            inputs["input_points"] = self.to_frame(prompts.points.float(), embedding.size).unsqueeze(dim)
            inputs["input_labels"] = prompts.labels.long().unsqueeze(dim)
        if prompts.masks is not None:
            inputs["input_masks"] = prompts.masks.float()
        found = self.model(**inputs, multimask_output=multimask)
        return Prediction(found.pred_masks.flatten(0, 1), found.iou_scores.flatten(0, 1))

    @abstractmethod
    def to_frame(self, xy: Tensor, size: Size) -> Tensor:
        """Scale pixel coordinates (..., 2) of an image of ``size`` to the encoder's input."""

    @abstractmethod
    def features(self, pixels: Tensor) -> Sequence[Tensor]:
        """Encode (B, 3, S, S): the embedding (B, C, h, w), then what else an `HfEmbedding` has."""

    @abstractmethod
    def image_inputs(self, embedding: HfEmbedding, images: int) -> dict[str, Any]:
        """Keywords of the model's ``forward`` for an encoded image, repeated ``images`` times."""


class Sam(HfSegmenter):
    """SAM, and what has its parts, such as SlimSAM: longest side to S, padded to S x S."""

    def prepare(self, image: np.ndarray) -> Prepared:
        """Resize, normalise, pad: (3, S, S) float32."""
        return Prepared(geometry.preprocess(image, self.side), (image.shape[0], image.shape[1]))

    def to_frame(self, xy: Tensor, size: Size) -> Tensor:
        """Scale by the rounded sizes, as SAM does."""
        height, width = geometry.resized(size, self.side)
        return xy * xy.new_tensor([width / size[1], height / size[0]])

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Resize to S x S, crop the padding, resize to the image."""
        height, width = geometry.resized(size, self.side)
        return resize(resize(logits, (self.side, self.side))[..., :height, :width], size)

    def features(self, pixels: Tensor) -> Sequence[Tensor]:
        """Encode: the embedding alone."""
        return (self.model.get_image_embeddings(pixels),)

    def image_inputs(self, embedding: HfEmbedding, images: int) -> dict[str, Any]:
        """Name the embedding."""
        return {"image_embeddings": _repeat(embedding.features, images)}


class SamHQ(Sam):
    """SAM-HQ. Each mask is SAM's plus the high-quality token's ("Segment Anything in High Quality", 3.2).

    With ``multimask`` the token's mask is added to each of SAM's three, in the order of predicted IoU. The
    authors' decoder returns the first of these alone; selecting by predicted IoU does the same.
    """

    def __init__(self, name: str, model: Any, weights: Weights, device: torch.device) -> None:
        super().__init__(name, model, weights, device)
        upscale_transformed_image(self.model.mask_decoder)

    def features(self, pixels: Tensor) -> Sequence[Tensor]:
        """Encode: the embedding, and the map of the first global attention block (B, h, w, C)."""
        embedding, blocks = self.model.get_image_embeddings(pixels)
        return embedding, blocks[0]

    def image_inputs(self, embedding: HfEmbedding, images: int) -> dict[str, Any]:
        """Name both."""
        blocks = [_repeat(m, images) for m in embedding.maps]
        return {**super().image_inputs(embedding, images), "intermediate_embeddings": blocks}


def upscale_transformed_image(decoder: nn.Module) -> None:
    """Have transformers' SAM-HQ decoder upscale what its two-way transformer made of the image.

    The authors do (``mask_decoder_hq.py``, ``predict_masks``), as did transformers 4.52. Later versions, to
    5.23 at least, drop that output and upscale the encoder's embedding with rows and columns swapped.
    """
    transformed: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, outputs: Any) -> None:
        transformed.append(outputs[1])  # (B, 1, h * w, C)

    def replace(_module: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        return transformed.pop().transpose(-2, -1).reshape(inputs[0].shape)

    decoder.get_submodule("transformer").register_forward_hook(keep)
    decoder.get_submodule("upscale_conv1").register_forward_pre_hook(replace)


class Sam2(HfSegmenter):
    """SAM 2, SAM 2.1 and EdgeTAM on images: stretched to S x S, bilinear on bytes, smoothed where it shrinks.

    A single mask (not ``multimask``) that is not stable is replaced by the best of the three, as the model's
    configuration says (``dynamic_multimask_via_stability``).
    """

    pixel_mean = geometry.PIXEL_MEAN
    pixel_std = geometry.PIXEL_STD

    def prepare(self, image: np.ndarray) -> Prepared:
        """Stretch, normalise: (3, S, S) float32."""
        return stretched(image, self.side, self.pixel_mean, self.pixel_std)

    def to_frame(self, xy: Tensor, size: Size) -> Tensor:
        """Stretch each axis by itself."""
        return xy * xy.new_tensor([self.side / size[1], self.side / size[0]])

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Resize straight to the image."""
        return resize(logits, size)

    def features(self, pixels: Tensor) -> Sequence[Tensor]:
        """Encode: the embedding, then the maps four and two times as fine."""
        fine, middle, coarse = self.model.get_image_embeddings(pixels)
        return coarse, fine, middle

    def image_inputs(self, embedding: HfEmbedding, images: int) -> dict[str, Any]:
        """Name the three, from fine to coarse."""
        return {"image_embeddings": [_repeat(m, images) for m in (*embedding.maps, embedding.features)]}


class Sam3(Sam2):
    """SAM 3's interactive head (its tracker): SAM 2 on another encoder, pixels scaled to -1..1.

    Its neck makes a fourth map that nothing uses, the coarsest. The authors drop it, then add what says "no
    memory" to the coarsest that is left (``sam1_task_predictor.py``, ``set_image``). transformers, in 5.23 at
    least, adds first: that sum is dropped, and masks are decoded without it. Here the layer that makes the
    fourth map is taken out, so that its sum is on the third.
    """

    pixel_mean = (127.5, 127.5, 127.5)  # transformers' Sam3ImageProcessor: 0.5 of 0..1
    pixel_std = (127.5, 127.5, 127.5)

    def __init__(self, name: str, model: Any, weights: Weights, device: torch.device) -> None:
        super().__init__(name, model, weights, device)
        neck = self.model.vision_encoder.neck
        neck.fpn_layers = neck.fpn_layers[: len(self.model.backbone_feature_sizes)]


def stretched(image: np.ndarray, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Prepared:
    """Stretch an image (H, W, 3) uint8 to (3, S, S) float32, bilinear on bytes, and normalise it."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    if image.shape[:2] != (side, side):
        pixels = F.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
    less, by = (torch.tensor(v).reshape(3, 1, 1) for v in (mean, std))
    return Prepared((pixels[0].float() - less) / by, (image.shape[0], image.shape[1]))


def _repeat(x: Tensor, images: int) -> Tensor:
    return x.expand(images, *x.shape)


def resize(logits: Tensor, size: Size) -> Tensor:
    """Resize (N, h, w) to (N, H, W), bilinear."""
    return F.interpolate(logits.float()[:, None], size, mode="bilinear", align_corners=False)[:, 0]
