"""SAM's vision transformer: ViTDet's, with attention in windows and, in four blocks, over the whole image.

"Segment Anything" (arXiv 2304.02643, appendix A) takes it from "Exploring Plain Vision Transformer Backbones"
(arXiv 2203.16527). What it adds to a plain ViT is the position in the scores: beside ``q . k``, a query looks
up how it likes keys so many rows away, and keys so many columns away (`Attention`). Maps are (B, H, W, C)
between the blocks, for their linear layers. Attribute names are those of the official checkpoints; numbers
are those of the official ``image_encoder.py`` and ``build_sam.py``.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.adapters.modules.neck import sam_neck
from sambench.adapters.modules.windows import from_windows, to_windows
from sambench.evsam.size import Size

PATCH = 16  # pixels
GRID = 64  # patches along a side: images are 1024 x 1024
WINDOW = 14  # patches along a side
MLP_RATIO = 4
NORM_EPS = 1e-6

STRIP = 1024
"""Queries at a time: the position of their scores takes 268 MB an image in ViT-H, that of all takes 1.1 GB.
Shorter strips cost time, for below 768 queries torch's CPU kernel works in smaller blocks."""


class ImageEncoder(nn.Module):
    """Preprocessed images (B, 3, S, S) to embeddings (B, 256, grid, grid), S being 16 times the grid.

    Args:
        dim: channels of the blocks.
        depth: how many blocks there are.
        heads: of the attention.
        global_blocks: which blocks attend over the whole image, from 0.
        window: side of the other blocks' windows, in patches.
        grid: side of the image, in patches.
    """

    def __init__(
        self,
        *,
        dim: int,
        depth: int,
        heads: int,
        global_blocks: Collection[int],
        window: int = WINDOW,
        grid: int = GRID,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, dim))
        windows = (None if i in global_blocks else window for i in range(depth))
        self.blocks = nn.ModuleList(Block(dim, heads=heads, grid=grid, window=w) for w in windows)
        self.neck = sam_neck(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))


class PatchEmbed(nn.Module):
    """A linear layer on each 16 x 16 patch: (B, 3, S, S) to (B, S / 16, S / 16, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, stride=PATCH)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).permute(0, 2, 3, 1)


class Block(nn.Module):
    """Attention, then an MLP, both residual and behind a norm; (B, H, W, C) to the same shape.

    Args:
        dim: C.
        heads: of the attention.
        grid: H and W, which are equal.
        window: side of the windows to attend in; ``None`` to attend over the whole image.
    """

    def __init__(self, dim: int, *, heads: int, grid: int, window: int | None) -> None:
        super().__init__()
        self.window = window
        side = grid if window is None else window
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn = Attention(dim, heads=heads, size=(side, side))
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = MLP(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor) -> Tensor:
        if self.window is None:
            return self.attn(x)
        size = (x.shape[1], x.shape[2])
        # Zeros that fill up the windows come behind the norm: key and value are the projection's biases.
        return from_windows(self.attn(to_windows(x, self.window)), size)


class MLP(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, MLP_RATIO * dim)
        self.lin2 = nn.Linear(MLP_RATIO * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.gelu(self.lin1(x)))


class Attention(nn.Module):
    """Multi-head attention that knows where its queries and keys are, (B, H, W, C) to the same shape.

    The score of a query at row i, column j for a key at row k, column l is

        q . (d^-1/2 key + rel_pos_h[i - k] + rel_pos_w[j - l])

    Args:
        dim: C.
        heads: each with C / heads channels, d.
        size: H and W, the only ones it takes.
    """

    def __init__(self, dim: int, *, heads: int, size: Size) -> None:
        super().__init__()
        self.heads = heads
        head_dim = dim // heads
        self.scale = head_dim**-0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size[0] - 1, head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size[1] - 1, head_dim))

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, _ = x.shape
        qkv = self.qkv(x).reshape(b, h * w, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, H W, d)
        at = q.unflatten(2, (h, w))
        by_row = torch.einsum("bnijd,ikd->bnijk", at, offsets(self.rel_pos_h)).flatten(2, 3)
        by_column = torch.einsum("bnijd,jld->bnijl", at, offsets(self.rel_pos_w)).flatten(2, 3)
        return self.proj(attend(q * self.scale, k, v, by_row, by_column)).unflatten(1, (h, w))


def offsets(table: Tensor) -> Tensor:
    """Spread a table over offsets (2 n - 1, d) to pairs of query and key, (n, n, d)."""
    n = (len(table) + 1) // 2
    position = torch.arange(n, device=table.device)
    return table[position[:, None] - position + (n - 1)]


def attend(q: Tensor, k: Tensor, v: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
    """Attend with scores ``q . k`` plus what the key's row and its column add.

    Strips of queries one after the other, so that the position of all scores is never in memory at once.

    Args:
        q: (B, heads, H W, d), scaled.
        k: of the same shape.
        v: of the same shape.
        by_row: for each query, what each row adds to the scores of its keys, (B, heads, H W, H).
        by_column: the same for the columns, (B, heads, H W, W).

    Returns:
        (B, H W, heads d).
    """
    strips = []
    for part, rows, columns in zip(*(x.split(STRIP, dim=2) for x in (q, by_row, by_column)), strict=True):
        position = (rows[..., :, None] + columns[..., None, :]).flatten(3)  # (B, heads, queries, H W)
        strip = F.scaled_dot_product_attention(part, k, v, attn_mask=position, scale=1.0)
        strips.append(strip.transpose(1, 2))
    return (strips[0] if len(strips) == 1 else torch.cat(strips, dim=1)).flatten(2)
