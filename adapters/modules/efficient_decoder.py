"""EfficientSAM's prompt encoder and mask decoder: SAM's in outline, another network in detail.

After the official ``efficient_sam_decoder.py``, ``two_way_transformer.py`` and ``mlp.py``
(github.com/yformer/EfficientSAM, arXiv 2312.00863). What differs from SAM (`evsam.prompt_encoder`,
`evsam.transformer`, `evsam.mask_decoder`):

- Points and box corners share six slots, and an empty slot is a token too. There is no background point,
  no mask prompt and no dense prompt.
- Self-attention adds to its tokens in the first block too; in the second the tokens take their position
  along, into the values and the residual.
- GELU stands in the place of ReLU, and the upscaling's norm is over channels and pixels together.

Attribute names are those of the official checkpoints.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from sambench.evsam.mask_decoder import MASK_TOKENS, TokenDecoder
from sambench.evsam.neck import EMBED_DIM, EMBED_SIZE
from sambench.evsam.prompt_encoder import PAD, PROMPT_FRAME, RandomPositionEncoding
from sambench.evsam.transformer import MLP_DIM, TwoWayBlock, TwoWayTransformer

SLOTS = 6
"""Points a prompt has, given or empty (``decoder_max_num_input_points``)."""

NOWHERE = -1.0
"""Both coordinates of an empty slot, and any coordinate left of or above the image, in the 1024 frame."""

NORM_EPS = 1e-5  # of the transformer's and the upscaling's norms: torch's default


class PromptEncoder(nn.Module):
    """Points to six tokens: where a point is, plus what kind it is of."""

    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = RandomPositionEncoding()
        self.invalid_points = nn.Embedding(1, EMBED_DIM)
        self.point_embeddings = nn.Embedding(1, EMBED_DIM)
        self.bbox_top_left_embeddings = nn.Embedding(1, EMBED_DIM)
        self.bbox_bottom_right_embeddings = nn.Embedding(1, EMBED_DIM)

    def get_dense_pe(self) -> Tensor:
        """Return the position encoding of the image embedding, (1, 256, 64, 64)."""
        return self.pe_layer.grid(EMBED_SIZE)

    def forward(self, xy: Tensor, labels: Tensor) -> Tensor:
        """Encode N prompts in the 1024 frame as tokens (N, 6, 256).

        A background point is its position alone: the model was not trained with any. Padding is an empty
        slot, whatever its coordinates; to the model that is a point at (-1, -1), not, as in SAM, one without
        position.

        Args:
            xy: (N, P, 2), with P at most 6; of a box, its two corners.
            labels: (N, P): 1 foreground, 0 background, 2 and 3 top left and bottom right corner, -1 padding.
        """
        n, given = labels.shape
        labels = torch.cat([labels, labels.new_full((n, SLOTS - given), PAD)], dim=1).long()
        xy = torch.cat([xy, xy.new_zeros(n, SLOTS - given, 2)], dim=1)
        xy = xy.masked_fill((labels == PAD).unsqueeze(-1), NOWHERE)
        position = self.pe_layer((xy + 0.5) / PROMPT_FRAME)  # + 0.5: from pixel index to its centre
        return position + self._kinds()[labels - PAD]

    def _kinds(self) -> Tensor:
        """What each label adds, (5, 256), in the order of labels from -1 on."""
        foreground = self.point_embeddings.weight
        return torch.cat(
            [
                self.invalid_points.weight,
                torch.zeros_like(foreground),
                foreground,
                self.bbox_top_left_embeddings.weight,
                self.bbox_bottom_right_embeddings.weight,
            ]
        )


class MLP(nn.Module):
    """Linear layers between the given widths, with the exact GELU after all but the last."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        *hidden, last = pairwise(widths)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(i, o), nn.GELU()) for i, o in hidden)
        self.fc = nn.Linear(*last)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.fc(x)


class EfficientTwoWayBlock(TwoWayBlock):
    """SAM's block but for what the tokens do among themselves."""

    def __init__(
        self,
        *,
        first: bool,
        norm_eps: float,
        dim: int = EMBED_DIM,
        mlp_dim: int = MLP_DIM,
        **widths: int,
    ) -> None:
        super().__init__(first=first, norm_eps=norm_eps, dim=dim, mlp_dim=mlp_dim, **widths)
        self.mlp = MLP(dim, mlp_dim, dim)

    def attend_to_each_other(self, tokens: Tensor, prompt: Tensor) -> Tensor:
        """Let the tokens of a prompt read each other: (N, T, 256) to the same shape."""
        if not self.first:
            tokens = tokens + prompt
        return tokens + self.self_attn(tokens, tokens, tokens)


class MaskDecoder(TokenDecoder):
    """Predict masks as the product of upscaled pixels with a vector made from each mask token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_size = EMBED_SIZE
        self.transformer = TwoWayTransformer(norm_eps=NORM_EPS, block=EfficientTwoWayBlock)
        self.iou_token = nn.Embedding(1, EMBED_DIM)
        self.mask_tokens = nn.Embedding(MASK_TOKENS, EMBED_DIM)
        self.final_output_upscaling_layers = nn.ModuleList(
            [
                nn.Sequential(
                    nn.ConvTranspose2d(EMBED_DIM, EMBED_DIM // 4, 2, stride=2),
                    nn.GroupNorm(1, EMBED_DIM // 4, eps=NORM_EPS),
                    nn.GELU(),
                ),
                nn.Sequential(
                    nn.ConvTranspose2d(EMBED_DIM // 4, EMBED_DIM // 8, 2, stride=2),
                    nn.Identity(),
                    nn.GELU(),
                ),
            ]
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(EMBED_DIM, EMBED_DIM, EMBED_DIM, EMBED_DIM // 8) for _ in range(MASK_TOKENS)
        )
        self.iou_prediction_head = MLP(EMBED_DIM, EMBED_DIM, EMBED_DIM, MASK_TOKENS)

    def masks(self, vectors: Tensor, pixels: Tensor) -> Tensor:
        """Multiply vectors (N, M, 32) with the upscaled pixels: logits (N, M, 256, 256)."""
        return torch.einsum("nmc,nchw->nmhw", vectors.to(pixels.dtype), self.upscale(pixels))

    def upscaling(self) -> nn.Module:
        """The module that upscales the pixels."""
        return self.final_output_upscaling_layers

    def upscale(self, pixels: Tensor) -> Tensor:
        """Upscale (N, 4096, 256) to (N, 32, 256, 256)."""
        x = pixels.transpose(1, 2).unflatten(2, (self.embed_size, self.embed_size))
        for layer in self.final_output_upscaling_layers:
            x = layer(x)
        return x
