"""TinyViT (arXiv 2207.10666): convolutions first, then attention in windows; and what MobileSAM makes of it.

After MobileSAM's ``modeling/tiny_vit_sam.py`` (github.com/ChaoningZhang/MobileSAM, arXiv 2306.14289), which
has TinyViT-5M at stride 16, its last halving left out, and SAM's neck in place of the classifier.
Attribute names are those of the official checkpoints. Maps between the stages are (B, H, W, C), as
attention wants them; convolutions see the same memory as (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.adapters.modules.conv_bn import NORM_EPS, ConvBN, conv_stem
from sambench.adapters.modules.neck import sam_neck
from sambench.adapters.modules.windows import from_windows, to_windows

HEAD_DIM = 32
EXPAND = 4  # of the inverted bottlenecks and of the feed-forward layers
CLASSES = 1000


@dataclass(frozen=True)
class Stage:
    """One resolution of the encoder."""

    width: int
    """Channels."""
    depth: int
    """Blocks."""
    window: int
    """Side of the attention's windows; 0 for inverted bottlenecks in place of attention."""
    stride: int = 2
    """Of the step into this stage."""


TINY_VIT_5M = (
    Stage(64, depth=2, window=0),
    Stage(128, depth=2, window=7),
    Stage(160, depth=6, window=14),
    Stage(320, depth=2, window=7, stride=1),  # TinyViT halves here too; SAM's decoder wants 64 x 64
)
"""The numbers of ``build_sam.py``; the stride is in ``PatchMerging``."""


class TinyViT(nn.Module):
    """The network without a head: images (B, 3, S, S) to its deepest map (B, width, h, w)."""

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(stages[0].width)
        steps = [Downsample(a.width, b.width, stride=b.stride) for a, b in pairwise(stages)]
        self.layers = nn.ModuleList(
            Layer(_blocks(stage), step) for stage, step in zip(stages, [*steps, None], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = channels_last(self.patch_embed(x))
        for layer in self.layers:
            x = layer(x)
        return channels_first(x)


class SamTinyViT(TinyViT):
    """Preprocessed images (B, 3, 16 h, 16 w) to embeddings (B, 256, h, w)."""

    def __init__(self, stages: tuple[Stage, ...] = TINY_VIT_5M) -> None:
        super().__init__(stages)
        # TinyViT's ImageNet classifier. Nothing calls it, but official checkpoints have it.
        self.norm_head = nn.LayerNorm(stages[-1].width, eps=NORM_EPS)
        self.head = nn.Linear(stages[-1].width, CLASSES)
        self.neck = sam_neck(stages[-1].width)

    def forward(self, x: Tensor) -> Tensor:
        return self.neck(super().forward(x))


class Layer(nn.Module):
    """The blocks of a stage and the step to the next: (B, H, W, C) to (B, H / 2, W / 2, next C)."""

    def __init__(self, blocks: Iterable[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


def _blocks(stage: Stage) -> list[nn.Module]:
    if stage.window == 0:
        return [MBConv(stage.width) for _ in range(stage.depth)]
    return [TinyViTBlock(stage.width, window=stage.window) for _ in range(stage.depth)]


class PatchEmbed(nn.Module):
    """The stem under the checkpoints' key ``seq``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = conv_stem(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.seq(x)


class MBConv(nn.Module):
    """Inverted bottleneck whose last activation comes after the sum, (B, H, W, C) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = EXPAND * channels
        self.conv1 = ConvBN(channels, hidden)
        self.conv2 = ConvBN(hidden, hidden, kernel=3, groups=hidden)
        self.conv3 = ConvBN(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = channels_first(x)
        y = F.gelu(self.conv1(x))
        y = F.gelu(self.conv2(y))
        return channels_last(F.gelu(self.conv3(y) + x))


class Downsample(nn.Module):
    """Step to the next stage, (B, H, W, C) to (B, H / stride, W / stride, C')."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvBN(in_channels, out_channels)
        self.conv2 = ConvBN(out_channels, out_channels, kernel=3, stride=stride, groups=out_channels)
        self.conv3 = ConvBN(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.conv1(channels_first(x)))
        x = F.gelu(self.conv2(x))
        return channels_last(self.conv3(x))


class TinyViTBlock(nn.Module):
    """Attention in windows, a depthwise convolution that joins them, a feed-forward layer.

    (B, H, W, C) to the same shape. The convolution alone has no residual.
    """

    def __init__(self, channels: int, *, window: int) -> None:
        super().__init__()
        self.attn = WindowAttention(channels, window=window)
        self.local_conv = ConvBN(channels, channels, kernel=3, groups=channels)
        self.mlp = MLP(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        x = channels_last(self.local_conv(channels_first(x)))
        return x + self.mlp(x)


class WindowAttention(nn.Module):
    """Norm and multi-head attention within windows, with a learned bias for each offset.

    The bias of head h between pixels dy rows and dx columns apart is ``attention_biases[h, |dy| window +
    |dx|]``, read at every call. The official code reads it once, in ``eval()``, so weights loaded
    afterwards are ignored until ``eval()`` is called again; its users must.
    """

    bias_index: Tensor

    def __init__(self, channels: int, *, window: int) -> None:
        super().__init__()
        self.window = window
        self.heads = channels // HEAD_DIM
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(self.heads, window**2))
        self.register_buffer("bias_index", _offsets(window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[1], x.shape[2])
        x = to_windows(x, self.window).flatten(1, 2)  # (N, window^2, C)
        # The zeros of the padding pass the norm as well and are attended to, as its bias.
        qkv = self.qkv(self.norm(x)).unflatten(-1, (self.heads, 3 * HEAD_DIM)).transpose(1, 2)
        q, k, v = qkv.chunk(3, dim=-1)  # (N, heads, window^2, 32)
        bias = self.attention_biases[:, self.bias_index]  # (heads, window^2, window^2)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        out = self.proj(out.transpose(1, 2).flatten(2))
        return from_windows(out.unflatten(1, (self.window, self.window)), size)


class MLP(nn.Module):
    """Norm and two linear layers with the exact GELU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.fc1 = nn.Linear(channels, EXPAND * channels)
        self.fc2 = nn.Linear(EXPAND * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


def _offsets(window: int) -> Tensor:
    """Number ``|dy| window + |dx|`` of each pair of a window's pixels, (window^2, window^2)."""
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    y, x = y.flatten(), x.flatten()
    return (y[:, None] - y).abs() * window + (x[:, None] - x).abs()


def channels_first(x: Tensor) -> Tensor:
    """See (B, H, W, C) as (B, C, H, W); nothing is copied."""
    return x.permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """See (B, C, H, W) as (B, H, W, C); nothing is copied."""
    return x.permute(0, 2, 3, 1)
