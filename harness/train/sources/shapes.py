"""The embedded ``shapes`` data (`suites.data.shapes`), drawn when an image is first asked for, then kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import msgspec

from sambench.adapters.engines.cache import cache_folder
from sambench.adapters.files import write_atomic
from sambench.adapters.images import read_image
from sambench.harness.train.sources.base import Annotated, Source
from sambench.suites.data.annotations import AnnotationRecord
from sambench.suites.data.shapes import CATEGORIES, VERSION, annotate, draw_scene

QUALITY = 95  # of the JPEGs, as of the data set's own files


class Shapes(Source):
    """Drawn images by seed and index.

    Args:
        seed: of the drawings. Another than that of the images a model is evaluated on.
        images: how many there are.
    """

    def __init__(self, seed: int, images: int) -> None:
        self.seed, self.images = seed, images
        self.folder = cache_folder() / "shapes" / f"v{VERSION}-seed{seed}"

    def __len__(self) -> int:
        return self.images

    def load(self, index: int) -> Annotated:
        """Draw an image, or read what an earlier call drew."""
        annotations, picture = self.folder / f"{index:06d}.json", self.folder / f"{index:06d}.jpg"
        if not annotations.exists():
            self._draw(index, annotations, picture)
        found = msgspec.json.decode(annotations.read_bytes(), type=list[AnnotationRecord])
        objects = [one for one in found if not one.iscrowd]
        names = {one.id: one.name for one in CATEGORIES}
        return Annotated(index + 1, str(picture), read_image(picture), objects, names)

    def identity(self) -> dict[str, Any]:
        """Return version, seed and number of the drawings."""
        return {"format": "shapes", "version": VERSION, "seed": self.seed, "images": self.images}

    def _draw(self, index: int, annotations: Path, picture: Path) -> None:
        scene = draw_scene(self.seed, index)
        _, jpeg = cv2.imencode(".jpg", scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        write_atomic(picture, jpeg.tobytes())
        write_atomic(annotations, json.dumps(annotate(scene, index + 1, first_id=1)).encode())
