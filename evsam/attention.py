"""ReLU linear attention with multi-scale tokens: the idea that makes EfficientViT fast.

Softmax attention costs (H W)^2. With ``ReLU(q) . ReLU(k)`` as similarity the sum over keys can be done
first, so the cost is linear in H W (EfficientViT, arXiv 2205.14756, section 3.1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.evsam.kernels import linear_attention
from sambench.evsam.layers import LARGE, Block, ConvLayer, MBConv, Style

HEAD_DIM = 32
DIVISION_EPS = 1e-15  # keeps 0 / 0 at zero where all similarities of a query vanish


class LiteMLA(nn.Module):
    """Lightweight multi-scale attention, (B, C, H, W) to the same shape.

    Two sets of heads share the attention: one on q, k, v as projected, one on q, k, v aggregated over a
    ``kernel`` x ``kernel`` neighbourhood. Channels of the projections are grouped by head as (q, k, v).
    """

    def __init__(self, channels: int, *, kernel: int, head_dim: int = HEAD_DIM, style: Style = LARGE) -> None:
        super().__init__()
        self.head_dim = head_dim
        heads = channels // head_dim
        self.qkv = ConvLayer(channels, 3 * channels, norm=False)
        depthwise = nn.Conv2d(
            3 * channels, 3 * channels, kernel, padding=kernel // 2, groups=3 * channels, bias=False
        )
        mix = nn.Conv2d(3 * channels, 3 * channels, 1, groups=3 * heads, bias=False)
        self.aggreg = nn.ModuleList([nn.Sequential(depthwise, mix)])
        self.proj = ConvLayer(2 * channels, channels, style=style)

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        qkv = self.qkv(x)
        qkv = torch.cat([qkv, self.aggreg[0](qkv)], dim=1)  # (B, 2 * 3C, H, W)
        qkv = qkv.reshape(b, -1, 3 * self.head_dim, h * w)  # (B, 2 * heads, 3 * head_dim, H W)
        q, k, v = qkv.chunk(3, dim=2)
        if not self.training and linear_attention.usable(q):
            out = linear_attention.fused(q, k, v, DIVISION_EPS)
        else:
            out = relu_linear_attention(q, k, v)
        return self.proj(out.to(x.dtype).reshape(b, -1, h, w))


def relu_linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with ``ReLU(q) . ReLU(k)`` as weights. All tensors are (B, heads, d, n), so is the result.

    A row of ones under the values carries the sum of the weights through the same two products. Half
    precision is computed in float32: the sums over thousands of pixels overflow it.
    """
    if q.dtype == torch.float16:
        q, k, v = q.float(), k.float(), v.float()
    with torch.autocast(device_type=q.device.type, enabled=False):
        q, k = F.relu(q), F.relu(k)
        v = F.pad(v, (0, 0, 0, 1), value=1.0)
        out = ((v @ k.transpose(-1, -2)) @ q).float()  # (B, heads, d + 1, n)
        return out[:, :, :-1] / (out[:, :, -1:] + DIVISION_EPS)


class EfficientViTBlock(nn.Module):
    """Attention for context, then an inverted bottleneck for local detail; both residual."""

    def __init__(
        self,
        channels: int,
        *,
        expand: int,
        kernel: int,
        head_dim: int = HEAD_DIM,
        style: Style = LARGE,
    ) -> None:
        super().__init__()
        self.context_module = Block(LiteMLA(channels, kernel=kernel, head_dim=head_dim, style=style))
        self.local_module = Block(MBConv(channels, channels, expand=expand, style=style))

    def forward(self, x: Tensor) -> Tensor:
        return self.local_module(self.context_module(x))
