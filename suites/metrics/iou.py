"""Mean IoU over instances, by size, with intervals from a bootstrap over images.

Objects of one image share its difficulties, so images are resampled, not objects: an interval over objects
would mostly be too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sambench.suites.protocol import MEDIUM_AREA, SMALL_AREA, Protocol

RESAMPLES = 2000
BOOTSTRAP_SEED = 20240208
CONFIDENCE = 95.0  # percent
SIZES = ("all", "small", "medium", "large")


@dataclass(frozen=True)
class Scores:
    """What a suite computes from the records of a cell."""

    metrics: dict[str, float | None]
    """Percent; ``None`` where there was no object to average."""
    intervals: dict[str, list[float]]
    """[low, high] of the 95% interval, percent."""
    counts: dict[str, int]
    """Objects by size."""


def size_bins(area: np.ndarray, protocol: Protocol) -> dict[str, np.ndarray]:
    """Sort objects into COCO's sizes: name to mask (n,) bool, ``all`` first.

    Small ends at 32^2, medium at 96^2 square pixels. With ``closed`` bins, as in the authors' script, an area
    of exactly 1024 is small and medium, one of 9216 medium and large.
    """
    closed = protocol.bins == "closed"
    return {
        "all": np.ones(len(area), bool),
        "small": area <= SMALL_AREA if closed else area < SMALL_AREA,
        "medium": (area >= SMALL_AREA) & ((area <= MEDIUM_AREA) if closed else (area < MEDIUM_AREA)),
        "large": area >= MEDIUM_AREA,
    }


def mean_iou(
    iou: Mapping[str, np.ndarray], image_id: np.ndarray, area: np.ndarray, protocol: Protocol
) -> Scores:
    """Average IoU over instances, overall and by size.

    Args:
        iou: metric name to IoU of each object, (n,) in [0, 1]: ``{"miou": ...}``.
        image_id: (n,), for the resampling.
        area: (n,) square pixels, for the size.
        protocol: says where the bins end.

    Returns:
        Metrics ``name``, ``name_small``, ``name_medium`` and ``name_large`` in percent, their intervals (none
        from a single image), and the number of objects of each size.
    """
    bins = size_bins(area, protocol)
    columns = {
        name if size == "all" else f"{name}_{size}": (values, bins[size])
        for name, values in iou.items()
        for size in SIZES
    }
    sums, counts = _per_image(columns, image_id)
    total = counts.sum(axis=0)
    metrics: dict[str, float | None] = {}
    intervals: dict[str, list[float]] = {}
    samples = _resample(sums, counts)
    for i, name in enumerate(columns):
        metrics[name] = float(100 * sums[:, i].sum() / total[i]) if total[i] else None
        drawn = samples[:, i][np.isfinite(samples[:, i])]
        if total[i] and len(sums) > 1 and len(drawn):
            edge = (100 - CONFIDENCE) / 2
            intervals[name] = [float(100 * v) for v in np.percentile(drawn, [edge, 100 - edge])]
    return Scores(metrics, intervals, {size: int(bins[size].sum()) for size in SIZES})


def _per_image(
    columns: Mapping[str, tuple[np.ndarray, np.ndarray]], image_id: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sum IoU and count objects by image: two arrays (images, columns)."""
    _, index = np.unique(image_id, return_inverse=True)
    n = int(index.max(initial=-1)) + 1
    sums = [np.bincount(index[m], weights=v[m], minlength=n) for v, m in columns.values()]
    counts = [np.bincount(index[m], minlength=n) for _, m in columns.values()]
    return np.stack(sums, axis=1), np.stack(counts, axis=1)


def _resample(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means (resamples, columns) over images drawn with replacement; not a number where none has objects."""
    images = len(sums)
    if images == 0:
        return np.zeros((0, sums.shape[1]))
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = rng.multinomial(images, np.full(images, 1 / images), size=RESAMPLES).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (drawn @ sums) / (drawn @ counts)
