"""Small images and mask pictures of every kind, drawn by PIL and OpenCV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sambench.suites.data.pictures.folder import MaskFolder
from sambench.suites.data.pictures.settings import Masks
from sambench.suites.data.reading import Reading

SIZE = (24, 32)
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
"""The first four colours of VOC's palette."""


def ids() -> np.ndarray:
    """Three objects apart from each other, of the values 1, 2 and 3, (24, 32) uint8."""
    found = np.zeros(SIZE, np.uint8)
    found[2:9, 3:12], found[4:20, 15:18], found[14:22, 20:31] = 1, 2, 3
    return found


def palette(indices: np.ndarray, colours: list[int] | None = None) -> Image.Image:
    """A picture of indices; the colours of the rest of the palette are 224, 224, 192, VOC's for void."""
    image = Image.fromarray(indices.astype(np.uint8), mode="P")
    given = colours or VOC
    image.putpalette(given + [224, 224, 192] * (256 - len(given) // 3))
    return image


def save(file: Path, picture: np.ndarray | Image.Image, **options: Any) -> Path:
    """Write a picture, its folders too."""
    file.parent.mkdir(parents=True, exist_ok=True)
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(file, **options)
    return file


def photo(file: Path, size: tuple[int, int] = SIZE, **options: Any) -> Path:
    """Write an image of noise."""
    noise = np.random.default_rng(len(file.name)).integers(0, 256, (*size, 3), np.uint8)
    return save(file, noise, **options)


def pair(root: Path, name: str, mask: np.ndarray | Image.Image, ending: str = ".png") -> Path:
    """Write ``images/NAME.jpg`` and ``masks/NAME.png``; return the mask's file."""
    size = mask.size[::-1] if isinstance(mask, Image.Image) else mask.shape[:2]
    photo(root / "images" / f"{name}.jpg", (size[0], size[1]))
    return save(root / "masks" / f"{name}{ending}", mask)


def opened(root: Path, *, reading: Reading | None = None, **masks: Any) -> MaskFolder:
    """Open ``images`` and ``masks`` of a folder."""
    return MaskFolder(root / "images", Masks(root / "masks", **masks), reading)
