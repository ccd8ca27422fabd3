"""Can an annotation's mask be drawn, and do its box and area fit it?

Masks stay run lengths: their area and box are read from the runs, several times faster than from pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from pycocotools import mask as rle

from sambench.evsam.size import Size
from sambench.suites.data.checks.problems import Finding
from sambench.suites.data.masks import FARTHEST, uncompressed

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""

BORDER = 1.0
"""Pixels beyond the image's border that go unnoticed: half a pixel for where pixels are counted from, half
for rounding. COCO and LVIS never leave the image."""
BOX_EDGE = 3.0
"""Pixels that an edge may lie off: polygons thinner than a pixel leave none in the raster, which matters for
small objects."""
BOX_IOU = 0.5
"""Of the annotated and the mask's box, below which they are two things. In 2,800 annotations of COCO, edges
further off than `BOX_EDGE` leave 0.84 and more."""
AREA_PIXELS = 16
"""Pixels that an area may be off: COCO's are of polygons, which round differently from rasters."""
AREA_RATIO = 1.5
"""Between the annotated and the mask's area. In 2,800 annotations of COCO, areas further off than
`AREA_PIXELS` stay below 1.12; most shapes that were given their box's area have more than 1.5."""


@dataclass(frozen=True)
class _Mask:
    """What the checks need to know of a mask with pixels."""

    area: int
    box: Box


class _UnfitError(Exception):
    """A mask that cannot be measured; the arguments are a finding's."""


def check_object(annotation: dict[str, Any], size: Size | None) -> Iterator[Finding]:
    """Yield what is wrong with one annotation's mask, box and area.

    Args:
        annotation: an entry of ``annotations``. A box or an area of a wrong type is passed over.
        size: (height, width) of its image; ``None`` if unknown: then the encoding alone is checked.
    """
    who = f"annotation {annotation.get('id')!r} of image {annotation.get('image_id')!r}"
    segmentation, crowd = annotation.get("segmentation"), bool(annotation.get("iscrowd"))
    mask = None
    try:
        if isinstance(segmentation, list):
            mask = _measure_polygons(segmentation, size)
        elif segmentation is None:
            raise _UnfitError("no_segmentation", "it is missing or null")
        else:
            mask = _measure_rle(segmentation, size)
    except _UnfitError as error:
        kind, detail = error.args
        yield kind, f"{who}: {detail}"
    if crowd and isinstance(segmentation, list):
        yield "crowd_polygon", f"{who}: {len(segmentation)} polygons"
    box = box_of(annotation)
    if box is not None:
        yield from _check_box(box, mask, size, who)
    if mask and not crowd:  # crowds have no size class, and COCO's areas of them are rough
        yield from _check_area(annotation.get("area"), mask, who)


def is_number(value: object) -> bool:
    """Tell whether a JSON value is a number, NaN included."""
    return type(value) in (int, float)


def is_finite(value: Any) -> bool:
    """Tell whether a JSON value is a number that fits a float; an integer of hundreds of digits does not."""
    return is_number(value) and abs(value) <= sys.float_info.max


def box_of(annotation: dict[str, Any]) -> Box | None:
    """Return the annotation's box if it is four finite numbers."""
    box = annotation.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(map(is_finite, box)):
        return (box[0], box[1], box[2], box[3])
    return None


