"""COCO's sizes of objects: small, medium, large; and what is added up by them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sambench.suites.metrics.bootstrap import ImageSums, image_sums
from sambench.suites.protocol import MEDIUM_AREA, SMALL_AREA, Protocol

SIZES = {"all": "All objects", "small": "Small", "medium": "Medium", "large": "Large"}
"""Name to title."""


def sized(metric: str, size: str) -> str:
    """Name a metric over the objects of a size: ``miou`` over all, ``miou_small``, ``miou_medium``, ..."""
    return metric if size == "all" else f"{metric}_{size}"


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


def sums_by_size(
    shares: Mapping[str, np.ndarray], image_id: np.ndarray, area: np.ndarray, protocol: Protocol
) -> ImageSums:
    """Add up shares of objects, such as IoU, image by image: overall and by size.

    Args:
        shares: metric name to the share of each object, (n,) in [0, 1].
        image_id: (n,).
        area: (n,) square pixels.
        protocol: says where the bins end.

    Returns:
        For each name the columns ``name``, ``name_small``, ``name_medium`` and ``name_large``.
    """
    bins = size_bins(area, protocol)
    return image_sums(
        {sized(name, size): (values, bins[size]) for name, values in shares.items() for size in SIZES},
        image_id,
    )
