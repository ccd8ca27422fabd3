"""COCO-format data: read once, indexed once, streamed image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sambench.adapters.images import Orientation
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.annotations import AnnotationRecord, ImageRecord, read_annotations
from sambench.suites.data.masks import WindowMask
from sambench.suites.data.drawn import how_to_get
from sambench.suites.data.pictures.picture import MaskPicture


@dataclass(frozen=True)
class Entry:
    """One image of the data set, not yet read."""

    record: ImageRecord
    file: Path
    annotations: Sequence[AnnotationRecord]
    """In the order of the annotation file."""
    source: Path = Path()
    """The annotation file, for messages."""
    sha256: str | None = None
    """Of the image file, once it is known."""
    categories: Mapping[int, str] = field(default_factory=dict)
    """The data set's categories, id to name; empty where the file has none. Its entries share it."""
    orientation: Orientation = "stated_size"
    """Which way up its image is (`Protocol.orientation`)."""
    picture: MaskPicture | None = None
    """What its annotations are read from when they are asked for, where that is a picture."""
    unscored: tuple[str, ...] = ()
    """Why further annotations of the file are none of these, a reason each (a key of ``CellResult.counts``)."""

    @property
    def stated(self) -> Size | None:
        """(height, width) of the image as annotated, where it is."""
        record = self.record
        return (record.height, record.width) if record.height and record.width else None

    def objects(self, size: Size) -> tuple[Sequence[AnnotationRecord], WindowMask | None]:
        """Return the annotated objects of the image, and the pixels that count nowhere, where there are such.

        Args:
            size: (height, width) of the image as it was read.

        Raises:
            SambenchError: a mask picture cannot be read, or is of another size.
        """
        return (self.annotations, None) if self.picture is None else self.picture.read(size)

    @property
    def file_name(self) -> str:
        """The image's file as annotated: by its name, or as LVIS has it by the end of its address."""
        return self.record.file_name or "/".join((self.record.coco_url or "").split("/")[-2:])


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
            raise SambenchError(f"{images}: no such image folder. {how_to_get(images)}")
        content = read_annotations(annotations)
        self.annotations_sha256 = content.sha256
        categories = content.categories or []
        self.categories = {c.id: c.name for c in categories}
        lvis = bool(categories) and all(c.frequency for c in categories)
        self.style: Literal["coco", "lvis"] = "lvis" if lvis else "coco"
        self.entries = self._index(content.images, content.annotations)

    def __len__(self) -> int:
        return len(self.entries)

    def _index(self, records: list[ImageRecord], annotations: list[AnnotationRecord]) -> list[Entry]:
        """Give every image its annotations, in one pass over them."""
        by_image: dict[int, list[AnnotationRecord]] = {r.id: [] for r in records}
        for annotation in annotations:
            by_image[annotation.image_id].append(annotation)
        return [
            Entry(r, self._file_of(r), tuple(by_image[r.id]), self.annotations, categories=self.categories)
            for r in sorted(records, key=lambda r: r.id)
        ]

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
