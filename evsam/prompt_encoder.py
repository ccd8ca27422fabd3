"""SAM's prompt encoder: points, boxes and masks become tokens and a dense map.

After "Segment Anything" (arXiv 2304.02643), appendix A. Coordinates here are in the prompt frame: the
image scaled so that its longest side is 1024, whatever the encoder's input size.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from sambench.evsam.layers import LayerNorm2d
from sambench.evsam.neck import EMBED_DIM, EMBED_SIZE

PROMPT_FRAME = 1024
"""Side of the frame that prompt coordinates live in (official ``image_size=(1024, 512)``)."""

PAD, BACKGROUND, FOREGROUND = -1, 0, 1  # point labels
TOP_LEFT, BOTTOM_RIGHT = 2, 3  # labels of a box's corners
MASK_CHANNELS = 16


class RandomPositionEncoding(nn.Module):
    """Random Fourier features of positions in [0, 1]^2 (arXiv 2006.10739); the frequencies are weights."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, *, dim: int = EMBED_DIM) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, dim // 2))

    def forward(self, xy: Tensor) -> Tensor:
        """Encode positions (..., 2), x then y in [0, 1], as (..., 256)."""
        phase = 2 * math.pi * ((2 * xy - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    def grid(self, size: int) -> Tensor:
        """Encode the centres of the pixels of an embedding ``size`` high and wide, (1, 256, size, size)."""
        frequencies = self.positional_encoding_gaussian_matrix
        centres = torch.arange(size, device=frequencies.device, dtype=frequencies.dtype)
        centres = (centres + 0.5) / size
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        return self(torch.stack([x, y], dim=-1)).permute(2, 0, 1)[None]


class PromptEncoder(nn.Module):
    """Prompts to sparse tokens (N, T, 256) and a dense map to add to the image embedding.

    Sizes below are those of the released models, which are the defaults.

    Args:
        dim: channels of tokens and dense map.
        embed_size: height and width of the dense map; masks of an earlier round have four times as much.
        frame: side of the frame that coordinates are given in.
        mask_channels: of a mask on its way to the dense map.
    """

    def __init__(
        self,
        *,
        dim: int = EMBED_DIM,
        embed_size: int = EMBED_SIZE,
        frame: int = PROMPT_FRAME,
        mask_channels: int = MASK_CHANNELS,
    ) -> None:
        super().__init__()
        self.embed_size = embed_size
        self.frame = frame
        self.pe_layer = RandomPositionEncoding(dim=dim)
        # background point, foreground point, top left corner, bottom right corner
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, 2, stride=2),
            LayerNorm2d(mask_channels // 4),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, 2, stride=2),
            LayerNorm2d(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, dim, 1),
        )
        self.no_mask_embed = nn.Embedding(1, dim)

    def get_dense_pe(self) -> Tensor:
        """Return the position encoding of the image embedding, (1, 256, 64, 64)."""
        return self.pe_layer.grid(self.embed_size)

    def forward(
        self,
        *,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode N prompts in the 1024 frame.

        Args:
            points: xy (N, P, 2) and labels (N, P): 1 foreground, 0 background, -1 padding.
            boxes: xyxy (N, 4).
            masks: low-resolution logits of an earlier round, (N, 1, 256, 256).

        Returns:
            Sparse tokens (N, T, 256), and the dense map: (N, 256, 64, 64) of the masks, or
            (1, 256, 64, 64) where no mask was given, for it is then the same for every prompt.
        """
        xy, labels = as_points(points, boxes)
        return self.embed_points(xy, labels), self.embed_masks(masks)

    def embed_points(self, xy: Tensor, labels: Tensor) -> Tensor:
        """Encode points (N, T, 2) in the 1024 frame as tokens (N, T, 256).

        Labels (N, T) are 1 foreground, 0 background, 2 and 3 top left and bottom right corner of a box, -1
        padding.
        """
        kinds = torch.cat(self._kinds(labels))
        position = self.pe_layer((xy + 0.5) / self.frame)  # + 0.5: from pixel index to its centre
        position = position * (labels != PAD).unsqueeze(-1)  # a padding point is nowhere
        return position + kinds[labels.long() - PAD]

    def embed_masks(self, masks: Tensor | None) -> Tensor:
        """Encode earlier logits (N, 1, 256, 256), or their absence, as `forward`'s dense map."""
        if masks is not None:
            return self.mask_downscaling(masks)
        absent = self.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return absent.expand(-1, -1, self.embed_size, self.embed_size)

    def _kinds(self, labels: Tensor) -> list[Tensor]:
        """What is learned of each kind, in the order of their labels from `PAD` on, each (1, 256).

        In training the kinds that these prompts cannot have, points or corners, are apart from the gradients.
        They stay without one, as in the official code, where a gradient of zero would let them decay.
        """
        own = [self.not_a_point_embed, *(cast(nn.Embedding, one) for one in self.point_embeddings)]
        kinds = [one.weight for one in own]
        if not (self.training and torch.is_grad_enabled()):
            return kinds
        corners = labels >= TOP_LEFT
        asked = [bool((~corners).any())] * (FOREGROUND - PAD + 1) + [bool(corners.any())] * 2
        return [kind if learns else kind.detach() for kind, learns in zip(kinds, asked, strict=True)]


def as_points(points: tuple[Tensor, Tensor] | None, boxes: Tensor | None) -> tuple[Tensor, Tensor]:
    """Write prompts as points alone: xy (N, T, 2) and labels (N, T) (see `PromptEncoder.embed_points`).

    A box (N, 4) becomes its two corners, behind the points. Where there is none, a padding point takes its
    place: SAM was trained with it.

    Args:
        points: xy (N, P, 2) and labels (N, P), or none.
        boxes: xyxy (N, 4), or none; at least one of the two.
    """
    xy, labels = [], []
    if points is not None:
        xy.append(points[0])
        labels.append(points[1])
    if boxes is not None:
        corners = torch.tensor([TOP_LEFT, BOTTOM_RIGHT], device=boxes.device)
        xy.append(boxes.reshape(-1, 2, 2))
        labels.append(corners.expand(boxes.shape[0], 2))
    else:
        n = xy[0].shape[0]
        xy.append(xy[0].new_zeros(n, 1, 2))
        labels.append(labels[0].new_full((n, 1), PAD))
    return torch.cat(xy, dim=1), torch.cat(labels, dim=1)
