"""What a source of training data gives: images with their annotations, undecoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sambench.evsam.size import Size
from sambench.suites.data.annotations import AnnotationRecord
from sambench.suites.data.masks import WindowMask, decode_segmentation, to_window
from sambench.suites.data.sample import Sample, Target


@dataclass(frozen=True)
class Annotated:
    """One image and what is annotated on it; masks are decoded when they are asked for."""

    image_id: int
    name: str
    """Of its file, for messages."""
    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    annotations: Sequence[AnnotationRecord]
    """Objects alone; crowds are left out."""
    categories: Mapping[int, str] = field(default_factory=dict)
    void: WindowMask | None = None
    """Pixels that count nowhere when suites score the image; losses take them for background."""

    @property
    def size(self) -> Size:
        """Height and width of the image."""
        return self.image.shape[0], self.image.shape[1]

    def mask(self, i: int) -> np.ndarray:
        """Rasterise an object's mask, (H, W) bool.

        Raises:
            SambenchError: it is damaged.
        """
        one = self.annotations[i]
        return decode_segmentation(one.segmentation, self.size, f"{self.name}: annotation {one.id}")

    def box(self, i: int) -> tuple[float, float, float, float]:
        """Return an object's box as annotated, x0, y0, x1, y1 in pixels."""
        x, y, w, h = self.annotations[i].bbox
        return x, y, x + w, y + h

    def for_suites(self) -> Sample:
        """Return the image with all its objects, as suites score it.

        Raises:
            SambenchError: a mask is damaged.
        """
        targets = tuple(
            Target(one.id, one.category_id, self.box(i), one.area, False, to_window(self.mask(i)))
            for i, one in enumerate(self.annotations)
        )
        return Sample(self.image_id, self.image, targets, self.name, self.categories, self.void)


class Source(ABC):
    """Images by index. It travels to other processes."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many images there are."""

    @abstractmethod
    def load(self, index: int) -> Annotated:
        """Read an image and its annotations.

        Raises:
            SambenchError: a file is missing or damaged; the message names it.
        """

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what decides which images there are and in which order, for the record of a training."""
