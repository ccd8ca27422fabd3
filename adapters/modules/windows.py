"""Cutting maps into windows for attention, and putting them together again."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from sambench.evsam.size import Size


def to_windows(x: Tensor, side: int) -> Tensor:
    """Cut maps (B, H, W, C) into windows (B windows, side, side, C).

    Zeros fill the last windows of a row and of a column, and take part in the attention like pixels.
    """
    b, h, w, c = x.shape
    x = F.pad(x, (0, 0, 0, -w % side, 0, -h % side))
    x = x.reshape(b, x.shape[1] // side, side, x.shape[2] // side, side, c)
    return x.transpose(2, 3).flatten(0, 2)


def from_windows(windows: Tensor, size: Size) -> Tensor:
    """Put windows (B windows, side, side, C) together to maps (B, H, W, C) of a size (H, W)."""
    (h, w), side, c = size, windows.shape[1], windows.shape[3]
    rows, columns = -(-h // side), -(-w // side)
    x = windows.reshape(-1, rows, columns, side, side, c).transpose(2, 3)
    return x.reshape(-1, rows * side, columns * side, c)[:, :h, :w]
