"""The parts of everything mode that know no model: grids, crops, boxes, suppression, clean-up.

What is computed follows ``segment_anything/utils/amg.py``, and ``nms`` of torchvision, to the last tie. Boxes
are x0 y0 x1 y1 in pixels; those of masks end *at* the last pixel, so one of a single pixel has no area.
"""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
from torch import Tensor

from sambench.evsam.size import Size

EDGE_TOLERANCE = 20  # pixels (amg.py, ``is_box_near_crop_edge``)

Corners = tuple[int, int, int, int]


def point_grid(per_side: int) -> np.ndarray:
    """Return the centres of ``per_side^2`` equal cells of the unit square, row by row: (n, 2) x y."""
    start = 1 / (2 * per_side)
    line = np.linspace(start, 1 - start, per_side)
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def crop_boxes(size: Size, layers: int, overlap_ratio: float) -> list[tuple[Corners, int]]:
    """Return the whole image and its overlapping crops, ``2^i`` a side in layer i, each with its layer.

    Args:
        size: (height, width) of the image.
        layers: how many beyond the whole image, which is layer 0.
        overlap_ratio: of the first layer's crops, as a share of the image's shorter side; halved each layer.
    """
    height, width = size
    boxes = [((0, 0, width, height), 0)]
    for layer in range(1, layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(size) * (2 / per_side))
        w, h = (math.ceil((overlap * (per_side - 1) + side) / per_side) for side in (width, height))
        columns, rows = ([(side - overlap) * i for i in range(per_side)] for side in (w, h))
        boxes += [
            ((x, y, min(x + w, width), min(y + h, height)), layer)
            for x, y in itertools.product(columns, rows)
            if x < width and y < height  # an image of a few pixels has fewer crops
        ]
    return boxes


def mask_boxes(masks: Tensor) -> np.ndarray:
    """Return first and last column and row of each mask (n, H, W) bool, none of them empty: (n, 4) int."""
    columns, rows = (masks.any(dim=axis).cpu().numpy() for axis in (1, 2))
    first = [line.argmax(axis=1) for line in (columns, rows)]
    last = [line.shape[1] - 1 - line[:, ::-1].argmax(axis=1) for line in (columns, rows)]
    return np.stack([*first, *last], axis=1)


def cut_by_crop(boxes: np.ndarray, crop: Corners, size: Size) -> np.ndarray:
    """Tell which boxes (n, 4) of the image's frame end at an edge of the crop that is not the image's too."""
    height, width = size
    at_crop = np.abs(boxes - np.array(crop)) <= EDGE_TOLERANCE
    at_image = np.abs(boxes - np.array([0, 0, width, height])) <= EDGE_TOLERANCE
    return (at_crop & ~at_image).any(axis=1)


def nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Keep the best of boxes that overlap by an IoU above a threshold.

    Args:
        boxes: (n, 4) of any numbers.
        scores: (n,); among equals the earlier box is the better one.
        threshold: of the IoU, which itself is computed in single precision.

    Returns:
        Which boxes are kept, the best first.
    """
    x0, y0, x1, y1 = boxes.astype(np.float32).reshape(-1, 4).T
    area = (x1 - x0) * (y1 - y0)
    rest = np.argsort(-scores, kind="stable")
    kept = []
    while len(rest):
        best, rest = int(rest[0]), rest[1:]
        kept.append(best)
        width = np.minimum(x1[best], x1[rest]) - np.maximum(x0[best], x0[rest])
        height = np.minimum(y1[best], y1[rest]) - np.maximum(y0[best], y0[rest])
        overlap = width.clip(0) * height.clip(0)
        with np.errstate(invalid="ignore"):  # 0 / 0 of two boxes without area, which never suppress
            iou = overlap / (area[best] + area[rest] - overlap)
        rest = rest[~(iou.astype(np.float64) > threshold)]
    return kept


def clean(mask: np.ndarray, least: int) -> tuple[np.ndarray, bool]:
    """Fill the holes and drop the islands of fewer than ``least`` pixels, neighbours being all eight.

    Args:
        mask: (H, W) bool.
        least: pixels. Where all islands are smaller, the largest stays.

    Returns:
        The mask, and whether anything changed.
    """
    holes, small = _regions(~mask, least)
    filled = mask | np.isin(holes, small)
    islands, gone = _regions(filled, least)
    areas = np.bincount(islands.ravel())[1:]
    if len(gone) and len(gone) == len(areas):
        gone = np.delete(gone, areas.argmax())
        return filled & ~np.isin(islands, gone), True
    return filled & ~np.isin(islands, gone), bool(len(small) or len(gone))


def _regions(mask: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Number a mask's regions from 1, (H, W), and name those of fewer than ``least`` pixels."""
    _, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return regions, 1 + np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] < least)
