"""Any data set in COCO's format, LVIS's too, by its images' folder and its annotation file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from sambench.adapters.images import read_image
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.harness.train.config import Data
from sambench.harness.train.sources.base import Annotated, Source
from sambench.harness.train.sources.packed import Packed
from sambench.suites.data.annotations import AnnotationRecord
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.reading import Reading

LOOKED_FOR = 100
"""Images of which at least one must be there when the data set is opened. What else is missing is skipped."""


class _Packed(msgspec.Struct, gc=False):
    """An entry of the data set, as its bytes say it."""

    image_id: int
    file: str
    size: Size | None
    """As annotated, where it is."""
    objects: list[AnnotationRecord]


class Coco(Source):
    """A data set in COCO's format, by rising id. Crowds are left out; images without objects are not.

    It travels to other processes, so it holds no object per image or annotation: each image's record is a
    piece of one string of bytes, about as large as the annotation file.

    Args:
        data: with ``images`` and ``annotations``.

    Raises:
        SambenchError: one of the two is not said or missing, the annotations are damaged or not in COCO's
            format, or they belong to other images.
    """

    def __init__(self, data: Data) -> None:
        tolerated = Reading().tolerated("scored")
        dataset = CocoDataset(*_paths(data), match=data.match, tolerated=tolerated, lenient=True)
        entries = dataset.checked(dataset.entries[: data.limit], files=False)
        head = entries[:LOOKED_FOR]
        if not any(entry.file.is_file() for entry in head):
            dataset.checked(head)
        dataset.refuse()
        self.annotations_sha256, self.limit = dataset.annotations_sha256, data.limit
        self.categories = dataset.categories
        self._packed = Packed(_Packed, (_pack(entry) for entry in entries))

    def __len__(self) -> int:
        return len(self._packed)

    def load(self, index: int) -> Annotated:
        """Read an image and its record."""
        one = self._packed[index]
        image = read_image(Path(one.file), one.size)
        return Annotated(one.image_id, one.file, image, one.objects, self.categories)

    def identity(self) -> dict[str, Any]:
        """Return the annotations' SHA-256, the number of the images, and what limited it."""
        return {
            "format": "coco",
            "annotations_sha256": self.annotations_sha256,
            "images": len(self),
            "limit": self.limit,
        }


def _paths(data: Data) -> tuple[Path, Path]:
    """Return the folder of the images and the annotation file."""
    if data.images is None or data.annotations is None:
        lacking = "images" if data.images is None else "annotations"
        raise SambenchError(
            f"data: format coco needs {lacking}. Name the folder of the images and the JSON file."
        )
    if not data.images.is_dir():
        raise SambenchError(f"data: images is {data.images}, which is no folder.")
    if not data.annotations.is_file():
        raise SambenchError(f"data: annotations is {data.annotations}, which is no file.")
    return data.images, data.annotations


def _pack(entry: Entry) -> _Packed:
    objects = [a for a in entry.annotations if not a.iscrowd]
    return _Packed(entry.record.id, str(entry.file), entry.stated, objects)