def _measure_polygons(polygons: list[Any], size: Size | None) -> _Mask | None:
    for polygon in polygons:
        if not isinstance(polygon, list):
            raise _UnfitError("bad_polygon", f"{_short(polygon)} in place of a list of numbers")
        if len(polygon) < 6 or len(polygon) % 2:
            raise _UnfitError("bad_polygon", f"one has {len(polygon)} numbers, not 6 or more in pairs")
        if not {int, float}.issuperset(map(type, polygon)):
            wrong = next(v for v in polygon if not is_number(v))
            raise _UnfitError("bad_polygon", f"{_short(wrong)} for a coordinate")
    try:
        corners = np.array(list(chain(*polygons)), np.float64).reshape(-1, 2)
    except OverflowError:
        raise _UnfitError("bad_polygon", "a coordinate of hundreds of digits") from None
    if not np.isfinite(corners).all():
        raise _UnfitError("not_a_number", "a coordinate of a polygon")
    if np.abs(corners).max(initial=0) > FARTHEST:
        raise _UnfitError("bad_polygon", f"a coordinate beyond {FARTHEST:.0f} pixels")
    if size is None:
        return None
    if not polygons:
        raise _UnfitError("empty_mask", "segmentation is []")
    height, width = size
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    if min(left, top) < -BORDER or right > width + BORDER or bottom > height + BORDER:
        extent = f"x {left:.6g} to {right:.6g}, y {top:.6g} to {bottom:.6g}"
        raise _UnfitError("mask_outside", f"{extent} in an image of {width} x {height}")
    codes = rle.frPyObjects(polygons, height, width)
    return _measured(rle.merge(codes) if len(codes) > 1 else codes[0])


def _measure_rle(encoded: Any, size: Size | None) -> _Mask | None:
    """Hold an RLE against the rules of `suites.data.masks`, then measure it."""
    try:
        stated = tuple(encoded["size"])
        counts = encoded["counts"]
        runs = counts if isinstance(counts, list) else uncompressed(counts)
        whole = all(type(run) is int and run >= 0 for run in runs)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        detail = f"{_short(encoded)} ({type(error).__name__})"
        raise _UnfitError("damaged_rle", f"cannot be decoded: {detail}") from None
    if not whole:
        raise _UnfitError("damaged_rle", "its runs are not whole numbers from 0")
    if size is None:
        return None
    height, width = size
    if stated != size:
        raise _UnfitError("damaged_rle", f"its size is {list(stated)}, the image's is {list(size)}")
    if sum(runs) != height * width:
        raise _UnfitError("damaged_rle", f"its runs add up to {sum(runs)} pixels, not {height * width}")
    return _measured(rle.frPyObjects(encoded, height, width) if isinstance(counts, list) else encoded)


def _measured(code: dict[str, Any]) -> _Mask:
    area = int(rle.area(code))
    if not area:
        raise _UnfitError("empty_mask", "no pixel is set")
    left, top, width, height = rle.toBbox(code).tolist()
    return _Mask(area, (left, top, width, height))


def _check_box(box: Box, mask: _Mask | None, size: Size | None, who: str) -> Iterator[Finding]:
    x, y, width, height = box
    if width <= 0 or height <= 0:
        yield "empty_box", f"{who}: bbox is {_numbers(box)}"
    elif mask and _apart(box, mask.box):
        corners = (x, y, width - x, height - y)
        kind = "box_mask" if _apart(corners, mask.box) else "box_corners"
        yield kind, f"{who}: bbox is {_numbers(box)}, around the mask it is {_numbers(mask.box)}"
    elif size and (min(x, y) < -BORDER or x + width > size[1] + BORDER or y + height > size[0] + BORDER):
        yield "box_outside", f"{who}: bbox is {_numbers(box)} in an image of {size[1]} x {size[0]}"


def _check_area(area: Any, mask: _Mask, who: str) -> Iterator[Finding]:
    if not is_finite(area):
        return
    off = abs(area - mask.area) > AREA_PIXELS and max(area, mask.area) > AREA_RATIO * min(area, mask.area)
    if off or area < 0:
        yield "area", f"{who}: area is {area:.6g}, its mask has {mask.area} pixels"


def _apart(a: Box, b: Box) -> bool:
    """Tell whether two boxes are too far apart to be of one object."""
    ax, ay, bx, by = a[0] + a[2], a[1] + a[3], b[0] + b[2], b[1] + b[3]
    if max(abs(a[0] - b[0]), abs(a[1] - b[1]), abs(ax - bx), abs(ay - by)) <= BOX_EDGE:
        return False
    width, height = min(ax, bx) - max(a[0], b[0]), min(ay, by) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return True
    common = width * height
    return common < BOX_IOU * (a[2] * a[3] + b[2] * b[3] - common)


def _numbers(box: Box) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in box) + "]"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
