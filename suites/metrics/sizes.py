"""COCO's sizes of objects: small, medium, large."""

from __future__ import annotations

import numpy as np

from sambench.suites.protocol import MEDIUM_AREA, SMALL_AREA, Protocol

SIZES = {"all": "All objects", "small": "Small", "medium": "Medium", "large": "Large"}
"""Name to title."""


def sized(metric: str, size: str) -> str:
    """Name a metric over the objects of a size: ``miou`` over all, ``miou_small``, ``miou_medium``, ..."""
    return metric if size == "all" else f"{metric}_{size}"


def size_of(area: float) -> str:
    """Name COCO's size of one object: half-open bins of its area, square pixels, whatever a protocol says."""
    if area < SMALL_AREA:
        return "small"
    return "medium" if area < MEDIUM_AREA else "large"


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
