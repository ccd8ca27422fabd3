"""From a picture of ids to objects as COCO writes them: run lengths, box and area of each.

Pixels are sorted by id once, so that a thousand ids cost what one does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import numpy as np

from sambench.evsam.size import Size
from sambench.suites.data.annotations import AnnotationRecord

CATEGORY = 1
"""Of every object: a picture's ids say which pixels are one thing, and not what it is."""
CATEGORIES = {CATEGORY: "object"}
STRIDE = 1_000_000
"""An object's id is its image's times this, and its place in the picture from 1: unique in the data set."""
CONNECTIVITY = 8
"""Pixels that touch at a corner are one part: a line of one pixel's width that runs aslant is one thing, and
4 neighbours would leave a speck of each of its steps."""


def objects_of(ids: np.ndarray, image_id: int, *, components: bool = False) -> list[AnnotationRecord]:
    """Return the objects of a picture, by rising id; parts of one by their first pixel, row by row.

    Args:
        ids: (H, W) of whole numbers; 0 is no object.
        image_id: of the image, from 1.
        components: whether each connected part of an id is an object.
    """
    size = (ids.shape[0], ids.shape[1])
    return [
        _record(pixels, size, image_id, place)
        for place, pixels in enumerate(_parts(ids, components=components), start=1)
    ]


def _parts(ids: np.ndarray, *, components: bool) -> Iterator[np.ndarray]:
    """Yield each object's pixels, counted down the columns, rising."""
    flat = ids.ravel(order="F")
    where = np.flatnonzero(flat)
    values = flat[where]
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order])) + 1
    for pixels in np.split(where[order], starts) if len(where) else ():
        yield from _connected(pixels, ids.shape[0]) if components else (pixels,)


def _connected(pixels: np.ndarray, height: int) -> list[np.ndarray]:
    """Cut an object's pixels into its connected parts."""
    import cv2  # where parts are asked for alone

    columns, rows = np.divmod(pixels, height)
    top, left = rows.min(), columns.min()
    crop = np.zeros((rows.max() - top + 1, columns.max() - left + 1), np.uint8)
    crop[rows - top, columns - left] = 1
    count, labels = cv2.connectedComponents(crop, connectivity=CONNECTIVITY)
    found, first = np.unique(labels, return_index=True)  # OpenCV numbers them by blocks of pixels
    by_first = [label for _, label in sorted(zip(first, found, strict=True)) if label]
    own = labels[rows - top, columns - left]
    return [pixels[own == label] for label in by_first] if count > 2 else [pixels]


def _record(pixels: np.ndarray, size: Size, image_id: int, place: int) -> AnnotationRecord:
    columns, rows = np.divmod(pixels, size[0])
    left, top = int(columns[0]), int(rows.min())
    width, height = int(columns[-1]) - left + 1, int(rows.max()) - top + 1
    return AnnotationRecord(
        id=image_id * STRIDE + place,
        image_id=image_id,
        category_id=CATEGORY,
        bbox=(float(left), float(top), float(width), float(height)),
        area=float(len(pixels)),
        segmentation=msgspec.Raw(_encoded(pixels, size)),
    )


def _encoded(pixels: np.ndarray, size: Size) -> bytes:
    """Encode pixels, counted down the columns, as COCO's compressed run lengths in JSON."""
    from pycocotools import mask as rle  # at the first use, as the other decoders do

    breaks = np.flatnonzero(np.diff(pixels) != 1) + 1
    begins = pixels[np.concatenate([[0], breaks])]
    ends = pixels[np.concatenate([breaks - 1, [len(pixels) - 1]])] + 1
    edges = np.concatenate([[0], np.stack([begins, ends], axis=1).ravel(), [size[0] * size[1]]])
    counts = np.diff(edges).tolist()
    coded = rle.frPyObjects({"size": list(size), "counts": counts if counts[-1] else counts[:-1]}, *size)
    return json.dumps({"size": list(size), "counts": coded["counts"].decode("ascii")}).encode()
