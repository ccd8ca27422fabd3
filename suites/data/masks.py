"""Ground-truth masks: from COCO's encodings to pixels, kept as a window around the object."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.segmentation import UnfitError, compress, examine


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
        SambenchError: there is none, it is damaged, or of another image size.
    """
    from pycocotools import mask as rle  # at the first use: throughput reads boxes alone, and runs without

    try:
        drawable = examine(raw, size).drawable
    except UnfitError as error:
        cause = f"{what}: its segmentation cannot be decoded: {error.detail}."
        raise SambenchError(f"{cause} Mend the annotation or remove it.") from None
    return rle.decode(compress(drawable, size)).astype(bool)
