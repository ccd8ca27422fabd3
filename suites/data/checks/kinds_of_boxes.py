"""Annotated boxes of another kind than COCO's, told from those of the whole data set beside their masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sambench.suites.data.detected.box_kinds import Seen, looks_like
from sambench.suites.data.segmentation import UnfitError, examine

if TYPE_CHECKING:
    from sambench.suites.data.coco import Entry

MOST_IMAGES = 50
"""Looked at; they are spread over all."""


def other_kind(entries: Sequence[Entry]) -> str | None:
    """Say what the boxes of some images look like, if that is not x, y, width, height in pixels."""
    seen = []
    for entry in entries[:: max(1, len(entries) // MOST_IMAGES)]:
        boxes, objects = [], []
        for annotation in entry.annotations:
            try:
                around = examine(annotation.segmentation, None).box
            except UnfitError:
                continue
            if around is not None and not annotation.iscrowd and not math.isnan(annotation.bbox[0]):
                boxes.append(annotation.bbox)
                objects.append(around)
        if boxes and entry.stated:
            seen.append(Seen(entry.stated, np.array(boxes), np.array(objects)))
    return looks_like(seen) if seen else None
