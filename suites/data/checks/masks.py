"""Can an annotation's mask be drawn, and do its box and area fit it?

Masks stay run lengths: their area is read from the runs, several times faster than from pixels.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from pycocotools import mask as rle

from sambench.evsam.size import Size
from sambench.suites.data.checks.problems import Finding
from sambench.suites.data.content import NUMBER
from sambench.suites.data.segmentation import Box, Examined, UnfitError, compress, examine

BORDER = 1.0
"""Pixels beyond the image's border that go unnoticed: half a pixel for where pixels are counted from, half
for rounding. COCO and LVIS never leave the image."""
BOX_EDGE = 3.0
"""Pixels that an edge may lie off: some tools write boxes of the raster, some of the corners, some whole
pixels, which matters for small objects."""
BOX_IOU = 0.5
"""Of the annotated and the mask's box, below which they are two things. In 2,800 annotations of COCO, edges
further off than `BOX_EDGE` leave 0.84 and more."""
AREA_PIXELS = 16
"""Pixels that an area may be off: COCO's are of polygons, which round differently from rasters."""
AREA_RATIO = 1.5
"""Between the annotated and the mask's area. In 2,800 annotations of COCO, areas further off than
`AREA_PIXELS` stay below 1.12; most shapes that were given their box's area have more than 1.5."""


def check_object(annotation: dict[str, Any], size: Size | None) -> Iterator[Finding]:
    """Yield what is wrong with one annotation's mask, box and area.

    Args:
        annotation: an entry of ``annotations``. A box or an area of a wrong type is passed over.
        size: (height, width) of its image; ``None`` if unknown: then the encoding alone is checked.
    """
    who = f"annotation {annotation.get('id')!r} of image {annotation.get('image_id')!r}"
    raw = _as_content(annotation["segmentation"]) if "segmentation" in annotation else b""
    box, area, crowd = box_of(annotation), annotation.get("area"), bool(annotation.get("iscrowd"))
    for kind, detail in check_values(raw, box, area, crowd, size, draw=True):
        yield kind, f"{who}: {detail}"


def check_values(
    raw: bytes | msgspec.Raw, box: Box | None, area: object, crowd: bool, size: Size | None, *, draw: bool
) -> Iterator[Finding]:
    """Yield what is wrong with the values of one annotation, not yet with whose they are.

    Args:
        raw: the segmentation's JSON.
        box: the annotation's, where it is four finite numbers.
        area: the annotation's; other than a finite number, it is passed over.
        crowd: whether it is one.
        size: (height, width) of its image, if it is known.
        draw: count the mask's pixels, without which nothing is said of areas and of masks that have none.
    """
    mask = None
    try:
        mask = examine(raw, size)
    except UnfitError as error:
        yield error.kind, error.detail
    if mask:
        yield from check_mask(mask, size, crowd)
    if box is not None:
        yield from check_box(box, mask, size)
    if mask and size and (draw or mask.is_rle):
        pixels = area_of(mask, size)
        if not pixels:
            yield "empty_mask", "no pixel is set"
        elif not crowd:  # crowds have no size class, and COCO's areas of them are rough
            yield from _check_area(area, pixels)


def check_mask(mask: Examined, size: Size | None, crowd: bool) -> Iterator[Finding]:
    """Yield what was changed of a mask that can be drawn, and what is odd about it."""
    for kind, count in mask.changes.items():
        yield kind, f"{count} of its polygons" if kind == "part_dropped" else "its segmentation"
    if crowd and not mask.is_rle:
        yield "crowd_polygon", f"{len(mask.drawable)} polygons"
    if size and mask.box and _leaves(mask.box, size):
        (x, y, width, height), (rows, columns) = mask.box, size
        extent = f"x {x:.6g} to {x + width:.6g}, y {y:.6g} to {y + height:.6g}"
        yield "mask_outside", f"{extent} in an image of {columns} x {rows}"


def check_box(box: Box, mask: Examined | None, size: Size | None) -> Iterator[Finding]:
    """Yield what is wrong with an annotation's box.

    Args:
        box: of finite numbers.
        mask: the annotation's, where it can be drawn.
        size: (height, width) of its image, if it is known.
    """
    around = mask.box if mask else None
    shown = f"bbox is {_numbers(box)}"
    if around:
        shown += f", around the mask it is {_numbers(around)}"
    if _is_empty(box, around):
        yield "empty_box", shown
    elif around and (kind := _misplaced(box, around, size)):
        yield kind, shown
    elif 0 in box[2:]:
        yield "thin_box", shown
    elif size and _leaves(box, size):
        yield "box_outside", f"bbox is {_numbers(box)} in an image of {size[1]} x {size[0]}"


def area_of(mask: Examined, size: Size) -> int:
    """Return the pixels of a mask drawn in an image of a size, as pycocotools counts them."""
    return int(rle.area(compress(mask.drawable, size)))


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


def _as_content(segmentation: object) -> bytes:
    """Return a value of Python's JSON as `suites.data.content` has it in a file."""
    text = json.dumps(segmentation).encode()
    return NUMBER.sub(lambda m: m[0] if m[0][:1] == b'"' else b'"' + m[0] + b'"', text)


def _leaves(box: Box, size: Size) -> bool:
    x, y, width, height = box
    return min(x, y) < -BORDER or x + width > size[1] + BORDER or y + height > size[0] + BORDER


def _is_empty(box: Box, around: Box | None) -> bool:
    """Tell whether a box has a negative side, or none where its mask has one."""
    sides = zip(box[2:], around[2:] if around else (BOX_EDGE, BOX_EDGE), strict=True)
    return any(side < 0 or (side == 0 and of_mask >= BOX_EDGE) for side, of_mask in sides)


def _misplaced(box: Box, around: Box, size: Size | None) -> str | None:
    """Return the kind of problem of a box that is not around its mask."""
    arounds = [around]
    if size and _leaves(around, size) and (inside := _cut(around, size)):
        arounds.append(inside)  # tools take the box before or after they cut the mask
    if not all(_apart(box, one) for one in arounds):
        return None
    corners = (box[0], box[1], box[2] - box[0], box[3] - box[1])
    if not all(_apart(corners, one) for one in arounds):
        return "box_corners"
    return "box_mask" if _touch(box, around) else "box_elsewhere"


def _cut(box: Box, size: Size) -> Box | None:
    """Return what of a box is in an image."""
    x, y = max(box[0], 0), max(box[1], 0)
    width, height = min(box[0] + box[2], size[1]) - x, min(box[1] + box[3], size[0]) - y
    return (x, y, width, height) if width > 0 and height > 0 else None


def _touch(a: Box, b: Box) -> bool:
    gaps = (max(a[i], b[i]) - min(a[i] + a[i + 2], b[i] + b[i + 2]) for i in (0, 1))
    return max(gaps) <= BOX_EDGE


def _check_area(area: Any, pixels: int) -> Iterator[Finding]:
    if not is_finite(area):
        return
    off = abs(area - pixels) > AREA_PIXELS and max(area, pixels) > AREA_RATIO * min(area, pixels)
    if off or area < 0:
        yield "area", f"area is {area:.6g}, its mask has {pixels} pixels"


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
