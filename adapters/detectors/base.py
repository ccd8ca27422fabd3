"""The one interface of detectors: what images go in and what boxes come out.

A new detector is a subclass of `Detector` in a file of its own and a line in `adapters.detectors.registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sambench.adapters.base import Weights, check_images
from sambench.adapters.weights.resolve import RANDOM_SEED, from_path
from sambench.evsam.errors import SambenchError


@dataclass(frozen=True)
class Category:
    """One category of the data set."""

    id: int
    name: str


@dataclass(frozen=True)
class ImageBoxes:
    """N boxes found in one image."""

    boxes: np.ndarray
    """(N, 4) float, x0 y0 x1 y1 in pixels of the original image."""
    scores: np.ndarray
    """(N,) float, as computed: rounding would make ties."""
    category_ids: np.ndarray
    """(N,) int, of the data set."""

    def __post_init__(self) -> None:
        n = len(self.boxes)
        assert self.boxes.shape == (n, 4)
        assert self.scores.shape == self.category_ids.shape == (n,)

    def __len__(self) -> int:
        return len(self.boxes)


class Detector(ABC):
    """A detector for the categories of one data set.

    Attributes:
        name: the registry's name.
        weights: where its parameters come from.
        settings: everything else that decides its numbers, in values that JSON has: thresholds, resolution,
            how many boxes, how category names become classes.
        libraries: distributions whose versions decide its numbers too.
    """

    name: str
    weights: Weights
    settings: dict[str, Any]
    libraries: tuple[str, ...]

    def detect(self, images: Sequence[np.ndarray]) -> list[ImageBoxes]:
        """Detect in RGB images (H, W, 3) uint8, of any sizes.

        Raises:
            SambenchError: an image is of another shape or type.
        """
        check_images(images)
        return [self.detect_one(image) for image in images]

    @abstractmethod
    def detect_one(self, image: np.ndarray) -> ImageBoxes:
        """Detect in one RGB image (H, W, 3) uint8."""


def find_weights(name: str, given: str | None, default: Path) -> Weights:
    """Say which weights a detector takes; what is found is hashed.

    Args:
        name: the detector's name.
        given: the user's choice: a path, ``"random"``, or ``None`` for the default.
        default: where its checkpoint is looked for otherwise.

    Raises:
        SambenchError: nothing is there, or it cannot be read.
    """
    if given == "random":
        return Weights("random", seed=RANDOM_SEED)
    path = Path(given).expanduser() if given else default
    if not path.exists():
        raise SambenchError(
            f"{name}: no weights at {path}. Give them with --weights PATH, or take a random initialisation "
            "with --weights random."
        )
    return from_path(path)


def ids_by_name(name: str, classes: Sequence[str], categories: Iterable[Category]) -> list[int | None]:
    """Map a detector's classes to the data set's category ids by name, whatever the case.

    Positions do not do: COCO's 80 categories have ids up to 90. Classes that the data set has not map to
    ``None``; the data set's categories must all be there.

    Args:
        name: the detector's name, for messages.
        classes: its class names.
        categories: of the data set.

    Raises:
        SambenchError: a category is no class of the detector, or a name is there twice.
    """
    wanted: dict[str, int] = {}
    for category in categories:
        if wanted.setdefault(_key(category.name), category.id) != category.id:
            raise SambenchError(
                f"{name}: the annotations have two categories named {category.name!r}, and classes are "
                "matched by name. Rename one of them."
            )
    keys = [_key(c) for c in classes]
    missing = sorted(set(wanted) - set(keys))
    if missing:
        raise SambenchError(
            f"{name} does not know {len(missing)} of the {len(wanted)} categories: {_some(missing)}. It "
            f"knows {_some(keys)}. Take a detector trained on this data set's classes, or name them alike."
        )
    if len(set(keys)) < len(keys):
        raise SambenchError(f"{name}: its weights have two classes of one name. Take other weights.")
    return [wanted.get(key) for key in keys]


def _key(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
