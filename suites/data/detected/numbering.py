"""Categories numbered otherwise than the annotations': boxes that lie right under other names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sambench.suites.data.detected.box_kinds import FIRST, MEETS, from_size, iou

FEWEST = 5
"""Annotated boxes that have to be met before anything is said."""
OFTEN, MORE = 0.5, 0.25
"""Share of the boxes met that have their own category under another numbering, and how much more that is than
as they are, from which that is what happened."""
HARDLY = 0.1
"""Share that have it as they are, below which it is strange without another numbering that fits."""


@dataclass(frozen=True)
class Named:
    """One image, with what was found and what is annotated: boxes of x, y, width, height, and categories."""

    boxes: np.ndarray
    """(N, 4), the best first."""
    categories: np.ndarray
    """(N,)"""
    objects: np.ndarray
    """(K, 4)"""
    object_categories: np.ndarray
    """(K,)"""


def numbered_otherwise(seen: Sequence[Named], category_ids: Sequence[int]) -> str | None:
    """Say how categories seem to be numbered, where boxes lie right and their categories are others.

    Args:
        seen: some images.
        category_ids: of the annotation file.
    """
    met = [pair for one in seen for pair in _met(one)]
    if len(met) < FEWEST:
        return None
    own = _agreement(met, lambda c: c)
    rising = sorted(category_ids)
    ways = {
        "they agree once 1 is added to each: are the detections numbered from 0, the annotations from 1": {
            c: c + 1 for _, found in met for c in found
        },
        "they agree once 1 is taken from each: are the detections numbered from 1, the annotations from 0": {
            c: c - 1 for _, found in met for c in found
        },
        "they agree as places in the list of categories, counted from 0 (COCO's 80 have ids to 90)": dict(
            enumerate(rising)
        ),
        "they agree as places in the list of categories, counted from 1 (COCO's 80 have ids to 90)": dict(
            enumerate(rising, start=1)
        ),
    }
    shares = {what: _agreement(met, new.get) for what, new in ways.items()}
    what = max(shares, key=lambda name: shares[name])
    start = f"of the annotated boxes that are met, {own:.0%} are met by a box of their own category"
    if shares[what] >= max(OFTEN, own + MORE):
        return f"{start}; {what}"
    return f"{start}; are the categories numbered as in the annotations" if own < HARDLY else None


def _met(one: Named) -> list[tuple[int, set[int]]]:
    """Return each object's category that boxes meet, with theirs."""
    first = slice(0, len(one.objects) + FIRST)
    meets = iou(from_size(one.boxes[first]), from_size(one.objects)) >= MEETS
    return [
        (category, set(one.categories[first][meets[:, k]].tolist()))
        for k, category in enumerate(one.object_categories.tolist())
        if meets[:, k].any()
    ]


def _agreement(met: Sequence[tuple[int, set[int]]], new: Callable[[int], int | None]) -> float:
    """Return the share of objects that a box of their category meets, each numbered anew."""
    return sum(category in {new(c) for c in found} for category, found in met) / len(met)
