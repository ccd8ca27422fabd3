"""The neck: three maps of the backbone become the one embedding that SAM's decoder reads."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from sambench.evsam.backbone import Backbone
from sambench.evsam.layers import Block, ConvLayer, FusedMBConv, LayerNorm2d, Ops

EMBED_DIM = 256  # channels of the embedding, and of the tokens that meet it in the decoder
EMBED_SIZE = 64  # height and width of the embedding, for any input size


class ToEmbedSize(nn.Module):
    """Bicubic resize to 64 x 64, computed in float32 whatever the model's precision."""

    def __init__(self, *, embed_size: int = EMBED_SIZE) -> None:
        super().__init__()
        self.embed_size = embed_size

    def forward(self, x: Tensor) -> Tensor:
        size = (self.embed_size, self.embed_size)
        if x.shape[-2:] == size:
            return x
        return F.interpolate(x.float(), size, mode="bicubic", align_corners=False).to(x.dtype)


class Neck(nn.Module):
    """Project the given maps to 256 channels, bring them to 64 x 64, add, refine.

    Args:
        widths: channels of the maps to fuse, deepest first.
        depth: number of fused inverted bottlenecks after the sum.
        expand: their expansion.
        dim: channels of the embedding, 256 in what is released.
        embed_size: height and width of the embedding, 64 in what is released.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        depth: int,
        expand: int,
        dim: int = EMBED_DIM,
        embed_size: int = EMBED_SIZE,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.input_ops = nn.ModuleList(
            Ops([ConvLayer(width, dim), ToEmbedSize(embed_size=embed_size)]) for width in widths
        )
        self.middle = Ops(Block(FusedMBConv(dim, dim, expand=expand)) for _ in range(depth))
        head = ConvLayer(dim, dim, bias=True, norm=False)
        self.output_ops = nn.ModuleList([Ops([head])])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        first, *rest = [op(x) for op, x in zip(self.input_ops, maps, strict=True)]
        for x in rest:
            first = first + x
        return self.output_ops[0](self.middle(first))


class ImageEncoder(nn.Module):
    """Preprocessed image (B, 3, S, S) to embedding (B, 256, 64, 64), or of the neck's channels and size."""

    def __init__(self, backbone: Backbone, neck: Neck) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.norm = LayerNorm2d(neck.dim)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.backbone(x)
        deepest_first = maps[::-1][: len(self.neck.input_ops)]
        return self.norm(self.neck(deepest_first))
