"""RepViT: a mobile convolution network with a vision transformer's split into token and channel mixers.

After RepViT (github.com/THU-MIG/RepViT, arXiv 2307.09283; ``sam/repvit_sam/modeling/repvit.py``) and
EdgeSAM's ``modeling/rep_vit.py``, which build on two releases of it that differ in the token mixer alone.
The branches of a token mixer could be folded into one convolution; the official checkpoints keep them apart,
and so does this. Attribute names are theirs. All maps are (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sambench.adapters.modules.conv_bn import NORM_EPS, ConvBN, conv_stem

EXPAND = 2  # of the channel mixers
SQUEEZE = 4  # channels of a map to those of its squeeze-and-excitation, rounded ...
DIVISOR = 8  # ... to a multiple of this (timm's ``SqueezeExcite(channels, 0.25)``)


@dataclass(frozen=True)
class Stage:
    """One resolution of the network.

    It begins with the step from the stage before and ends, if it is not the last, with one plain block.
    """

    width: int
    """Channels."""
    pairs: int
    """Pairs of blocks in between, the first of each with squeeze-and-excitation."""
    stride: int = 2
    """Of the step."""


class RepViT(nn.Module):
    """The network without a head: images (B, 3, S, S) to its deepest map (B, width, h, w).

    Args:
        stages: from the finest to the coarsest.
        token_mixer: builds the mixer of a block from its channels.
    """

    def __init__(self, stages: Sequence[Stage], *, token_mixer: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.features = nn.ModuleList([conv_stem(stages[0].width)])
        self.ends: list[int] = []
        for i, stage in enumerate(stages):
            if i > 0:
                self.features.append(_step(stages[i - 1].width, stage))
            excited = [True, False] * stage.pairs + [False] * (i < len(stages) - 1)
            self.features.extend(_block(token_mixer(stage.width), stage.width, excited=e) for e in excited)
            self.ends.append(len(self.features) - 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x)[-1]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return each stage's last map for images (B, 3, S, S): (B, width, S / 4, S / 4) and coarser."""
        maps = []
        for i, feature in enumerate(self.features):
            x = feature(x)
            if i in self.ends:
                maps.append(x)
        return maps


class Block(nn.Module):
    """Mix pixels, then channels: (B, C, H, W) to the same shape, or to what the token mixer makes of it."""

    def __init__(self, token_mixer: nn.Module, channels: int) -> None:
        super().__init__()
        self.token_mixer = token_mixer
        self.channel_mixer = ChannelMixer(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.channel_mixer(self.token_mixer(x))


def _block(token_mixer: nn.Module, channels: int, *, excited: bool) -> Block:
    excite = SqueezeExcite(channels) if excited else nn.Identity()
    return Block(nn.Sequential(token_mixer, excite), channels)


def _step(in_channels: int, stage: Stage) -> Block:
    """Build the block that changes resolution and width."""
    token_mixer = nn.Sequential(
        ConvBN(in_channels, in_channels, kernel=3, stride=stage.stride, groups=in_channels),
        nn.Identity(),  # a place for squeeze-and-excitation, which no step has; it counts in the keys
        ConvBN(in_channels, stage.width),
    )
    return Block(token_mixer, stage.width)


class ChannelMixer(nn.Module):
    """Two 1x1 convolutions with the exact GELU between them, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = EXPAND * channels
        self.m = nn.Sequential(ConvBN(channels, hidden), nn.GELU(), ConvBN(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.m(x)


class TokenMixer(nn.Module):
    """Depthwise 3x3, 1x1 and identity in parallel, the convolutions each with a norm (RepViT-M1 to M3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvBN(channels, channels, kernel=3, groups=channels)
        self.conv1: ConvBN | None = ConvBN(channels, channels, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if self.conv1 is None else self.conv(x) + self.conv1(x) + x

    def fuse(self) -> None:
        """Fold the three branches into the 3x3 convolution (see `evsam.fuse`)."""
        if self.conv1 is not None:
            self.conv.fuse()
            self.conv1.fuse()
            _add_branches(self.conv.c, self.conv1.c)
            self.conv1 = None


class NormedTokenMixer(nn.Module):
    """The same with the norm of the 1x1 branch moved behind the sum (RepViT-M0.9 to M2.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvBN(channels, channels, kernel=3, groups=channels)
        self.conv1: nn.Conv2d | None = nn.Conv2d(channels, channels, 1, groups=channels)
        self.bn: nn.Module = nn.BatchNorm2d(channels, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if self.conv1 is None else self.bn(self.conv(x) + self.conv1(x) + x)

    def fuse(self) -> None:
        """Fold the branches and the norm into the 3x3 convolution (see `evsam.fuse`)."""
        if self.conv1 is not None and isinstance(self.bn, nn.BatchNorm2d):
            self.conv.fuse()
            _add_branches(self.conv.c, self.conv1)
            self.conv.c = fuse_conv_bn_eval(self.conv.c, self.bn)
            self.conv1, self.bn = None, nn.Identity()


@torch.no_grad()
def _add_branches(conv: nn.Conv2d, conv1: nn.Conv2d) -> None:
    """Add a depthwise 1x1 convolution and the identity to a depthwise 3x3 one; both have a bias."""
    assert conv.bias is not None
    assert conv1.bias is not None
    conv.weight[:, :, 1, 1] += conv1.weight[:, :, 0, 0] + 1
    conv.bias += conv1.bias


class SqueezeExcite(nn.Module):
    """Scale each channel by what the means of all channels say (arXiv 1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = int(channels / SQUEEZE + DIVISOR / 2) // DIVISOR * DIVISOR
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(means))))
