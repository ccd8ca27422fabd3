"""A data set of a few tiny images, which a test can break in one place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 48, 64


@dataclass(frozen=True)
class TinyCoco:
    """Images and a COCO file; change `content` and `save` it again."""

    images: Path
    annotations: Path
    content: dict[str, Any]

    @property
    def flags(self) -> list[str]:
        """The flags of ``sambench run`` that name this data set."""
        return ["--dataset", "tiny", "--images", str(self.images), "--annotations", str(self.annotations)]

    def file(self, image_id: int) -> Path:
        """An image's file."""
        return self.images / f"{image_id:03d}.jpg"

    def save(self) -> None:
        """Write the annotation file."""
        self.annotations.write_text(json.dumps(self.content))

    def add(self, image_id: int, file_name: str, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
        """List an image with one object: a rectangle that fills its own box."""
        height, width = size
        x, y, w, h = 4.0 + image_id, 6.0, 20.0, 16.0
        corners = [x, y, x + w, y, x + w, y + h, x, y + h]
        image = {"id": image_id, "file_name": file_name, "height": height, "width": width}
        common = {"image_id": image_id, "category_id": 1, "iscrowd": 0}
        thing = {"id": 100 + image_id, "bbox": [x, y, w, h], "area": w * h, "segmentation": [corners]}
        self.content["images"].append(image)
        self.content["annotations"].append(thing | common)


def noise(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Pixels (H, W, 3) of no meaning."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def empty_coco(folder: Path) -> TinyCoco:
    """Make the folders; no image yet."""
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "thing"}]}
    tiny = TinyCoco(folder / "images", folder / "instances.json", content)
    tiny.images.mkdir(parents=True)
    return tiny


def make_tiny(folder: Path, images: int = 4) -> TinyCoco:
    """Make images 1, 2, ... with one object each."""
    tiny = empty_coco(folder)
    for image_id in range(1, images + 1):
        Image.fromarray(noise((HEIGHT, WIDTH), image_id)).save(tiny.file(image_id))
        tiny.add(image_id, tiny.file(image_id).name)
    tiny.save()
    return tiny
