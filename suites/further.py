"""Metrics beside the IoU of suites that score objects: other averages, boundary IoU, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from sambench.suites.metrics.sizes import SIZES, sized
from sambench.suites.scoring.scores import Metric

AVERAGES = {"per_image": "Mean of images", "per_category": "Mean of categories"}


def averages(name: str, title: str = "", part: str = "Other averages of the IoU") -> Iterator[Metric]:
    """Declare the means over images and over categories of a metric, one object a share."""
    for end, words in AVERAGES.items():
        yield Metric(f"{name}_{end}", title or words, group=words if title else "", part=part)


def boundaries(titles: Mapping[str, str]) -> Iterator[Metric]:
    """Declare boundary IoUs (`suites.metrics.boundary`): over objects by size, over images, over categories.

    Args:
        titles: metric to what its column is called where there are several.
    """
    for size, objects in SIZES.items():
        for name, title in titles.items():
            several = len(titles) > 1
            own, group = (title, objects) if several else (objects, "")
            yield Metric(sized(name, size), own, group=group, part="Boundary IoU")
    for name, title in titles.items():
        part = "Other averages of the boundary IoU"
        yield from averages(name, title if len(titles) > 1 else "", part)


def calibrations(titles: Mapping[str, str]) -> Iterator[Metric]:
    """Declare how far predicted IoU is from the true one, for each ending of the names."""
    for end, title in titles.items():
        error, bias = _names(end)
        part = "Predicted IoU beside the true one"
        yield Metric(error, "Absolute error", higher_is_better=False, group=title, part=part)
        yield Metric(bias, "Predicted minus true", higher_is_better=None, group=title, part=part)


def calibration(end: str, predicted: np.ndarray, iou: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the metrics of `calibrations` average, (n,) each."""
    error, bias = _names(end)
    off = predicted.astype(np.float64) - iou
    return {error: np.abs(off), bias: off}


def _names(end: str) -> tuple[str, str]:
    return f"pred_iou_error{end}", f"pred_iou_bias{end}"
