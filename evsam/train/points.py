"""Where a mask is looked at: mostly where the model is least certain (PointRend, arXiv 1912.08193).

Coordinates are (N, P, 2), x then y, in [0, 1] over the mask's width and height.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Uniform = Callable[[tuple[int, int, int]], Tensor]
"""Gives a float32 tensor of numbers in [0, 1) of a shape (N, P, 2)."""

POINTS = 112 * 112
OVERSAMPLE = 3
UNCERTAIN = 0.75
"""Of so many points, three times as many are drawn, and three quarters are the least certain of these
(PointRend's numbers for masks, which the released ``loss_masks`` takes over)."""


def look_up(maps: Tensor, xy: Tensor) -> Tensor:
    """Read maps (N, 1, H, W) at points (N, P, 2), bilinear between pixel centres: (N, P)."""
    found = F.grid_sample(maps, 2 * xy[:, None] - 1, mode="bilinear", align_corners=False)
    return found[:, 0, 0]


@torch.no_grad()
def uncertain_points(logits: Tensor, uniform: Uniform) -> Tensor:
    """Choose points (N, 12544, 2) on maps (N, 1, H, W), the least certain first.

    Args:
        logits: whose sign is most in doubt where they are near 0.
        uniform: called twice, for the candidates and for the points that are taken as they come.
    """
    n = logits.shape[0]
    certain = int(UNCERTAIN * POINTS)
    candidates = uniform((n, OVERSAMPLE * POINTS, 2))
    doubt = -look_up(logits, candidates).abs()
    best = doubt.topk(certain, dim=1).indices
    chosen = candidates.gather(1, best[..., None].expand(-1, -1, 2))
    return torch.cat([chosen, uniform((n, POINTS - certain, 2))], dim=1)
