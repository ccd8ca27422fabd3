"""Means over objects, overall and by size, with what they are made of image by image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sambench.suites.metrics.sizes import SIZES, size_bins, sized
from sambench.suites.protocol import Protocol
from sambench.suites.scoring.bootstrap import ImageSums, image_sums
from sambench.suites.scoring.scores import Scores


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
    summed = sums_by_size(iou, image_id, area, protocol)
    objects = summed.counts[:, : len(SIZES)].sum(axis=0).tolist()
    return Scores(summed.means(), summed.intervals(), dict(zip(SIZES, objects, strict=True)))


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
