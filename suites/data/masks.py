"""Ground-truth masks: from COCO's encodings to pixels, kept as a window around the object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.segmentation import UnfitError, compress, examine, runs_of


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
    return decode_window(raw, size, what).full()


def decode_window(raw: bytes | msgspec.Raw, size: Size, what: str) -> WindowMask:
    """Rasterise as `decode_segmentation` does, without a pixel outside the window.

    Most objects are a small part of their image, which would be filled, copied and searched for each.

    Args:
        raw: the field's JSON.
        size: (height, width) of the image.
        what: names the annotation in messages.

    Raises:
        SambenchError: there is none, it is damaged, or of another image size.
    """
    try:
        drawable = examine(raw, size).drawable
    except UnfitError as error:
        cause = f"{what}: its segmentation cannot be decoded: {error.detail}."
        raise SambenchError(f"{cause} Mend the annotation or remove it.") from None
    counts = drawable["counts"] if isinstance(drawable, Mapping) else compress(drawable, size)["counts"]
    return _of_runs(runs_of(counts), size)


def _of_runs(runs: np.ndarray, size: Size) -> WindowMask:
    """Cut a mask out of its runs down the columns (`runs_of`)."""
    height = size[0]
    ends = np.cumsum(runs)
    ends = ends[: len(ends) // 2 * 2].reshape(-1, 2)  # of what is outside, of what is inside
    ends = ends[ends[:, 0] < ends[:, 1]]
    if not len(ends):
        return WindowMask(np.zeros((0, 0), bool), 0, 0, size, 0)
    starts, lasts = ends[:, 0], ends[:, 1] - 1
    (left, right), top, bottom = (starts[0] // height, lasts[-1] // height), 0, height - 1
    if (starts // height == lasts // height).all():  # a run over two columns has pixels at top and bottom
        top, bottom = (starts % height).min(), (lasts % height).max()
    edges = np.empty(2 * len(ends) + 2, np.int64)
    edges[0], edges[-1] = left * height, (right + 1) * height
    edges[1:-1] = ends.ravel()
    inside = np.zeros(len(edges) - 1, bool)
    inside[1::2] = True
    columns = np.repeat(inside, np.diff(edges)).reshape(-1, height)
    pixels = np.ascontiguousarray(columns[:, top : bottom + 1].T)
    area = int((ends[:, 1] - ends[:, 0]).sum())
    return WindowMask(pixels, int(top), int(left), size, area)
