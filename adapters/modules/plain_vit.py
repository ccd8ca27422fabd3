"""The image encoder of EfficientSAM and EfficientTAM: a plain vision transformer without relative positions.

After the official ``efficient_sam_encoder.py`` (github.com/yformer/EfficientSAM, arXiv 2312.00863): 64 x 64
tokens pass all blocks alike, every one attends to every other, and SAM's neck follows. EfficientTAM's
``vitdet.py`` (github.com/yformer/EfficientTAM, arXiv 2411.18933) lets most blocks attend in windows.
Attribute names are those of EfficientSAM's checkpoints.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.adapters.modules.neck import sam_neck
from sambench.adapters.modules.windows import from_windows, to_windows

PATCH = 16  # pixels a side
MLP_RATIO = 4
NORM_EPS = 1e-6  # of the blocks' norms
PRETRAINED_GRID = 14
"""Patches a side in pretraining, on images of 224 pixels (``pretrain_img_size``)."""


class PlainViT(nn.Module):
    """Preprocessed images (B, 3, 16 h, 16 w) to embeddings (B, 256, h, w).

    Args:
        dim: channels of a token.
        heads: of each attention.
        depth: number of blocks.
        windowed: which of them attend in windows, from 0.
        window: side of the windows, in tokens.
    """

    def __init__(
        self, *, dim: int, heads: int, depth: int, windowed: Collection[int] = (), window: int = 14
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(dim)
        # One position more than patches: the first was the class token's, and is not used.
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + PRETRAINED_GRID**2, dim))
        windows = (window if i in windowed else None for i in range(depth))
        self.blocks = nn.ModuleList(Block(dim, heads=heads, window=w) for w in windows)
        self.neck = sam_neck(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        height, width = x.shape[-2:]
        x = (x + self.position(height, width)).permute(0, 2, 3, 1).contiguous()  # (B, h, w, dim)
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))

    def position(self, height: int, width: int) -> Tensor:
        """Return the position embedding (1, dim, height, width), bicubic from the grid of pretraining."""
        grid = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (PRETRAINED_GRID, PRETRAINED_GRID))
        return F.interpolate(grid, (height, width), mode="bicubic", align_corners=False)


class PatchEmbed(nn.Module):
    """Images (B, 3, 16 h, 16 w) to one token for each patch, (B, dim, h, w)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, stride=PATCH)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Block(nn.Module):
    """Attention and a feed-forward layer, each after a norm and added: (B, h, w, dim) to the same.

    Args:
        dim: channels of a token.
        heads: of the attention.
        window: side of the windows within which tokens attend; ``None`` for the whole image.
    """

    def __init__(self, dim: int, *, heads: int, window: int | None = None) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn = Attention(dim, heads=heads)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = MLP(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor) -> Tensor:
        if self.window is None:
            return self.attn(x)
        return from_windows(self.attn(to_windows(x, self.window)), (x.shape[1], x.shape[2]))


class Attention(nn.Module):
    """Multi-head self-attention over all tokens of a map (B, h, w, dim); the scale is on the scores."""

    def __init__(self, dim: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x.flatten(1, 2)).unflatten(-1, (3, self.heads, -1))  # (B, h w, 3, heads, dim / heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2)).view(x.shape)


class MLP(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, MLP_RATIO * dim)
        self.fc2 = nn.Linear(MLP_RATIO * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))
