"""EfficientSAM's image encoder: a plain vision transformer in which every token attends to every other.

After the official ``efficient_sam_encoder.py`` (github.com/yformer/EfficientSAM, arXiv 2312.00863). No
windows, no relative positions, no class token: 64 x 64 tokens pass all blocks alike and then SAM's neck.
Attribute names are those of the official checkpoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.adapters.modules.neck import sam_neck

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
    """

    def __init__(self, *, dim: int, heads: int, depth: int) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(dim)
        # One position more than patches: the first was the class token's, and is not used.
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + PRETRAINED_GRID**2, dim))
        self.blocks = nn.ModuleList(Block(dim, heads=heads) for _ in range(depth))
        self.neck = sam_neck(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        height, width = x.shape[-2:]
        x = (x + self.position(height, width)).flatten(2).transpose(1, 2).contiguous()  # (B, h w, dim)
        for block in self.blocks:
            x = block(x)
        return self.neck(x.transpose(1, 2).unflatten(2, (height, width)))

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
    """Attention and a feed-forward layer, each after a norm and added: tokens (B, T, dim) to the same."""

    def __init__(self, dim: int, *, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn = Attention(dim, heads=heads)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = MLP(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Attention(nn.Module):
    """Multi-head self-attention over all tokens (B, T, dim); the scale is on the scores."""

    def __init__(self, dim: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, heads, dim / heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, MLP_RATIO * dim)
        self.fc2 = nn.Linear(MLP_RATIO * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))
