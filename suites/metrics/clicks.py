"""NoC: how many clicks an object takes to a quality ("number of clicks", as for RITM, arXiv 2102.06583)."""

from __future__ import annotations

import numpy as np

QUALITIES = (80, 85, 90)  # IoU, percent (RITM, section 4)


def clicks_to(iou: np.ndarray, quality: float) -> np.ndarray:
    """Count the clicks until an object's IoU first is ``quality`` or better.

    Args:
        iou: (n, clicks) in [0, 1], after each click.
        quality: in [0, 1].

    Returns:
        (n,) int64, from 1; 0 where it never gets there.
    """
    there = iou >= quality
    return np.where(there.any(axis=1), there.argmax(axis=1) + 1, 0)


def number_of_clicks(iou: np.ndarray, quality: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what NoC averages, and which objects never get there.

    Returns:
        Clicks (n,), all of them where the quality is never reached, as the field counts; and (n,) bool.
    """
    clicks = clicks_to(iou, quality)
    return np.where(clicks > 0, clicks, iou.shape[1]), clicks == 0
