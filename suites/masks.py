"""Ground-truth masks: from COCO's three encodings to pixels, kept as a window around the object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from pycocotools import mask as rle

from evsam.errors import SambenchError

Size = tuple[int, int]


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
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, msgspec.DecodeError) as error:
        raise SambenchError(
            f"{what}: its segmentation cannot be decoded ({error or type(error).__name__})."
        ) from None


def _from_polygons(polygons: list[list[float]], size: Size) -> np.ndarray:
    if not polygons:
        return np.zeros(size, bool)
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(f"a polygon has {len(polygon)} numbers, not 6 or more in pairs")
    return rle.decode(rle.merge(rle.frPyObjects(polygons, *size))).astype(bool)


def _from_rle(encoded: dict[str, Any], size: Size) -> np.ndarray:
    if tuple(encoded["size"]) != size:
        raise ValueError(f"its RLE is of size {encoded['size']}, the image is {list(size)}")
    if isinstance(encoded["counts"], list):
        if sum(encoded["counts"]) != size[0] * size[1]:
            raise ValueError(f"its runs add up to {sum(encoded['counts'])} pixels, not {size[0] * size[1]}")
        encoded = rle.frPyObjects(encoded, *size)
    return rle.decode(encoded).astype(bool)
