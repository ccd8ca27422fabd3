"""SAM's prompt encoder: points, boxes and masks become tokens and a dense map.

After "Segment Anything" (arXiv 2304.02643), appendix A. Coordinates here are in the prompt frame: the
image scaled so that its longest side is 1024, whatever the encoder's input size.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from evsam.layers import LayerNorm2d
from evsam.neck import EMBED_DIM, EMBED_SIZE

PROMPT_FRAME = 1024
"""Side of the frame that prompt coordinates live in (official ``image_size=(1024, 512)``)."""

PAD, BACKGROUND, FOREGROUND = -1, 0, 1  # point labels
MASK_CHANNELS = 16


class RandomPositionEncoding(nn.Module):
    """Random Fourier features of positions in [0, 1]^2 (arXiv 2006.10739); the frequencies are weights."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, EMBED_DIM // 2))

    def forward(self, xy: Tensor) -> Tensor:
        """Encode positions (..., 2), x then y in [0, 1], as (..., 256)."""
        phase = 2 * math.pi * ((2 * xy - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    def grid(self) -> Tensor:
        """Encode the centres of the 64 x 64 embedding's pixels, (1, 256, 64, 64)."""
        frequencies = self.positional_encoding_gaussian_matrix
        centres = torch.arange(EMBED_SIZE, device=frequencies.device, dtype=frequencies.dtype)
        centres = (centres + 0.5) / EMBED_SIZE
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        return self(torch.stack([x, y], dim=-1)).permute(2, 0, 1)[None]


class PromptEncoder(nn.Module):
    """Prompts to sparse tokens (N, T, 256) and a dense map to add to the image embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = RandomPositionEncoding()
        # background point, foreground point, top left corner, bottom right corner
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, EMBED_DIM) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, EMBED_DIM)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, MASK_CHANNELS // 4, 2, stride=2),
            LayerNorm2d(MASK_CHANNELS // 4),
            nn.GELU(),
            nn.Conv2d(MASK_CHANNELS // 4, MASK_CHANNELS, 2, stride=2),
            LayerNorm2d(MASK_CHANNELS),
            nn.GELU(),
            nn.Conv2d(MASK_CHANNELS, EMBED_DIM, 1),
        )
        self.no_mask_embed = nn.Embedding(1, EMBED_DIM)

    def get_dense_pe(self) -> Tensor:
        """Return the position encoding of the image embedding, (1, 256, 64, 64)."""
        return self.pe_layer.grid()

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
        tokens = []
        if points is not None:
            xy, labels = points
            if boxes is None:  # SAM was trained with a padding point in the place of an absent box
                xy = torch.cat([xy, xy.new_zeros(len(xy), 1, 2)], dim=1)
                labels = torch.cat([labels, labels.new_full((len(labels), 1), PAD)], dim=1)
            tokens.append(self._embed_points(xy, labels))
        if boxes is not None:
            corners = self.pe_layer((boxes.reshape(-1, 2, 2) + 0.5) / PROMPT_FRAME)
            tokens.append(corners + self._kinds(2, 3))
        if masks is not None:
            dense = self.mask_downscaling(masks)
        else:
            dense = self.no_mask_embed.weight.reshape(1, EMBED_DIM, 1, 1).expand(
                -1, -1, EMBED_SIZE, EMBED_SIZE
            )
        if not tokens:
            tokens.append(dense.new_zeros(len(dense), 0, EMBED_DIM))
        return torch.cat(tokens, dim=1), dense

    def _embed_points(self, xy: Tensor, labels: Tensor) -> Tensor:
        kinds = torch.cat([self.not_a_point_embed.weight, self._kinds(0, 1)])
        position = self.pe_layer((xy + 0.5) / PROMPT_FRAME)  # + 0.5: from pixel index to its centre
        position = position * (labels != PAD).unsqueeze(-1)  # a padding point is nowhere
        return position + kinds[labels.long() + 1]

    def _kinds(self, *which: int) -> Tensor:
        """Rows of the learned kinds of points, (n, 256)."""
        return torch.cat([cast(nn.Embedding, self.point_embeddings[i]).weight for i in which])
