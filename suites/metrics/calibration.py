"""How well a model knows its masks: its predicted IoU beside the true one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 10  # of predicted IoU, as wide as each other


@dataclass(frozen=True)
class Reliability:
    """Objects sorted into bins by predicted IoU; bins without an object are left out."""

    predicted: np.ndarray
    """(bins,) mean predicted IoU."""
    actual: np.ndarray
    """(bins,) mean IoU."""
    objects: np.ndarray
    """(bins,)."""

    @property
    def error(self) -> float:
        """Expected calibration error: the mean over objects of their bin's |predicted - actual|."""
        return float(np.average(np.abs(self.predicted - self.actual), weights=self.objects))


def reliability(predicted: np.ndarray, actual: np.ndarray) -> Reliability:
    """Sort n objects into bins by predicted IoU; what lies outside of 0 to 1 goes into the outermost bins.

    Args:
        predicted: (n,), at least one.
        actual: (n,) IoU in [0, 1].
    """
    place = np.clip((predicted * BINS).astype(np.int64), 0, BINS - 1)
    objects = np.bincount(place, minlength=BINS)
    there = objects > 0
    means = [
        np.bincount(place, weights=v, minlength=BINS)[there] / objects[there] for v in (predicted, actual)
    ]
    return Reliability(means[0], means[1], objects[there])
