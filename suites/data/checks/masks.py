"""Can an annotation's mask be drawn, and do its box and area fit it?

Masks stay run lengths: their area is read from the runs, several times faster than from pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

from pycocotools import mask as rle

from sambench.evsam.size import Size
from sambench.suites.data.checks.problems import Finding
from sambench.suites.data.segmentation import Box, Examined, compress

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


def check_mask(mask: Examined, size: Size | None, crowd: bool) -> Iterator[Finding]:
    """Yield what was changed of a mask that can be drawn, and what is odd about it."""
    for kind, count in mask.changes.items():
        yield kind, f"{count} of its polygons" if kind == "part_dropped" else "its segmentation"
    if crowd and not mask.is_rle:
        yield "crowd_polygon", f"{len(mask.drawable)} polygons"
    if size and mask.box and leaves(mask.box, size):
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
    if _is_empty(box, around):
        yield "empty_box", _shown(box, around)
    elif around and (kind := _misplaced(box, around, size)):
        yield kind, _shown(box, around)
    elif 0 in box[2:]:
        yield "thin_box", _shown(box, around)
    elif size and leaves(box, size):
        yield "box_outside", f"bbox is {_numbers(box)} in an image of {size[1]} x {size[0]}"


def _shown(box: Box, around: Box | None) -> str:
    shown = f"bbox is {_numbers(box)}"
    return f"{shown}, around the mask it is {_numbers(around)}" if around else shown


def area_of(mask: Examined, size: Size) -> int:
    """Return the pixels of a mask drawn in an image of a size, as pycocotools counts them."""
    return int(rle.area(compress(mask.drawable, size)))


def check_area(area: float, pixels: int, crowd: bool) -> Iterator[Finding]:
    """Yield what is wrong with an annotation's area.

    Args:
        area: as annotated; NaN where it is not.
        pixels: of its mask.
        crowd: whether it is one: crowds have no size class, and COCO's areas of them are rough.
    """
    if not pixels:
        yield "empty_mask", "no pixel is set"
    elif not crowd and _differ(area, pixels):
        yield "area", f"area is {area:.6g}, its mask has {pixels} pixels"


def _differ(area: float, pixels: int) -> bool:
    return abs(area - pixels) > AREA_PIXELS and max(area, pixels) > AREA_RATIO * min(area, pixels)


def leaves(box: Box, size: Size) -> bool:
    """Tell whether a box leaves an image by more than goes unnoticed."""
    x, y, width, height = box
    return min(x, y) < -BORDER or x + width > size[1] + BORDER or y + height > size[0] + BORDER


def _is_empty(box: Box, around: Box | None) -> bool:
    """Tell whether a box has a negative side, or none where its mask has one."""
    if box[2] > 0 and box[3] > 0:
        return False
    sides = zip(box[2:], around[2:] if around else (BOX_EDGE, BOX_EDGE), strict=True)
    return any(side < 0 or (side == 0 and of_mask >= BOX_EDGE) for side, of_mask in sides)


def _misplaced(box: Box, around: Box, size: Size | None) -> str | None:
    """Return the kind of problem of a box that is not around its mask."""
    if not _apart(box, around):  # as nearly all are
        return None
    arounds = [around]
    if size and leaves(around, size) and (inside := _cut(around, size)):
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
