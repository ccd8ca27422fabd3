"""Boundary IoU: the IoU of what lies near the outlines, by which thin parts are judged.

Of "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation" (Cheng et al., arXiv 2103.16562):
of each mask the pixels that are at most d from its outline; d is 2% of the image's diagonal, at least 1. As
in the authors' tool (bowenc0221/boundary-iou-api) the distance is that of a square, and the image's border is
an outline too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from sambench.evsam.size import Size
from sambench.suites.data.masks import WindowMask

DILATION_RATIO = 0.02  # of the image's diagonal (section 4.1, and the authors' tool)

_SQUARE = np.ones((3, 3), np.uint8)


def boundary_width(size: Size) -> int:
    """Return how many pixels wide the boundary of a mask is in an image of ``size`` (H, W)."""
    return max(1, round(DILATION_RATIO * math.hypot(*size)))


def boundary(mask: WindowMask) -> WindowMask:
    """Return the pixels of a mask near its outline."""
    if not mask.area:
        return mask
    framed = cv2.copyMakeBorder(mask.pixels.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(framed, _SQUARE, iterations=boundary_width(mask.size))[1:-1, 1:-1]
    pixels = mask.pixels & ~inner.view(bool)
    return WindowMask(pixels, mask.top, mask.left, mask.size, int(np.count_nonzero(pixels)))


def boundary_iou(masks: np.ndarray, truth: Sequence[WindowMask]) -> np.ndarray:
    """IoU of the boundaries of masks with those of their objects, (n,) float64; 0 where both are empty.

    Args:
        masks: (n, H, W) bool.
        truth: the boundary of each object, as `boundary` gives it.
    """
    return np.array([_iou(boundary(_window(m)), t) for m, t in zip(masks, truth, strict=True)], np.float64)


def _window(mask: np.ndarray) -> WindowMask:
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    pixels = np.ascontiguousarray(mask[top : top + height, left : left + width])
    size = (mask.shape[0], mask.shape[1])
    return WindowMask(pixels, top, left, size, int(np.count_nonzero(pixels)))


def _iou(one: WindowMask, other: WindowMask) -> float:
    overlap = _overlap(one, other)
    return overlap / max(one.area + other.area - overlap, 1)


def _overlap(one: WindowMask, other: WindowMask) -> int:
    """Pixels in both."""
    top, left = max(one.top, other.top), max(one.left, other.left)
    bottom, right = (
        min(a + n, b + m)
        for a, n, b, m in zip(
            (one.top, one.left), one.pixels.shape, (other.top, other.left), other.pixels.shape, strict=True
        )
    )
    if bottom <= top or right <= left:
        return 0
    mine, its = (m.pixels[top - m.top : bottom - m.top, left - m.left : right - m.left] for m in (one, other))
    return int(np.count_nonzero(mine & its))
