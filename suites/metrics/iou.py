"""IoU of masks with their objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sambench.suites.data.masks import WindowMask

if TYPE_CHECKING:
    from torch import Tensor


def mask_iou(masks: Tensor, truth: Sequence[WindowMask]) -> np.ndarray:
    """IoU of n predicted masks (n, H, W) bool with their objects, (n,) float64; 0 where both are empty.

    Counted where the masks are: numpy on the CPU (its count over bytes is several times torch's), one
    reduction for all on a GPU.
    """
    if masks.device.type == "cpu":
        pairs = [_count(m, t) for m, t in zip(masks.numpy(), truth, strict=True)]
        overlap, predicted = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    else:
        overlap, predicted = count_on_device(masks, truth)
    union = predicted + np.array([t.area for t in truth], dtype=np.int64) - overlap
    return overlap / np.maximum(union, 1)


def _count(mask: np.ndarray, truth: WindowMask) -> tuple[int, int]:
    """Pixels in both, and in the predicted mask."""
    overlap = np.count_nonzero(mask[truth.window] & truth.pixels)
    return int(overlap), int(np.count_nonzero(mask))


def count_on_device(masks: Tensor, truth: Sequence[WindowMask]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in both, and in the predicted masks, each (n,), in three reductions on the masks' device."""
    import torch

    full = torch.from_numpy(np.stack([t.full() for t in truth])).to(masks.device, non_blocking=True)
    overlap = (masks & full).flatten(1).sum(dim=1)
    predicted = masks.flatten(1).sum(dim=1)
    counted = torch.stack([overlap, predicted]).cpu().numpy()
    return counted[0], counted[1]
