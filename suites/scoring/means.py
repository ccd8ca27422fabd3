"""Means over objects, overall and by size, with their evidence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sambench.suites.metrics.sizes import SIZES, size_bins, sized
from sambench.suites.protocol import Protocol
from sambench.suites.scoring.objects import Column, Objects
from sambench.suites.scoring.scores import Scores


def mean_iou(
    iou: Mapping[str, np.ndarray], image_id: np.ndarray, area: np.ndarray, protocol: Protocol
) -> Scores:
    """Average IoU over instances, overall and by size (see `objects_by_size` and `scores_of`)."""
    return scores_of(objects_by_size(iou, image_id, area, protocol))


def scores_of(objects: Objects) -> Scores:
    """Return the means over objects, whose first groups are sizes: with intervals, and each size's count."""
    sizes = objects.groups.sum(axis=0)[: len(SIZES)]
    counts = dict(zip(SIZES, sizes.tolist(), strict=True))
    return Scores(objects.numbers(), objects.intervals(), counts, evidence=objects)


def objects_by_size(
    shares: Mapping[str, np.ndarray],
    image_id: np.ndarray,
    area: np.ndarray,
    protocol: Protocol,
    *,
    ann_id: np.ndarray | None = None,
    category_id: np.ndarray | None = None,
    others: Mapping[str, np.ndarray] | None = None,
    scales: Mapping[str, float] | None = None,
) -> Objects:
    """Put together what means over n objects are made of.

    Args:
        shares: metric name to a share of each object, (n,) in [0, 1], averaged over all (``name``), over
            those of each size (``name_small``, ``name_medium``, ``name_large``), images and categories.
        image_id: (n,), for the resampling.
        area: (n,) square pixels, for the size.
        protocol: says where the bins end.
        ann_id: (n,), by which two models' objects are paired; their places by default.
        category_id: (n,), without which there are no means over images and categories.
        others: metric name to other values of each object, (n,), averaged over all alone.
        scales: metric name to what its mean is multiplied by, where that is not 100.
    """
    others, scales = others or {}, scales or {}
    named = {**shares, **others}
    columns = [
        Column(sized(name, size), value, group, scales.get(name, 100.0))
        for value, name in enumerate(named)
        for group, size in enumerate(SIZES)
        if name in shares or size == "all"
    ]
    return Objects(
        columns=tuple(columns),
        image=np.asarray(image_id, np.int64),
        ann_id=np.arange(len(image_id)) if ann_id is None else ann_id,
        category=np.zeros(len(image_id), np.int64) if category_id is None else category_id,
        values=np.stack([np.asarray(v, np.float64) for v in named.values()], axis=1),
        groups=np.stack(list(size_bins(area, protocol).values()), axis=1),
        averaged=() if category_id is None else tuple(shares),
    )
