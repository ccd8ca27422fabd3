"""Whether a segmentation of COCO's format can be drawn, and what is around it: told without drawing it.

One set of rules for whoever reads a mask: what `examine` lets through, `suites.data.masks` draws.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import mul
from typing import Any

import msgspec
import numpy as np

from sambench.evsam.size import Size

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""
Polygons = list[list[float]]
"""x and y of each corner in turn, a list for each part."""

LEAST_NUMBERS = 6
"""Of a part: three points. pycocotools draws no pixel of fewer, takes four numbers of the first part for a
box, and fails on two."""
LONGEST_RUN = 7
"""Characters of a run length: five bits each hold the 32 bits that pycocotools keeps, and a sign."""
DIGITS = sys.float_info.max_10_exp
"""Of the largest numbers that can be computed with."""


class UnfitError(Exception):
    """A segmentation that cannot be drawn.

    Attributes:
        kind: a name in `checks.problems.KINDS`.
        detail: the cause, with the values that show it.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail


@dataclass(frozen=True)
class Examined:
    """A segmentation that can be drawn."""

    drawable: Polygons | Mapping[str, Any]
    """What pycocotools takes: polygons of three points or more, or an RLE."""
    box: Box | None
    """Around it, as COCO writes it: of polygons from corner to corner, of an RLE from pixel to pixel.
    ``None`` where an RLE has no pixel."""
    changes: Mapping[str, int] = field(default_factory=dict)
    """What of the file's JSON was not as it should be: names in `checks.problems.KINDS` to how often."""

    @property
    def is_rle(self) -> bool:
        """Whether it is run lengths, not polygons."""
        return isinstance(self.drawable, Mapping)

    @property
    def enclosed(self) -> int:
        """Square pixels that its polygons enclose together, at least 1: about those that are drawn."""
        assert not isinstance(self.drawable, Mapping)
        return max(1, round(sum(map(_enclosed, self.drawable))))

    @property
    def json(self) -> bytes | None:
        """What should be in place of the file's JSON; ``None`` where that is as it should be."""
        return msgspec.json.encode(self.drawable) if self.changes else None


class _Rle(msgspec.Struct, gc=False):
    size: tuple[int, int]
    counts: str | list[int]


_POLYGONS = msgspec.json.Decoder(Polygons)
_FLAT = msgspec.json.Decoder(list[float])
_RLE = msgspec.json.Decoder(_Rle)


def examine(raw: bytes | msgspec.Raw, size: Size | None) -> Examined:
    """See whether a segmentation can be drawn.

    Polygons take some microseconds each, for they are not drawn; run lengths are added up.

    Args:
        raw: the field's JSON; of numbers that JSON has not, their names as text (`suites.data.content`).
        size: (height, width) of the image; ``None`` if unknown: then its encoding alone is looked at.

    Raises:
        UnfitError: it cannot be drawn.
    """
    text = bytes(raw).lstrip()
    if text in (b"", b"null", b"[]"):
        raise UnfitError("no_mask", f"segmentation is {text.decode() or 'missing'}")
    if text[:1] == b"[":
        return _examine_polygons(text, size)
    if text[:1] == b"{":
        return _examine_rle(text, size)
    shown = text[:60].decode(errors="replace")
    raise UnfitError("damaged_rle", f"segmentation is {shown}, neither polygons nor RLE")


