"""Baselines without weights: honest, non-trivial numbers on any machine.

A model that does not beat the filled ellipse has not understood its box. All three draw at the image's own
size, one mask a prompt.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from sambench.adapters.base import Capabilities, Embedding, Prediction, Prepared, Prompts, Segmenter, Weights
from sambench.evsam.size import Size

REACH = 1 / 16
"""Radius of what a lone click stands for, as a share of the image's longest side: 40 pixels of 640, which
is COCO's median object."""

SURE = 8.0
"""Size of the logits: drawn masks are as stable as can be, whatever offset stability is measured with."""

NO_RECT = (0, 0, 0, 0)

Points = np.ndarray  # (P, 2) float, x y


class Baseline(Segmenter):
    """Draws masks (H, W) with numpy and OpenCV; always on the CPU."""

    capabilities = Capabilities(boxes_with_points=False, mask_input=False)
    weights = Weights(source="none")
    device = torch.device("cpu")
    prompt_batch = 16

    def __init__(self, name: str, *, weights: str | None, device: torch.device) -> None:
        del weights, device  # `adapters.create` has refused weights; drawing has no use for a GPU
        self.name = name

    def prepare(self, image: np.ndarray) -> Prepared:
        """Keep the image, (3, H, W) uint8."""
        return Prepared(torch.from_numpy(image).permute(2, 0, 1), (image.shape[0], image.shape[1]))

    def embed(self, prepared: Sequence[Prepared]) -> list[Embedding]:
        """Take the images themselves as features."""
        return [Embedding(p.pixels, p.size) for p in prepared]

    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        """Draw each prompt: logits (N, 1, H, W), each of them sure; the predicted IoU is a constant 1."""
        del multimask
        image = embedding.features.permute(1, 2, 0).numpy()
        masks = np.zeros((len(prompts), 1, *embedding.size), bool)
        for i, mask in enumerate(masks[:, 0]):
            if prompts.boxes is not None:
                mask[:] = self.from_box(image, prompts.boxes[i].double().numpy())
            else:
                assert prompts.points is not None
                assert prompts.labels is not None
                xy, labels = prompts.points[i].double().numpy(), prompts.labels[i].numpy()
                mask[:] = self.from_points(image, xy[labels == 1], xy[labels == 0])
        logits = torch.from_numpy(masks).float().mul_(2 * SURE).sub_(SURE)
        return Prediction(logits, torch.ones(len(prompts), 1))

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Return the logits as they are: masks are drawn at the image's size."""
        assert logits.shape[-2:] == size
        return logits

    @abstractmethod
    def from_box(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Mask (H, W) for an image (H, W, 3) and a box (4,) x0 y0 x1 y1."""

    @abstractmethod
    def from_points(self, image: np.ndarray, inside: Points, outside: Points) -> np.ndarray:
        """Mask (H, W) for clicks inside and outside of the object."""


class Box(Baseline):
    """The filled box; around points, the pixels within reach, nearer to them than to those outside."""

    def from_box(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        return _inside(image, box)

    def from_points(self, image: np.ndarray, inside: Points, outside: Points) -> np.ndarray:
        return _within_reach(image, inside, outside)


class Ellipse(Baseline):
    """The ellipse inscribed in the box; around points, the ellipse of their spread, less what is outside."""

    def from_box(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        x, y = _centres(image)
        centre, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 0.5)
        return ((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 <= 1

    def from_points(self, image: np.ndarray, inside: Points, outside: Points) -> np.ndarray:
        if not len(inside):
            return np.zeros(image.shape[:2], bool)
        x, y = _centres(image)
        middle = inside.mean(axis=0)  # clicks name pixels by index, the frame is continuous
        # A filled ellipse with covariance S is (p - c) S^-1 (p - c) <= 4; a disc of radius r has r^2 / 4.
        spread = (inside - middle).T @ (inside - middle) / len(inside)
        inverse = np.linalg.inv(spread + np.eye(2) * _reach(image) ** 2 / 4)
        dx, dy = x - middle[0] - 0.5, y - middle[1] - 0.5
        form = inverse[0, 0] * dx**2 + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy**2
        return (form <= 4) & (_squared_distance(image, inside) < _squared_distance(image, outside))


class GrabCut(Baseline):
    """OpenCV's GrabCut on a window around the prompt, at most `WORK_SIDE` pixels wide."""

    WORK_SIDE = 128  # a graph cut takes some 10 ms at this size, and a second on a whole photograph
    ITERATIONS = 3
    MARGIN = 0.5  # of the box's sides, for the window to show background
    SEED_RADIUS = 2  # working pixels around a click that certainly belong to what was clicked

    def from_box(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        margin = np.maximum((box[2:] - box[:2]) * self.MARGIN, 4)
        window = _Window(image, box[:2] - margin, box[2:] + margin, self.WORK_SIDE)
        x0, y0 = np.floor(window.to_work(box[:2] - 0.5) + 0.5).astype(int).clip(0)  # edges, not pixels
        x1, y1 = np.ceil(window.to_work(box[2:] - 0.5) + 0.5).astype(int)
        trimap = np.full(window.pixels.shape[:2], cv2.GC_BGD, np.uint8)
        trimap[y0:y1, x0:x1] = cv2.GC_PR_FGD
        cut = self._cut(window.pixels, trimap)
        if cut is None:  # nothing but box to see, or everything cut away
            return _inside(image, box)
        return window.paste(cut) & _inside(image, box)

    def from_points(self, image: np.ndarray, inside: Points, outside: Points) -> np.ndarray:
        if not len(inside):
            return np.zeros(image.shape[:2], bool)
        reach = _reach(image)
        window = _Window(
            image, inside.min(axis=0) - 3 * reach, inside.max(axis=0) + 3 * reach, self.WORK_SIDE
        )
        trimap = np.full(window.pixels.shape[:2], cv2.GC_PR_BGD, np.uint8)
        for points, radius, value in (
            (inside, reach * window.scale, cv2.GC_PR_FGD),
            (inside, self.SEED_RADIUS, cv2.GC_FGD),
            (outside, self.SEED_RADIUS, cv2.GC_BGD),
        ):
            for centre in np.rint(window.to_work(points)).astype(int):
                cv2.circle(trimap, centre.tolist(), max(round(radius), 1), int(value), cv2.FILLED)
        cut = self._cut(window.pixels, trimap)
        if cut is None:
            return _within_reach(image, inside, outside)
        return window.paste(cut)

    def _cut(self, pixels: np.ndarray, trimap: np.ndarray) -> np.ndarray | None:
        """Cut; ``None`` where one side is left without a pixel, before or after."""
        foreground = (trimap & 1) == 1  # GC_FGD and GC_PR_FGD are odd
        if foreground.all() or not foreground.any():
            return None
        cv2.setRNGSeed(0)  # its k-means draws; every prompt gets the same draw
        model = np.zeros((2, 1, 65))
        cv2.grabCut(pixels, trimap, NO_RECT, model[0], model[1], self.ITERATIONS, cv2.GC_INIT_WITH_MASK)
        cut = (trimap & 1) == 1
        return cut if cut.any() else None


class _Window:
    """A part of an image, shrunk where it is large, and the way back."""

    def __init__(self, image: np.ndarray, low: np.ndarray, high: np.ndarray, side: int) -> None:
        height, width = image.shape[:2]
        self.x0, self.y0 = (int(v) for v in np.floor(low).clip(0, [width - 1, height - 1]))
        x1, y1 = (int(v) for v in np.ceil(high).clip([self.x0 + 1, self.y0 + 1], [width, height]))
        self.size = (y1 - self.y0, x1 - self.x0)
        self.image_size = (height, width)
        self.scale = min(1.0, side / max(self.size))
        part = np.ascontiguousarray(image[self.y0 : y1, self.x0 : x1])
        work = tuple(max(round(s * self.scale), 1) for s in self.size)
        self.pixels = cv2.resize(part, work[::-1], interpolation=cv2.INTER_AREA) if self.scale < 1 else part

    def to_work(self, xy: np.ndarray) -> np.ndarray:
        """Map image coordinates (..., 2) to the window's working pixels."""
        return (xy - [self.x0, self.y0] + 0.5) * self.scale - 0.5

    def paste(self, mask: np.ndarray) -> np.ndarray:
        """Bring a working mask to the image's size, (H, W)."""
        full = np.zeros(self.image_size, bool)
        soft = cv2.resize(mask.astype(np.float32), self.size[::-1], interpolation=cv2.INTER_LINEAR)
        full[self.y0 : self.y0 + self.size[0], self.x0 : self.x0 + self.size[1]] = soft > 0.5
        return full


def _centres(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres, x (1, W) and y (H, 1), in the continuous frame that boxes are given in."""
    height, width = image.shape[:2]
    return np.arange(width)[None] + 0.5, np.arange(height)[:, None] + 0.5


def _inside(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Pixels whose centre lies in the box, (H, W)."""
    x, y = _centres(image)
    return (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])


def _within_reach(image: np.ndarray, inside: Points, outside: Points) -> np.ndarray:
    """Pixels within reach of a point inside and nearer to it than to any outside, (H, W)."""
    near = _squared_distance(image, inside)
    return (near <= _reach(image) ** 2) & (near < _squared_distance(image, outside))


def _reach(image: np.ndarray) -> float:
    return REACH * max(image.shape[:2])


def _squared_distance(image: np.ndarray, points: Points) -> np.ndarray:
    """Squared distance of each pixel to the nearest point, (H, W); infinite without points."""
    height, width = image.shape[:2]
    nearest = np.full((height, width), np.inf)
    for x, y in points:  # clicks name pixels by index, hence no half pixel
        np.minimum(
            nearest, (np.arange(width)[None] - x) ** 2 + (np.arange(height)[:, None] - y) ** 2, out=nearest
        )
    return nearest
