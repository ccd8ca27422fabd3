"""What the lines of figures are made of: rows with their records, and means by size with their intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sambench.reports.figures.style import Look, Looks, row_looks
from sambench.reports.model import Row, Table
from sambench.reports.records import Scored, read_scored
from sambench.suites.metrics.clicks import clicks_to

LEAST = 10
"""Objects of a bin that is shown."""
_Z = 1.959964  # of a 95% interval


@dataclass(frozen=True)
class Series:
    """A row with what its records say."""

    row: Row
    look: Look
    scored: Scored


def with_records(table: Table, looks: Looks, *, clicks: bool | None = None) -> tuple[list[Series], str]:
    """Return the rows of a table that have records, and a sentence on those without.

    Args:
        table: of a suite.
        looks: of the models.
        clicks: whether an object must have several clicks, or one prompt; ``None`` where either will do.
    """
    rows = [row for row in table.done if row.entry]
    found = []
    absent = []
    for row, look in zip(rows, row_looks([row.model for row in rows], looks), strict=True):
        scored = read_scored(row.entry) if row.entry else None
        if scored is None or clicks not in (None, scored.iou.ndim == 2):
            absent.append(row)
        else:
            found.append(Series(row, look, scored))
    return found, left_out(absent, "their records were not found")


def left_out(rows: Iterable[Row], why: str) -> str:
    """Say which rows a figure is without, and why; nothing where there are none."""
    names = "; ".join(", ".join([row.name, *row.said]) for row in rows)
    return f"Left out, because {why}: {names}." if names else ""


@dataclass(frozen=True)
class BySize:
    """Mean IoUs of objects in bins of their size; bins with few objects are left out."""

    size: np.ndarray
    """(bins,) the middle of each bin, on the scale of logarithms, pixels."""
    mean: np.ndarray
    """(bins,) percent."""
    low: np.ndarray
    high: np.ndarray
    """(bins,) the 95% interval, percent; not a number in a bin of one image."""


def by_size(scored: Scored) -> BySize:
    """Average the IoUs (N,) of objects by the square root of their area, in half octaves."""
    there = np.isfinite(scored.size) & (scored.size > 0)
    iou, image = 100 * scored.iou[there], scored.image[there]
    place = np.floor(2 * np.log2(scored.size[there])).astype(np.int64)
    bins, objects = np.unique(place, return_counts=True)
    bins = bins[objects >= LEAST]
    members = [place == one for one in bins]
    ends = np.array([mean_interval(iou[m], image[m]) for m in members]).reshape(-1, 3)
    return BySize(2.0 ** ((bins + 0.5) / 2), *ends.T)


def mean_interval(values: np.ndarray, image: np.ndarray) -> tuple[float, float, float]:
    """Return the mean over objects and its 95% interval, where those of an image are alike.

    The interval is the normal one of a ratio of sums over images, which a bootstrap over images comes to.

    Args:
        values: (n,), at least one.
        image: (n,), each object's image.
    """
    mean = float(values.mean())
    images, place = np.unique(image, return_inverse=True)
    m = len(images)
    if m < 2:
        return mean, float("nan"), float("nan")
    off = np.bincount(place, weights=values - mean)
    half = _Z * float(np.sqrt(m / (m - 1) * (off**2).sum())) / len(values)
    return mean, mean - half, mean + half


def shares_reached(iou: np.ndarray, quality: float) -> np.ndarray:
    """Return the share of objects that reached a quality by each number of clicks, (clicks,) percent.

    Args:
        iou: (N, clicks) in [0, 1]; an object counts from the first click on that reached it.
        quality: in [0, 1].
    """
    first = clicks_to(iou, quality)
    return np.array([100 * np.mean((first > 0) & (first <= k)) for k in range(1, 1 + iou.shape[1])])
