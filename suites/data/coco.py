"""COCO-format data: read once, indexed once, streamed image by image."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from sambench.adapters.images import Orientation, look
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.annotations import (
    AnnotationRecord,
    Annotations,
    ImageRecord,
    read_annotations,
)
from sambench.suites.data.checks.entry import check_entry
from sambench.suites.data.checks.kinds import BOXES
from sambench.suites.data.checks.kinds_of_boxes import other_kind
from sambench.suites.data.checks.lvis import unlisted
from sambench.suites.data.drawn import how_to_get
from sambench.suites.data.ids import Known
from sambench.suites.data.locate import ImageFolder, Match
from sambench.suites.data.looks import Looks
from sambench.suites.data.masks import WindowMask
from sambench.suites.data.pictures.picture import MaskPicture
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.reading import Reading

WORKERS = min(8, os.cpu_count() or 1)
"""Threads that look at images; beyond eight, it is the annotations that take the time."""
BATCH = 16
"""Images that a thread looks at before it says so."""


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
    """The data set's categories, id to name; empty where the file has none. Its entries share it, but for
    those of pairs (`suites.data.pairs`), which have each its own: the phrases that are asked of it."""
    orientation: Orientation = "stated_size"
    """Which way up its image is (`Protocol.orientation`)."""
    picture: MaskPicture | None = None
    """What its annotations are read from when they are asked for, where that is a picture."""
    unscored: tuple[str, ...] = ()
    """Why further annotations of the file are none of these, a reason each (in ``CellResult.counts``)."""

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

    What is wrong is collected: `checked` looks at the files and masks of some images, `refuse` raises what
    was found until then, all of it at once.

    Args:
        images: folder of the image files; ``None`` looks at the annotations alone.
        annotations: JSON file in COCO's format.
        reading: how it is read, where there is a choice.
        match: by what image files are found.
        masks: whether objects need a mask; those without one are left out and counted.
        tolerated: kinds of faults that are none here.
        lenient: leave it to the caller to `refuse`.

    Attributes:
        entries: the images.
        content: the annotation file, as it was read.
        problems: what was found.
        categories: id to name.
        style: ``lvis`` where the categories say how frequent they are, else ``coco``.
        annotations_sha256: of the bytes that were parsed.

    Raises:
        SambenchError: the folder is not there, or the file is missing, no annotations, or has faults.
    """

    def __init__(
        self,
        images: Path | None,
        annotations: Path,
        *,
        reading: Reading | None = None,
        match: Match = "name",
        masks: bool = True,
        tolerated: Collection[str] = (),
        lenient: bool = False,
    ) -> None:
        self.images, self.annotations = images, annotations
        if images is not None and not images.is_dir():
            raise SambenchError(f"{images}: no such image folder. {how_to_get(images)}")
        self._folder = None if images is None else ImageFolder(images, match)
        self._reading, self._masks = reading or Reading(), masks
        if not masks:
            tolerated = (*tolerated, *BOXES)
        self.content = read_annotations(annotations, self._reading, tolerated)
        self.problems = self.content.problems
        self.annotations_sha256 = self.content.sha256
        categories = self.content.categories or []
        self.categories = {c.id: c.name for c in categories}
        lvis = bool(categories) and all(c.frequency for c in categories)
        self.style: Literal["coco", "lvis"] = "lvis" if lvis else "coco"
        self.entries = self._index()
        if not self.content.images:
            self.problems.add("nothing", "images is empty")
        self.problems.extend(unlisted(self.content))
        if masks and not self.content.annotations:
            self.problems.add("nothing_annotated", "annotations is empty")
        if not lenient:
            self.refuse()

    def __len__(self) -> int:
        return len(self.entries)

    def _index(self) -> list[Entry]:
        """Give every image its annotations, in one pass over them."""
        by_image: dict[int, list[AnnotationRecord]] = {r.id: [] for r in self.content.images}
        without: list[AnnotationRecord] = []
        for annotation in self.content.annotations:
            bare = self._masks and not memoryview(annotation.segmentation)
            (without if bare else by_image[annotation.image_id]).append(annotation)
        if without and len(without) == len(self.content.annotations):
            self.problems.add("no_masks", f"{len(without):,} annotations, and no segmentation")
        elif without:
            self.problems.extend(("no_mask", name) for name in self._names(without))
        bare_of = Counter(annotation.image_id for annotation in without)
        folder = self._folder or ImageFolder(Path())
        asked = self._asked()
        return [
            Entry(
                r,
                folder.named(r.file_name, r.coco_url),
                tuple(by_image[r.id]),
                self.annotations,
                categories=self.categories if asked is None else asked[r.id],
                orientation=self._reading.orientation,
                unscored=bare_of[r.id] * ("no_mask",),
            )
            for r in sorted(self.content.images, key=lambda r: r.id)
        ]

    def _asked(self) -> dict[int, dict[int, str]] | None:
        """Return what is asked of each image, id to phrase; ``None`` where that is not of each its own."""
        if self.content.pairs is None:
            return None
        asked: dict[int, dict[int, str]] = {image.id: {} for image in self.content.images}
        for pair in self.content.pairs.values():
            asked[pair.image_id][pair.category_id] = self.categories[pair.category_id]
        return asked

    def _names(self, annotations: Sequence[AnnotationRecord]) -> Iterator[str]:
        """Say which annotations they are, by the ids of the file."""
        images, own = self.content.image_ids.texts, self.content.annotation_ids.texts
        for one in annotations:
            yield f"annotation {own.get(one.id, one.id)} of image {images.get(one.image_id, one.image_id)}"

    def checked(
        self,
        entries: Sequence[Entry],
        *,
        thorough: bool = False,
        files: bool = True,
        on_image: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Entry]:
        """Look at the files and masks of some images, and complete what their annotations leave open.

        Args:
            entries: the images.
            thorough: read the image files to their end, not just their headers, and count masks' pixels.
            files: look into image files at all, and not just for where they are.
            on_image: called with images done and their total.

        Returns:
            The entries with their files and sizes, and annotations with a box and an area each; those with
            a fault are left out of them. Faults are in ``problems``.
        """
        looks = Looks(entry.file for entry in entries if files and not thorough)
        check = partial(
            check_entry,
            folder=self._folder,
            texts=self.texts(),
            thorough=thorough,
            files=files,
            masks=self._masks,
            look=look if thorough else looks,
        )
        found: list[Entry] = []
        # Some images at once: handing over each alone takes as long as the look at a small one.
        batches = [entries[i : i + BATCH] for i in range(0, len(entries), BATCH)]
        for batch in prefetch(lambda some: list(map(check, some)), batches, WORKERS):
            for entry, findings in batch:
                self.problems.extend(findings)
                found.append(entry)
                on_image(len(found), len(entries))
        looks.keep()
        if self._masks and (kind := other_kind(found)):
            self.problems.add("boxes_of_another_kind", kind)
        return found

    def refuse(self) -> None:
        """See that nothing that was found is a fault.

        Raises:
            SambenchError: something is; the first twenty are listed.
        """
        where = (
            f"{self.annotations}" if self.images is None else f"{self.annotations}, images in {self.images}"
        )
        folder = "" if self.images is None else f" --images {self.images}"
        self.problems.refuse(where, f"To see more: sambench data verify {self.annotations}{folder}")

    def known(self) -> Known:
        """Return what a detector's boxes can belong to."""
        return Known.of(
            {entry.record.id: entry.file_name for entry in self.entries},
            self.content.image_ids,
            self.content.category_ids,
            [(category.id, category.name) for category in self.content.categories or ()],
        )

    def texts(self) -> dict[str, dict[int, str]]:
        """Return, by column of records, what the file has for ids that are numbered anew."""
        content = self.content
        kinds = {
            "image_id": content.image_ids,
            "ann_id": content.annotation_ids,
            "category_id": content.category_ids,
        }
        return {column: ids.texts for column, ids in kinds.items() if ids.anew}

    def contents(self, entries: Sequence[Entry]) -> dict[str, Annotations]:
        """Return what the file says, of some images as `checked` completed them, for AP to be measured by."""
        return {"": self.evaluated(entries)}

    def evaluated(self, entries: Sequence[Entry]) -> Annotations:
        """Return what `contents` has."""
        completed = {entry.record.id: entry.record for entry in entries}
        return dataclasses.replace(
            self.content,
            images=[completed.get(record.id, record) for record in self.content.images],
            annotations=[annotation for entry in entries for annotation in entry.annotations],
        )
