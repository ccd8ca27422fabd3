"""Masks as outlines, and the part of an image around them, small enough to lie in a page."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable

import numpy as np
from PIL import Image
from pycocotools import mask as rle

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels of the original image."""

MOST_POINTS = 400
"""Of a mask's outline, the largest contours first: noise has thousands, which no page could hold."""
MARGIN = 0.4  # of the longer side of what is shown, around it
LEAST_VIEW = 96  # pixels of a view's shorter side, where the image has so many
MOST_PIXELS = 420  # of a picture's longer side
QUALITY = 82  # of its JPEG


def decode(text: str) -> np.ndarray:
    """Return a mask (H, W) bool as records hold it: COCO's compressed run lengths as JSON."""
    mask: np.ndarray = rle.decode(json.loads(text))
    return mask.astype(bool)


def outline(mask: np.ndarray) -> str:
    """Return a mask (H, W) bool as an SVG path in pixels, to be filled by the even-odd rule."""
    import cv2  # here, for most reports have no gallery

    twice = cv2.resize(mask.view(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(twice, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    found, left = [], MOST_POINTS
    for contour in sorted(contours, key=cv2.contourArea, reverse=True):
        points = _simplified(contour, left)
        left -= len(points)
        if len(points) >= 3:
            found.append("M" + "L".join(f"{x:.4g} {y:.4g}" for x, y in points.tolist()) + "Z")
        if left < 3:
            break
    return "".join(found)


def _simplified(contour: np.ndarray, most: int) -> np.ndarray:
    """Return the corners of a contour found at twice the size, (P, 2) in pixels, at most so many.

    At first what no eye sees is left out; a contour of more corners is drawn more coarsely.
    """
    import cv2

    finest = 1.2
    while len(points := cv2.approxPolyDP(contour, finest, True)) > most:
        finest *= 2
    corners: np.ndarray = points[:, 0] / 2 + 0.25  # between the pixels' centres
    return corners


def bounds(mask: np.ndarray) -> Box | None:
    """Return the box around a mask's pixels; ``None`` where it has none."""
    import cv2

    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (x, y, width, height) if width else None


def view_around(boxes: Iterable[Box], size: tuple[int, int]) -> Box:
    """Return the part of an image of ``size`` (H, W) around some boxes with a margin; all without a box."""
    height, width = size
    found = np.array([[x, y, x + w, y + h] for x, y, w, h in boxes])
    if not len(found):
        return 0, 0, width, height
    x0, y0 = found[:, :2].min(axis=0).tolist()
    x1, y1 = found[:, 2:].max(axis=0).tolist()
    margin = MARGIN * max(x1 - x0, y1 - y0)
    left, right = _widened(x0 - margin, x1 + margin, width)
    top, bottom = _widened(y0 - margin, y1 + margin, height)
    return left, top, right - left, bottom - top


def _widened(low: float, high: float, most: int) -> tuple[int, int]:
    """Return whole pixels from ``low`` to ``high`` within 0 to ``most``, `LEAST_VIEW` of them at least."""
    lacking = max(0.0, LEAST_VIEW - (high - low)) / 2
    return max(0, int(low - lacking)), min(most, int(high + lacking) + 1)


def picture(image: np.ndarray, view: Box) -> str:
    """Return a part of an image (H, W, 3) uint8 as the ``data:`` address of a JPEG."""
    x, y, width, height = map(int, view)
    part = Image.fromarray(np.ascontiguousarray(image[y : y + height, x : x + width]))
    part.thumbnail((MOST_PIXELS, MOST_PIXELS))
    return address(part)


def address(image: Image.Image) -> str:
    """Return an RGB image as the ``data:`` address of a JPEG."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
