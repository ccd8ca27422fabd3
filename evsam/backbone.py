"""The EfficientViT-L and -XL backbones: convolution stages first, attention only where maps are small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from sambench.evsam.attention import EfficientViTBlock
from sambench.evsam.layers import Block, ConvLayer, FusedMBConv, MBConv, Ops, ResBlock

BlockKind = Literal["res", "fmb", "mb", "att"]


@dataclass(frozen=True)
class Stage:
    """One resolution of the backbone."""

    width: int
    """Channels."""
    depth: int
    """Stride-1 residual blocks after the one that halves the map."""
    block: BlockKind
    """``res``, ``fmb`` (fused inverted bottleneck), ``mb`` (inverted bottleneck), ``att`` (attention)."""
    expand: int = 1
    """Expansion of the inverted bottlenecks; the halving block expands four times as much."""
    kernel: int = 5
    """Neighbourhood of the attention's second set of heads (``att`` only)."""


class Backbone(nn.Module):
    """Image (B, 3, S, S) to one map a stage, (B, width, S / 2, S / 2), (B, width, S / 4, S / 4), ..."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        super().__init__()
        first, *rest = stages
        stem = ConvLayer(3, first.width, kernel=3, stride=2, act=True)
        built = [Ops([stem, *(_block(first) for _ in range(first.depth))])]
        channels = first.width
        for stage in rest:
            built.append(Ops([_halve(channels, stage), *(_block(stage) for _ in range(stage.depth))]))
            channels = stage.width
        self.stages = nn.ModuleList(built)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def _halve(channels: int, stage: Stage) -> nn.Module:
    kind = FusedMBConv if stage.block == "fmb" else MBConv
    return Block(kind(channels, stage.width, expand=4 * stage.expand, stride=2), residual=False)


def _block(stage: Stage) -> nn.Module:
    match stage.block:
        case "res":
            return Block(ResBlock(stage.width))
        case "fmb":
            return Block(FusedMBConv(stage.width, stage.width, expand=stage.expand))
        case "mb":
            return Block(MBConv(stage.width, stage.width, expand=stage.expand))
        case "att":
            return EfficientViTBlock(stage.width, expand=stage.expand, kernel=stage.kernel)
