"""Convolution and batch norm, the building block of TinyViT and RepViT, and the stem that the two share."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

NORM_EPS = 1e-5
"""Epsilon of their norms (torch's default, which the official code leaves alone)."""


class ConvBN(nn.Sequential):
    """Convolution without bias, "same" padding, then batch norm: (B, C, H, W) to (B, C', H', W')."""

    c: nn.Conv2d
    bn: nn.Module

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(OrderedDict(c=conv, bn=nn.BatchNorm2d(out_channels, eps=NORM_EPS)))

    def fuse(self) -> None:
        """Fold the norm into the convolution (see `evsam.fuse`)."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.c, self.bn = fuse_conv_bn_eval(self.c, self.bn), nn.Identity()


def conv_stem(width: int) -> nn.Sequential:
    """Build the stem that TinyViT and RepViT share: images (B, 3, 4 h, 4 w) to (B, width, h, w)."""
    return nn.Sequential(
        ConvBN(3, width // 2, kernel=3, stride=2),
        nn.GELU(),
        ConvBN(width // 2, width, kernel=3, stride=2),
    )
