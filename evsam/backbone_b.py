"""The EfficientViT-B backbones (arXiv 2205.14756): the small series, which EfficientSAM3 takes for encoders.

After ``efficientvit_backbone_b0`` to ``_b2`` of github.com/mit-han-lab/efficientvit; attribute names are
those of its checkpoints. They differ from the L series in their activation (hard swish), in an epsilon, in
heads of 16 channels in the two smallest, and in stages that are all of inverted bottlenecks.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from sambench.evsam.attention import EfficientViTBlock
from sambench.evsam.layers import Block, ConvLayer, MBConv, Ops, Style

SMALL = Style(act=nn.Hardswish, norm_eps=1e-5)
"""``act_func="hswish"``; the epsilon is torch's own, which the official code leaves to this series."""
EXPAND = 4  # of all inverted bottlenecks
KERNEL = 5  # neighbourhood of the attention's second set of heads
ATTENTION_FROM = 3  # the first stage, the stem being 0, whose blocks attend


@dataclass(frozen=True)
class Sizes:
    """What tells one B backbone from another."""

    widths: tuple[int, ...]
    """Channels of each stage, the stem first."""
    depths: tuple[int, ...]
    """Blocks of each stage; where they attend, beside the one that halves the map, else it among them."""
    head_dim: int


B0 = Sizes((8, 16, 32, 64, 128), (1, 2, 2, 2, 2), head_dim=16)
B1 = Sizes((16, 32, 64, 128, 256), (1, 2, 3, 3, 4), head_dim=16)
B2 = Sizes((24, 48, 96, 192, 384), (1, 3, 4, 4, 6), head_dim=32)


class BackboneB(nn.Module):
    """Image (B, 3, S, S) to its deepest map, (B, width, S / 32, S / 32), rounded up."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels, *widths = sizes.widths
        stem = ConvLayer(3, channels, kernel=3, stride=2, act=True, style=SMALL)
        self.input_stem = Ops([stem, *(Block(DSConv(channels)) for _ in range(sizes.depths[0]))])
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, sizes.depths[1:], strict=True), start=1):
            if i < ATTENTION_FROM:
                self.stages.append(_convolutions(channels, width, depth))
            else:
                self.stages.append(_attention(channels, width, depth, sizes.head_dim))
            channels = width

    def forward(self, x: Tensor) -> Tensor:
        x = self.input_stem(x)
        for stage in self.stages:
            x = stage(x)
        return x


class DSConv(nn.Module):
    """Depthwise 3x3, then 1x1; the body of a residual block of the stem."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depth_conv = ConvLayer(channels, channels, kernel=3, groups=channels, act=True, style=SMALL)
        self.point_conv = ConvLayer(channels, channels, style=SMALL)

    def forward(self, x: Tensor) -> Tensor:
        return self.point_conv(self.depth_conv(x))


def _convolutions(in_channels: int, width: int, depth: int) -> Ops:
    """Inverted bottlenecks, of which the first halves the map."""
    halve = _bottleneck(in_channels, width, stride=2, fewer_norms=False)
    return Ops([halve, *(_bottleneck(width, width, fewer_norms=False) for _ in range(depth - 1))])


def _attention(in_channels: int, width: int, depth: int, head_dim: int) -> Ops:
    """One inverted bottleneck that halves the map, and blocks with attention."""
    halve = _bottleneck(in_channels, width, stride=2, fewer_norms=True)
    options = {"expand": EXPAND, "kernel": KERNEL, "head_dim": head_dim}
    return Ops([halve, *(EfficientViTBlock(width, **options, style=SMALL) for _ in range(depth))])


def _bottleneck(in_channels: int, width: int, *, fewer_norms: bool, stride: int = 1) -> Block:
    main = MBConv(in_channels, width, expand=EXPAND, stride=stride, fewer_norms=fewer_norms, style=SMALL)
    return Block(main, residual=stride == 1)
