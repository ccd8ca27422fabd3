"""One image with its objects, ready to be scored; and the choice of some of many."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sambench.adapters.images import read_image
from sambench.evsam.size import Size
from sambench.suites.data.annotations import AnnotationRecord
from sambench.suites.data.coco import Entry
from sambench.suites.data.masks import WindowMask, decode_window

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """One annotated object."""

    ann_id: int
    category_id: int
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels, as annotated."""
    area: float
    """As annotated, square pixels."""
    iscrowd: bool
    mask: WindowMask


@dataclass(frozen=True)
class Sample:
    """One image with its objects."""

    image_id: int
    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    targets: tuple[Target, ...]
    """In the order of the annotation file."""
    file_name: str
    """As annotated."""
    categories: Mapping[int, str]
    """Of the data set, id to name; empty where its file has none."""
    void: WindowMask | None = None
    """Pixels that count nowhere: neither prompt, nor union, nor click."""
    unscored: tuple[str, ...] = ()
    """Why annotations of the image are none of the targets, a reason each."""


def load_sample(entry: Entry) -> Sample:
    """Read an entry's image and rasterise its annotations.

    Raises:
        SambenchError: the image or an annotation is damaged, their sizes disagree, or the file was replaced.
    """
    record = entry.record
    image = read_image(entry.file, entry.stated, sha256=entry.sha256, orientation=entry.orientation)
    size = (image.shape[0], image.shape[1])
    annotations, void, unscored = _annotated(entry, size)
    targets = []
    for a in annotations:
        mask = decode_window(a.segmentation, size, f"{entry.source}: annotation {a.id} of image {record.id}")
        x, y, w, h = a.bbox
        targets.append(Target(a.id, a.category_id, (x, y, x + w, y + h), a.area, bool(a.iscrowd), mask))
    return Sample(record.id, image, tuple(targets), entry.file_name, entry.categories, void, unscored)


def _annotated(
    entry: Entry, size: Size
) -> tuple[Sequence[AnnotationRecord], WindowMask | None, tuple[str, ...]]:
    """Return an image's annotations, its void pixels, and what results count beside them."""
    if entry.picture is None:
        return entry.annotations, None, entry.unscored
    found = entry.picture.decode(size)
    return found.annotations, found.void, found.remarks


def draw(items: Sequence[T], limit: int | None, seed: int) -> list[T]:
    """Draw a seeded sample, kept in order; a larger limit keeps the items of a smaller one."""
    if limit is None or limit >= len(items):
        return list(items)
    order = list(range(len(items)))
    random.Random(seed).shuffle(order)
    return [items[i] for i in sorted(order[:limit])]
