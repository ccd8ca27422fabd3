"""Who finds what, judged by pycocotools' own loops over the same overlaps."""

from collections import defaultdict

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from sambench.suites.scoring.greedy import FOUND, IGNORED, NOTHING, Pair, settle

RANGES = [(0, 1e10), (0, 1024), (1024, 9216), (9216, 1e10)]


def drawn(rng):
    """Overlaps with many ties, areas, crowds, and ids of which one is 0."""
    results, objects = rng.integers(1, 9), rng.integers(1, 10)
    iou = rng.choice([0.2, 0.5, 0.55, 0.7, 0.75, 0.9, 1.0], (results, objects))
    area, crowd = rng.choice([500, 1024, 5000, 20000], objects), rng.random(objects) < 0.2
    return iou, area, crowd, np.arange(objects) + rng.integers(0, 2)


def by_pycocotools(iou, area, crowd, ids):
    """What each result meets, (D, 4, 10); results are of no area range, so that only matches ignore them."""
    job = COCOeval(iouType="bbox")
    objects = [
        {"id": int(i), "area": a, "iscrowd": int(c), "ignore": int(c)}
        for i, a, c in zip(ids, area, crowd, strict=True)
    ]
    found = [{"id": d + 1, "score": -d, "area": 0} for d in range(len(iou))]
    job._gts, job._dts = defaultdict(list, {(1, 1): objects}), defaultdict(list, {(1, 1): found})
    job.ious = {(1, 1): iou}
    met = np.empty((len(iou), len(RANGES), 10), int)
    for k, (low, high) in enumerate(RANGES):
        for d in found:
            d["area"] = (low + high) / 2  # within, so that what meets nothing is not ignored for its size
        one = job.evaluateImg(1, 1, (low, high), 100)
        kinds = np.where(one["dtIgnore"], IGNORED, np.where(one["dtMatches"] > 0, FOUND, NOTHING))
        met[:, k] = kinds.T
    return met


@pytest.mark.parametrize("seed", range(3))
def test_results_meet_what_they_meet_in_pycocotools(seed):
    rng = np.random.default_rng(seed)
    worlds = [drawn(rng) for _ in range(40)]
    rows = np.split(
        rng.permutation(sum(len(w[0]) for w in worlds)), np.cumsum([len(w[0]) for w in worlds])[:-1]
    )
    pairs = []
    for (iou, area, crowd, ids), own in zip(worlds, rows, strict=True):
        outside = np.array([[a < low or a > high for low, high in RANGES] for a in area])
        pairs.append(Pair(own, iou, outside | crowd[:, None], crowd, ids == 0))
    met = np.full((sum(map(len, rows)), len(RANGES), 10), -1, np.int8)
    settle(pairs, met)
    for world, own in zip(worlds, rows, strict=True):
        np.testing.assert_array_equal(met[own], by_pycocotools(*world))
    assert {NOTHING, FOUND, IGNORED} == set(np.unique(met).tolist())
