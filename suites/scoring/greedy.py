"""The evaluators' rule of who finds what: the best result first, each the free object that it overlaps most.

pycocotools goes through results, objects, thresholds and ranges of area in four loops; here the results of
many images and categories go side by side, and only the rank among their own is a loop.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_LEAST = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)  # as the official evaluators have it

NOTHING, FOUND, IGNORED = 0, 1, 2
"""What a result met: no object, an object, or one that is ignored."""


@dataclass(frozen=True)
class Pair:
    """The D results and the G objects of an image and category."""

    rows: np.ndarray
    """(D,) which results they are, the best first."""
    iou: np.ndarray
    """(D, G) float64."""
    ignored: np.ndarray
    """(G, A) bool: in which ranges of area an object is ignored."""
    crowd: np.ndarray
    """(G,) bool: it can be met any number of times."""
    unmatchable: np.ndarray
    """(G,) bool: it takes a result, which then counts as having met nothing (`GroundTruth.unmatchable`)."""


def settle(pairs: list[Pair], met: np.ndarray) -> None:
    """Write into (N, A, 10) int8 what each result of the pairs meets, in each range and at each threshold."""
    alike = defaultdict(list)
    for pair in pairs:
        alike[pair.iou.shape[1].bit_length()].append(pair)  # else all would be as wide as the widest
    for group in alike.values():
        _settle(sorted(group, key=lambda pair: -len(pair.rows)), met)


def _settle(pairs: list[Pair], met: np.ndarray) -> None:
    """Go through the ranks of pairs, those with the most results first."""
    lengths = np.array([len(pair.rows) for pair in pairs])
    widest, areas = max(pair.iou.shape[1] for pair in pairs), met.shape[1]
    iou = np.full((len(pairs), lengths[0], widest), -1.0)
    rows = np.zeros((len(pairs), lengths[0]), np.int64)
    ignored = np.zeros((len(pairs), areas, 1, widest), bool)
    crowd, unmatchable = (np.zeros((len(pairs), 1, 1, widest), bool) for _ in range(2))
    for i, pair in enumerate(pairs):
        results, objects = pair.iou.shape
        iou[i, :results, :objects], rows[i, :results] = pair.iou, pair.rows
        ignored[i, :, 0, :objects] = pair.ignored.T
        crowd[i, 0, 0, :objects], unmatchable[i, 0, 0, :objects] = pair.crowd, pair.unmatchable
    taken = np.zeros((len(pairs), areas, len(_LEAST), widest), bool)
    for rank in range(lengths[0]):
        n = np.count_nonzero(lengths > rank)
        met[rows[:n, rank]] = _take(iou[:n, rank], taken[:n], ignored[:n], crowd[:n], unmatchable[:n])


def _take(
    iou: np.ndarray, taken: np.ndarray, ignored: np.ndarray, crowd: np.ndarray, unmatchable: np.ndarray
) -> np.ndarray:
    """Let one result of each of n pairs meet an object, and mark it in ``taken`` (n, A, 10, G).

    Args:
        iou: (n, G).
        taken: which objects were met by a better result.
        ignored: (n, A, 1, G).
        crowd: (n, 1, 1, G).
        unmatchable: (n, 1, 1, G).

    Returns:
        (n, A, 10) int8.
    """
    iou = iou[:, None, None, :]
    near = (iou >= _LEAST[:, None]) & (~taken | crowd)
    proper = near & ~ignored
    found = proper.any(axis=-1, keepdims=True)
    near = np.where(found, proper, near)  # an ignored one only where there is no other
    backwards = np.where(near, iou, -1.0)[..., ::-1]  # of two as near, the evaluators take the last
    best = iou.shape[-1] - 1 - backwards.argmax(axis=-1)[..., None]
    one = near.any(axis=-1, keepdims=True)
    np.put_along_axis(taken, best, np.take_along_axis(taken, best, axis=-1) | one, axis=-1)
    lost = np.take_along_axis(np.broadcast_to(unmatchable, near.shape), best, axis=-1)
    met = np.where(found, np.where(lost, NOTHING, FOUND), np.where(one, IGNORED, NOTHING))
    return met[..., 0].astype(np.int8)
