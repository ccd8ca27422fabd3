"""COCO-format data: read once, indexed once, streamed image by image.

The annotation file is parsed into compact records; segmentations stay the bytes they were in the file until
their image comes up, so memory hardly grows beyond the file's own size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from sambench.evsam.errors import SambenchError


class ImageRecord(msgspec.Struct, gc=False):
    """An entry of ``images``."""

    id: int
    file_name: str | None = None
    coco_url: str | None = None
    """LVIS names its files by this alone."""
    height: int | None = None
    width: int | None = None


class AnnotationRecord(msgspec.Struct, gc=False):
    """An entry of ``annotations``."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    """x, y, width, height in pixels."""
    area: float
    segmentation: msgspec.Raw
    iscrowd: int = 0


class CategoryRecord(msgspec.Struct, gc=False):
    """An entry of ``categories``."""

    id: int
    name: str
    frequency: str | None = None
    """LVIS: ``r``, ``c`` or ``f``, rare to frequent."""


class _File(msgspec.Struct):
    images: list[ImageRecord]
    annotations: list[AnnotationRecord]
    categories: list[CategoryRecord] = []


@dataclass(frozen=True)
class Entry:
    """One image of the data set, not yet read."""

    record: ImageRecord
    file: Path
    annotations: Sequence[AnnotationRecord]
    """In the order of the annotation file."""
    source: Path = Path()
    """The annotation file, for messages."""


class CocoDataset:
    """Images by rising id, each with its annotations.

    Args:
        images: folder of the image files.
        annotations: JSON file in COCO's format.

    Attributes:
        entries: the images.
        categories: id to name.
        style: ``lvis`` where the categories say how frequent they are, else ``coco``.
        annotations_sha256: of the bytes that were parsed.

    Raises:
        SambenchError: a path is missing, the file is damaged or not COCO's format, an id is there twice, an
            annotation has no image, or an image has no file.
    """

    def __init__(self, images: Path, annotations: Path) -> None:
        self.images = images
        self.annotations = annotations
        if not images.is_dir():
            raise SambenchError(f"{images}: no such image folder. Give it with --images.")
        content, self.annotations_sha256 = _parse(annotations)
        self.categories = {c.id: c.name for c in content.categories}
        lvis = bool(content.categories) and all(c.frequency for c in content.categories)
        self.style: Literal["coco", "lvis"] = "lvis" if lvis else "coco"
        records = sorted(content.images, key=lambda r: r.id)
        self.entries = self._index(records, content.annotations)

    def __len__(self) -> int:
        return len(self.entries)

    def _index(self, records: list[ImageRecord], annotations: list[AnnotationRecord]) -> list[Entry]:
        """Give every image its annotations, in one pass over them."""
        _refuse_twice(self.annotations, "image id", [r.id for r in records])
        _refuse_twice(self.annotations, "annotation id", [a.id for a in annotations])
        by_image: dict[int, list[AnnotationRecord]] = {r.id: [] for r in records}
        for annotation in annotations:
            if annotation.image_id not in by_image:
                raise SambenchError(
                    f"{self.annotations}: annotation {annotation.id} belongs to image {annotation.image_id}, "
                    "which the file does not list. Add the image or remove the annotation."
                )
            by_image[annotation.image_id].append(annotation)
        return [Entry(r, self._file_of(r), tuple(by_image[r.id]), self.annotations) for r in records]

    def _file_of(self, record: ImageRecord) -> Path:
        """Return where an image should lie; `check_files` says whether it does."""
        if record.file_name or record.coco_url:
            return image_file(self.images, record.file_name, record.coco_url)
        raise SambenchError(f"{self.annotations}: image {record.id} has neither file_name nor coco_url.")

    def check_files(self, entries: Sequence[Entry]) -> None:
        """See that each entry has its image file.

        Raises:
            SambenchError: some are missing; the message counts them and names the first.
        """
        missing = [entry.file for entry in entries if not entry.file.is_file()]
        if missing:
            raise SambenchError(
                f"{missing[0]}: no such image; {len(missing)} of {len(entries)} images of "
                f"{self.annotations.name} are not in {self.images}. "
                "Is --images the folder that belongs to --annotations?"
            )


def image_file(folder: Path, file_name: object, coco_url: object) -> Path:
    """Return where an image should lie: by its name, or as LVIS has it by the end of its address."""
    if file_name:
        return folder / str(file_name)
    # http://images.cocodataset.org/train2017/000000123456.jpg
    *_, split, name = ("", *str(coco_url).split("/"))
    beside = folder / name
    return beside if beside.exists() else folder / split / name


def _parse(path: Path) -> tuple[_File, str]:
    """Read an annotation file once: what it says, and the SHA-256 of just those bytes."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SambenchError(f"{path}: no such annotation file. Give it with --annotations.") from None
    except OSError as error:
        raise SambenchError(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        return msgspec.json.decode(content, type=_File), hashlib.sha256(content).hexdigest()
    except msgspec.ValidationError as error:
        raise SambenchError(f"{path}: not in COCO's format. {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SambenchError(f"{path}: not valid JSON, perhaps cut off. {error}.") from None


def _refuse_twice(path: Path, what: str, ids: list[int]) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: set[int] = set()
    for i in ids:
        if i in seen:
            raise SambenchError(f"{path}: {what} {i} is there twice. Number them anew.")
        seen.add(i)