def _examine_polygons(text: bytes, size: Size | None) -> Examined:
    changes: dict[str, int] = {}
    try:
        polygons = _POLYGONS.decode(text)
    except msgspec.MsgspecError:
        try:
            polygons = [_FLAT.decode(text)]
        except msgspec.MsgspecError:
            raise _no_polygons(text) from None
        changes["flat_polygon"] = 1
    for numbers in map(len, polygons):
        if numbers % 2:
            raise UnfitError("bad_polygon", f"a polygon has {numbers} numbers, which are no pairs of x and y")
    parts = [part for part in polygons if len(part) >= LEAST_NUMBERS]
    if not parts:
        points = " and ".join(str(n) for n in sorted({len(part) // 2 for part in polygons}))
        raise UnfitError("bad_polygon", f"a polygon has {points} points, not three or more")
    if len(parts) < len(polygons):
        changes["part_dropped"] = len(polygons) - len(parts)
    box = _around(parts)
    if size is not None:
        _check_extent(parts, box, size)
    return Examined(parts, box, changes)


def _enclosed(part: list[float]) -> float:
    """Return the area of a polygon by the shoelace formula."""
    xs, ys = part[::2], part[1::2]
    return abs(sum(map(mul, xs, [*ys[1:], ys[0]])) - sum(map(mul, [*xs[1:], xs[0]], ys))) / 2


def _around(parts: Polygons) -> Box:
    left, top = min(min(p[::2]) for p in parts), min(min(p[1::2]) for p in parts)
    right, bottom = max(max(p[::2]) for p in parts), max(max(p[1::2]) for p in parts)
    return left, top, right - left, bottom - top


def _check_extent(parts: Polygons, box: Box, size: Size) -> None:
    """Refuse polygons that cost pycocotools more than their image could: it walks along every edge.

    A corner may be as far beyond the image as the image is large. All edges of a part together may be as long
    as all that lie between the image's pixels, which the finest mask comes to, and twice around the place
    where corners may be. In 4,500 polygons of COCO and LVIS no corner is beyond, and outlines come to 0.014
    of a pixel for each of the image.
    """
    height, width = size
    left, top, wide, high = box
    if left < -width or top < -height or left + wide > 2 * width or top + high > 2 * height:
        extent = f"x {left:.6g} to {left + wide:.6g}, y {top:.6g} to {top + high:.6g}"
        raise UnfitError(
            "bad_polygon", f"a polygon is far outside: {extent} in an image of {width} x {height}"
        )
    longest = most_outline(size)
    if max(wide, high) * sum(map(len, parts)) <= 2 * longest:  # no edge is longer than the box
        return
    length = sum(map(outline, parts))
    if length > longest:
        raise UnfitError(
            "bad_polygon",
            f"the outline of its polygons is {length:,.0f} pixels long, in an image of {width} x {height} "
            f"that has room for {longest:,}",
        )


def most_outline(size: Size) -> int:
    """Return how long an outline may be in an image of a size, in pixels (see `_check_extent`)."""
    height, width = size
    return 2 * height * width + 12 * (height + width)


def outline(part: list[float]) -> float:
    """Return the steps of a pixel that pycocotools takes around a polygon: of each edge its longer side."""
    corners = np.reshape(part, (-1, 2))
    return float(np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum())


def _no_polygons(text: bytes) -> UnfitError:
    """Return why a list is no polygons."""
    try:
        found = msgspec.json.decode(text)
    except RecursionError:
        return UnfitError("bad_polygon", "lists within lists, thousands deep, in place of polygons")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return UnfitError("bad_polygon", f"a coordinate of more than {DIGITS} digits, or no JSON")
    parts = [part for part in found if isinstance(part, list)]
    values = list(chain(*parts)) if parts else found
    if any(isinstance(value, list) for value in values):
        return UnfitError("bad_polygon", "points are lists of their own; a polygon is x, y, x, y, ... in one")
    if any(value in ("NaN", "Infinity", "-Infinity") for value in values):
        return UnfitError("not_a_number", "a coordinate of a polygon")
    wrong = _first_no_number(values)
    if wrong is not None:
        return wrong
    if any(type(value) is int and abs(value) >= 10**DIGITS for value in values):
        return UnfitError("bad_polygon", f"a coordinate of more than {DIGITS} digits")
    if any(isinstance(part, Mapping) for part in found):
        return UnfitError("bad_polygon", f"{shorten(found)}: a mapping in a list, in place of polygons")
    odd = next((part for part in found if not isinstance(part, list)), found)
    return UnfitError("bad_polygon", f"{shorten(odd)} beside polygons, in place of a list of numbers")


def _first_no_number(values: Iterable[object]) -> UnfitError | None:
    for value in values:
        if type(value) not in (int, float) and not isinstance(value, Mapping):
            return UnfitError("bad_polygon", f"{shorten(value)} for a coordinate")
    return None


def _examine_rle(text: bytes, size: Size | None) -> Examined:
    changes: dict[str, int] = {}
    try:
        coded = _RLE.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        coded = _mended_rle(text)
        changes["rle_numbers"] = 1
    height, width = coded.size
    if min(height, width) < 1:
        raise UnfitError("damaged_rle", f"its RLE is of size {[height, width]}")
    if size is not None and coded.size != size:
        turned = ": height and width exchanged" if coded.size == size[::-1] else ""
        raise UnfitError(
            "damaged_rle", f"its RLE is of size {[height, width]}, the image is {list(size)}{turned}"
        )
    _check_runs(coded.counts, height * width)
    drawable = {"size": [height, width], "counts": coded.counts}
    return Examined(drawable, box_of_code(compress(drawable)), changes)


def _mended_rle(text: bytes) -> _Rle:
    """Read an RLE whose whole numbers are written as 7.0, which pycocotools reads."""
    try:
        found = msgspec.json.decode(text)
    except RecursionError:
        raise UnfitError("damaged_rle", "lists within lists, thousands deep, in its RLE") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UnfitError(
            "damaged_rle", f"its RLE has a number of more than {DIGITS} digits, or is no JSON"
        ) from None
    for key in ("size", "counts"):
        if found.get(key) is None:
            why = "null" if key in found else "missing"
            raise UnfitError("damaged_rle", f"{key} of its RLE is {why}")
    size, counts = _whole(found["size"]), found["counts"]
    if size is None or len(size) != 2:
        detail = f"size of its RLE is {shorten(found['size'])}, not its height and width"
        raise UnfitError("damaged_rle", detail)
    runs = counts if isinstance(counts, str) else _whole(counts)
    if runs is None:
        detail = f"counts of its RLE is {shorten(counts)}, neither text nor whole numbers"
        raise UnfitError("damaged_rle", detail)
    return _Rle((size[0], size[1]), runs)


def _whole(values: object) -> list[int] | None:
    if not isinstance(values, list):
        return None
    if any(type(v) is not int and not (type(v) is float and v.is_integer()) for v in values):
        return None
    return [int(v) for v in values]


def _check_runs(counts: str | list[int], pixels: int) -> None:
    """Refuse runs that do not cover the image: pycocotools would leave the rest to chance."""
    least, total = (min(counts, default=0), sum(counts)) if isinstance(counts, list) else _sum_up(counts)
    if least < 0:
        raise UnfitError("damaged_rle", f"a run of its RLE has {least} pixels")
    if total != pixels:
        raise UnfitError("damaged_rle", f"runs of its RLE add up to {total} pixels, not {pixels}")


def _sum_up(counts: str) -> tuple[int, int]:
    """Return the least and the sum of COCO's compressed runs."""
    if not counts:
        return 0, 0
    runs = runs_of(counts)
    return int(runs.min()), int(runs.sum())


def runs_of(counts: str | bytes | list[int]) -> np.ndarray:
    """Return the runs of an RLE, (N,) int64: of pixels outside and inside in turn, down the columns.

    COCO's compressed ones are written with five bits a character, least first; from the fourth on as
    differences.

    Raises:
        UnfitError: it is no text of run lengths.
    """
    if isinstance(counts, list):
        return np.array(counts, np.int64)
    text = counts.encode("latin-1", "replace") if isinstance(counts, str) else counts
    digits = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if not len(digits):
        return digits
    ends = np.flatnonzero((digits & 32) == 0)  # the character that ends a number; its bit 16 is the sign
    unfinished = not len(ends) or ends[-1] != len(digits) - 1
    if digits.min() < 0 or digits.max() > 63 or unfinished:
        raise _no_runs(counts)
    first = np.zeros_like(ends)
    first[1:] = ends[:-1] + 1
    lengths = ends - first + 1
    if lengths.max() > LONGEST_RUN:
        raise _no_runs(counts)
    shift = 5 * (np.arange(len(digits)) - np.repeat(first, lengths))
    runs = np.add.reduceat((digits & 31) << shift, first)
    runs -= np.where(digits[ends] & 16, 1 << (shift[ends] + 5), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def _no_runs(counts: str | bytes) -> UnfitError:
    text = counts.decode("latin-1") if isinstance(counts, bytes) else counts
    return UnfitError("damaged_rle", f"counts of its RLE, {shorten(text)}, is no text of run lengths")


def compress(drawable: Polygons | Mapping[str, Any], size: Size | None = None) -> dict[str, Any]:
    """Return what can be drawn as pycocotools's compressed RLE, without its pixels.

    Args:
        drawable: of an `Examined`.
        size: (height, width) of the image; polygons need it.
    """
    from pycocotools import mask as rle  # at the first use: throughput reads boxes alone, and runs without

    if isinstance(drawable, Mapping):
        if isinstance(drawable["counts"], str):
            return dict(drawable)
        coded: dict[str, Any] = rle.frPyObjects(dict(drawable), *drawable["size"])
        return coded
    if size is None:
        raise ValueError("Polygons are drawn in an image of some size.")
    merged: dict[str, Any] = rle.merge(rle.frPyObjects(drawable, *size))
    return merged


def box_of_code(code: Mapping[str, Any]) -> Box | None:
    """Return the box around the pixels of a compressed RLE; ``None`` where it has none."""
    from pycocotools import mask as rle

    if not rle.area(code):  # where runs are of no pixels, toBbox gives nonsense
        return None
    x, y, width, height = rle.toBbox(code).tolist()
    return x, y, width, height


def shorten(value: object) -> str:
    """Return a JSON value as messages quote it."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."
