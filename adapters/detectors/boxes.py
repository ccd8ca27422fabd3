"""Boxes in NumPy: the letterbox that YOLO models see an image through, and suppression of doubles."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

GREY = 114  # of the padding; ``LetterBox.padding_value`` in ultralytics' data/augment.py


@dataclass(frozen=True)
class Letterbox:
    """How an image (height, width) lies in a square: resized with its shape kept, in the middle of grey."""

    height: int
    width: int
    side: int

    @property
    def resized(self) -> tuple[int, int]:
        """Height and width in the square."""
        scale = min(self.side / self.height, self.side / self.width)
        return max(round(self.height * scale), 1), max(round(self.width * scale), 1)

    @property
    def corner(self) -> tuple[int, int]:
        """Of the image in the square, y and x; odd padding has its extra pixel at the bottom and right."""
        height, width = self.resized
        return (self.side - height) // 2, (self.side - width) // 2

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Draw an image (H, W, 3) uint8 into the square (side, side, 3)."""
        (height, width), (top, left) = self.resized, self.corner
        square = np.full((self.side, self.side, 3), GREY, np.uint8)
        if (height, width) != image.shape[:2]:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        square[top : top + height, left : left + width] = image
        return square

    def undo(self, boxes: np.ndarray) -> np.ndarray:
        """Bring boxes (N, 4) xyxy from the square to the image, and clip them to it."""
        (height, width), (top, left) = self.resized, self.corner
        gain = np.array([width / self.width, height / self.height] * 2)
        limits = np.array([self.width, self.height] * 2)
        return np.clip((boxes - np.array([left, top] * 2)) / gain, 0, limits)


def from_centre(boxes: np.ndarray) -> np.ndarray:
    """Turn boxes (N, 4) of centre x, centre y, width, height into x0 y0 x1 y1."""
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def nms(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, overlap: float, most: int) -> np.ndarray:
    """Suppress, among boxes of the same class, those that overlap a better one.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,).
        classes: (N,).
        overlap: the IoU beyond which the worse box goes.
        most: how many boxes to keep at most.

    Returns:
        (K,) indices by falling score; equal scores keep their order.
    """
    kept: list[int] = []
    left = np.argsort(-scores, kind="stable")
    while len(left) and len(kept) < most:
        best, left = left[0], left[1:]
        kept.append(int(best))
        double = (classes[left] == classes[best]) & (iou(boxes[best], boxes[left]) > overlap)
        left = left[~double]
    return np.array(kept, dtype=np.int64)


def iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU (N,) of one box (4,) with each of boxes (N, 4), all xyxy; 0 where neither has an area."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - inside
    return np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
