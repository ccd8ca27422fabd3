"""Means over objects, overall and by size, with their evidence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sambench.suites.metrics.sizes import SIZES, size_bins, sized
from sambench.suites.protocol import Protocol
from sambench.suites.scoring.objects import Column, Objects
from sambench.suites.scoring.scores import Scores


def mean_iou(
    iou: Mapping[str, np.ndarray],
    image_id: np.ndarray,
    area: np.ndarray,
    protocol: Protocol,
    *,
    ann_id: np.ndarray | None = None,
    category_id: np.ndarray | None = None,
    others: Mapping[str, np.ndarray] | None = None,
    scales: Mapping[str, float] | None = None,
) -> Scores:
    """Average IoU over instances, overall and by size.

    Args:
        iou: metric name to IoU of each object, (n,) in [0, 1]: ``{"miou": ...}``.
        image_id: (n,), for the resampling.
        area: (n,) square pixels, for the size.
        protocol: says where the bins end.
        ann_id: (n,), by which two models' objects are paired; their places by default.
        category_id: (n,), for ``name_per_category``; without it neither that nor ``name_per_image`` is there.
        others: metric name to other values of each object, (n,), averaged over all alone.
        scales: metric name to what its mean is multiplied by, where that is not 100.

    Returns:
        Metrics ``name``, ``name_small``, ``name_medium`` and ``name_large`` in percent, means over images and
        categories, the others, all intervals (none from a single image), the number of objects of each size,
        and the evidence of it all.
    """
    evidence = objects_by_size(iou, image_id, area, protocol, ann_id, category_id, others or {}, scales or {})
    counts = dict(zip(SIZES, evidence.groups.sum(axis=0).tolist(), strict=True))
    return Scores(evidence.numbers(), evidence.intervals(), counts, evidence=evidence)


def objects_by_size(
    shares: Mapping[str, np.ndarray],
    image_id: np.ndarray,
    area: np.ndarray,
    protocol: Protocol,
    ann_id: np.ndarray | None = None,
    category_id: np.ndarray | None = None,
    others: Mapping[str, np.ndarray] | None = None,
    scales: Mapping[str, float] | None = None,
) -> Objects:
    """Put together what means over objects are made of: overall and by size (see `mean_iou`)."""
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
