"""Ground-truth masks: from COCO's three encodings to pixels, kept as a window around the object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size

FARTHEST = 1e6  # pixels; a corner beyond belongs to no image


@dataclass(frozen=True)
class WindowMask:
    """A binary mask of an image, stored as the rectangle that has all its pixels."""

    pixels: np.ndarray
    """(h, w) bool; (0, 0) for a mask without a pixel."""
    top: int
    left: int
    size: Size
    """Of the image."""
    area: int
    """Pixels set."""

    @property
    def window(self) -> tuple[slice, slice]:
        """The rectangle, to index an (H, W) array with."""
        height, width = self.pixels.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def full(self) -> np.ndarray:
        """Return the mask at the image's size, (H, W) bool."""
        out = np.zeros(self.size, bool)
        out[self.window] = self.pixels
        return out


def to_window(mask: np.ndarray) -> WindowMask:
    """Cut a mask (H, W) bool down to the rectangle around its pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    size = (mask.shape[0], mask.shape[1])
    if not len(rows):
        return WindowMask(np.zeros((0, 0), bool), 0, 0, size, 0)
    top, left = int(rows[0]), int(columns[0])
    pixels = np.ascontiguousarray(mask[top : rows[-1] + 1, left : columns[-1] + 1])
    return WindowMask(pixels, top, left, size, int(np.count_nonzero(pixels)))


def decode_segmentation(raw: bytes | msgspec.Raw, size: Size, what: str) -> np.ndarray:
    """Rasterise a COCO segmentation as pycocotools does: polygons, uncompressed or compressed RLE.

    Args:
        raw: the field's JSON.
        size: (height, width) of the image.
        what: names the annotation in messages.

    Returns:
        (H, W) bool.

    Raises:
        SambenchError: the encoding is damaged or is of another image size.
    """
    try:
        segmentation = msgspec.json.decode(raw)
        if isinstance(segmentation, list):
            return _from_polygons(segmentation, size)
        return _from_rle(segmentation, size)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        msgspec.MsgspecError,
    ) as error:
        raise SambenchError(
            f"{what}: its segmentation cannot be decoded ({error or type(error).__name__}). "
            "Mend the annotation or remove it."
        ) from None


def _from_polygons(polygons: list[list[float]], size: Size) -> np.ndarray:
    from pycocotools import mask as rle  # at the first use: throughput reads boxes alone, and runs without

    if not polygons:
        return np.zeros(size, bool)
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(f"a polygon has {len(polygon)} numbers, not 6 or more in pairs")
        wrong = [v for v in polygon if type(v) not in (int, float) or not abs(v) <= FARTHEST]
        if wrong:  # pycocotools would walk along such an edge without end
            raise ValueError(f"a polygon has {wrong[0]!r} for a coordinate")
    return rle.decode(rle.merge(rle.frPyObjects(polygons, *size))).astype(bool)


def _from_rle(encoded: dict[str, Any], size: Size) -> np.ndarray:
    from pycocotools import mask as rle

    if tuple(encoded["size"]) != size:
        raise ValueError(f"its RLE is of size {encoded['size']}, the image is {list(size)}")
    counts = encoded["counts"]
    runs = counts if isinstance(counts, list) else uncompressed(counts)
    if any(type(run) is not int or run < 0 for run in runs):
        raise ValueError("its runs are not whole numbers from 0")
    if sum(runs) != size[0] * size[1]:  # pycocotools would leave the rest to chance
        raise ValueError(f"its runs add up to {sum(runs)} pixels, not {size[0] * size[1]}")
    if isinstance(counts, list):
        encoded = rle.frPyObjects(encoded, *size)
    return rle.decode(encoded).astype(bool)


def uncompressed(counts: str) -> list[int]:
    """Read COCO's compressed runs: five bits a character, least first; differences from the fourth run on."""
    digits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not len(digits):
        return []
    last = (digits & 32) == 0  # the character that ends a number; its bit 16 is the sign
    start = np.concatenate([[True], last[:-1]])
    first = np.flatnonzero(start)
    shift = 5 * (np.arange(len(digits)) - np.repeat(first, np.diff([*first, len(digits)])))
    runs = np.add.reduceat((digits & 31) << shift, first)
    ends = np.append(first[1:], len(digits)) - 1
    runs -= np.where(digits[ends] & 16, 1 << (shift[ends] + 5), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return [int(run) for run in runs]
