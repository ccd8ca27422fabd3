"""The convolution blocks EfficientViT-SAM is made of.

Attribute names (``conv``, ``norm``, ``spatial_conv``, ``main``, ``op_list``, ...) are those of the official
checkpoints. All maps are (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sambench.evsam.kernels import convolution

NORM_EPS = 1e-6
"""Epsilon of every norm of EfficientViT-SAM, set after construction by the official model zoo."""


def gelu_tanh() -> nn.GELU:
    """Return the tanh-approximated GELU that backbone and neck use (the SAM parts use the exact one)."""
    return nn.GELU(approximate="tanh")


@dataclass(frozen=True)
class Style:
    """What the L and B series of EfficientViT choose otherwise."""

    act: Callable[[], nn.Module] = gelu_tanh
    """Builds an activation."""
    norm_eps: float = NORM_EPS
    """Of batch norms."""


LARGE = Style()
"""Of the L and XL backbones; `evsam.backbone_b` has that of the B series."""


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of each pixel, (B, C, H, W) to the same shape.

    The result lies in memory as (B, H, W, C), which is how the mask decoder reads an embedding.
    """

    def __init__(self, channels: int, *, eps: float = NORM_EPS) -> None:
        super().__init__()
        self.norm_shape = (channels,)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.norm_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class ConvLayer(nn.Module):
    """Convolution with "same" padding, then batch norm and activation where asked for."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm: bool = True,
        act: bool = False,
        style: Style = LARGE,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=bias
        )
        self.norm = nn.BatchNorm2d(out_channels, eps=style.norm_eps) if norm else None
        self.act = style.act() if act else None

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.act, nn.GELU) and self.norm is None and convolution.usable(x):
            return convolution.with_gelu(self.conv, x)
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        if self.act is not None:
            x = self.act(x)
        return x

    def fuse(self) -> None:
        """Fold the norm into the convolution (see `evsam.fuse`)."""
        if self.norm is not None:
            self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), None


class ResBlock(nn.Module):
    """Two 3x3 convolutions; the body of a residual block of stage 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, kernel=3, act=True)
        self.conv2 = ConvLayer(channels, channels, kernel=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class FusedMBConv(nn.Module):
    """Inverted bottleneck with its expansion and depthwise steps fused into one 3x3 convolution."""

    def __init__(self, in_channels: int, out_channels: int, *, expand: int, stride: int = 1) -> None:
        super().__init__()
        hidden = in_channels * expand
        self.spatial_conv = ConvLayer(in_channels, hidden, kernel=3, stride=stride, act=True)
        self.point_conv = ConvLayer(hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.point_conv(self.spatial_conv(x))


class MBConv(nn.Module):
    """Inverted bottleneck: 1x1 expansion, 3x3 depthwise, 1x1 projection.

    In the official code's "fewer norm" form, the only one EfficientViT-SAM uses, the first two
    convolutions have a bias and no norm, the last has a norm and no bias. Otherwise all are as the last.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expand: int,
        stride: int = 1,
        fewer_norms: bool = True,
        style: Style = LARGE,
    ) -> None:
        super().__init__()
        hidden = in_channels * expand
        first = {"bias": fewer_norms, "norm": not fewer_norms}
        self.inverted_conv = ConvLayer(in_channels, hidden, **first, act=True, style=style)
        self.depth_conv = ConvLayer(
            hidden, hidden, kernel=3, stride=stride, groups=hidden, **first, act=True, style=style
        )
        self.point_conv = ConvLayer(hidden, out_channels, style=style)

    def forward(self, x: Tensor) -> Tensor:
        return self.point_conv(self.depth_conv(self.inverted_conv(x)))


class Block(nn.Module):
    """``main(x) + x``, or ``main(x)`` alone where the stride leaves nothing to add."""

    def __init__(self, main: nn.Module, *, residual: bool = True) -> None:
        super().__init__()
        self.main = main
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x) + x if self.residual else self.main(x)


class Ops(nn.Module):
    """Modules applied in turn, under the checkpoints' key ``op_list``."""

    def __init__(self, ops: Iterable[nn.Module]) -> None:
        super().__init__()
        self.op_list = nn.ModuleList(ops)

    def forward(self, x: Tensor) -> Tensor:
        for op in self.op_list:
            x = op(x)
        return x
