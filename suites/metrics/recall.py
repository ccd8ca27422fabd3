"""Recall of objects by many masks, class-agnostic, as COCO counts it for object proposals.

At each IoU of .50, .55, ... .95 the masks choose in turn, each the free object that it covers best and at
least so well. An object's recall is the share of the ten thresholds at which some mask chose it. For a size,
the masks choose anew among the objects of that size alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as rle

from sambench.suites.data.rle import encode
from sambench.suites.data.sample import Target
from sambench.suites.metrics.sizes import SIZES, size_bins
from sambench.suites.protocol import Protocol

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # cocodataset.org, detection evaluation


def match(
    masks: Sequence[Mapping[str, Any]], objects: Sequence[Target], protocol: Protocol
) -> list[dict[str, int | None]]:
    """Count at how many thresholds each object is matched, among all objects and among those of its size.

    Args:
        masks: RLEs, in the order of their choice.
        objects: of the same image.
        protocol: says what decides the size, and where the bins end.

    Returns:
        For each object its count by size, 0 to 10; ``None`` for the sizes that it has not.
    """
    iou = _iou(masks, objects)
    area = np.array([t.area if protocol.area_source == "ann" else t.mask.area for t in objects])
    counted: list[dict[str, int | None]] = [dict.fromkeys(SIZES) for _ in objects]
    for size, members in size_bins(area, protocol).items():
        where = np.flatnonzero(members)
        for index, times in zip(where, times_matched(iou[:, where]), strict=True):
            counted[index][size] = int(times)
    return counted


def times_matched(iou: np.ndarray) -> np.ndarray:
    """Count the thresholds at which each object is matched.

    Args:
        iou: (masks, objects), the masks in the order of their choice.

    Returns:
        (objects,) of 0 to 10.
    """
    matched = np.zeros(iou.shape[1], np.int64)
    for threshold in THRESHOLDS:
        free = np.ones(iou.shape[1], bool)
        for row in iou[(iou >= threshold).any(axis=1)]:
            left = np.where(free, row, -1.0)
            best = len(left) - 1 - left[::-1].argmax()  # the last among equals, as COCOeval has it
            if left[best] >= threshold:
                free[best] = False
        matched += ~free
    return matched


def _iou(masks: Sequence[Mapping[str, Any]], objects: Sequence[Target]) -> np.ndarray:
    """IoU of masks with objects, (masks, objects)."""
    # One at a time: 200 objects of a 12-megapixel image are 2.4 GB of pixels.
    truth = [encode(t.mask.full()[None])[0] for t in objects]
    if not masks or not truth:
        return np.zeros((len(masks), len(truth)))
    return np.asarray(rle.iou(list(masks), truth, [0] * len(truth)))
