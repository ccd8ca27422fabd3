"""The neck by which SAM's vision transformer, and the encoders that replace it, reach SAM's embedding."""

from __future__ import annotations

from torch import nn

from sambench.evsam.layers import LayerNorm2d
from sambench.evsam.neck import EMBED_DIM

NORM_EPS = 1e-6
"""Epsilon of both norms (official ``modeling/common.py``)."""


def sam_neck(in_channels: int, out_channels: int = EMBED_DIM) -> nn.Sequential:
    """Build the neck, (B, in_channels, h, w) to (B, out_channels, h, w) (official ``image_encoder.py``).

    The convolutions have no bias: the norm behind each of them brings its own.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        LayerNorm2d(out_channels, eps=NORM_EPS),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        LayerNorm2d(out_channels, eps=NORM_EPS),
    )
