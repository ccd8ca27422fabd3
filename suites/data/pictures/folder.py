"""A folder of images and one of mask pictures, as a data set that is read image by image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from sambench.adapters.images import Look, look
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.annotations import Annotations, ImageRecord
from sambench.suites.data.checks.entry import check_entry
from sambench.suites.data.checks.problems import Finding, Problems
from sambench.suites.data.coco import Entry
from sambench.suites.data.fingerprints import digests
from sambench.suites.data.locate import ImageFolder
from sambench.suites.data.pictures.matching import Pair, match, split_pattern
from sambench.suites.data.pictures.objects import CATEGORIES
from sambench.suites.data.pictures.picture import MaskPicture
from sambench.suites.data.pictures.settings import Ids, Masks
from sambench.suites.data.pictures.telling import tell
from sambench.suites.data.pictures.values import MaskError, look_at_mask
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.reading import Reading

MORE = "The data set's file says how masks are read: docs/data.md, 'Masks as pictures'."


class MaskFolder:
    """Images by rising name, each with its mask (see `suites.data.coco.CocoDataset`).

    No mask is decoded before it is looked at (`checked`), but where the meaning of all must be told.

    Args:
        images: folder of the image files.
        masks: folder of the masks, and how they are read.
        reading: what of a protocol decides what they say.
        problems: to add to.

    Attributes:
        entries: the images, numbered from 1.
        categories: one, "object".
        annotations: the masks' folder with its pattern, for messages.
        folder: of the masks.
        masks: with ``ids`` as given, or as told.
        annotations_sha256: over names and contents of all masks and what decides how they are read.
        problems: what is worth knowing; what cannot be is refused.

    Raises:
        SambenchError: a folder is missing, an image has no mask or several, or what values mean cannot be
            told.
    """

    style: Literal["coco"] = "coco"
    categories: ClassVar[dict[int, str]] = CATEGORIES

    def __init__(
        self,
        images: Path,
        masks: Masks,
        reading: Reading | None = None,
        *,
        problems: Problems | None = None,
    ) -> None:
        self.images, self.annotations = images, masks.folder
        self.folder, _ = split_pattern(masks.folder)
        self._folder = ImageFolder(images)
        self.reading = reading or Reading()
        self.problems = Problems() if problems is None else problems
        matched = match(images, masks.folder)
        self.problems.extend(matched.findings)
        self.refuse()
        files = [pair.mask for pair in matched.pairs]
        ids = self._ids(files, masks)
        self.masks = replace(masks, ids=ids)
        self._looks = dict(zip(files, prefetch(_look, files), strict=True))
        sha256 = digests(files)
        self.annotations_sha256 = self._digest(matched.pairs, sha256)
        self.entries = [
            self._entry(number, pair, ids, digest)
            for number, (pair, digest) in enumerate(zip(matched.pairs, sha256, strict=True), start=1)
        ]

    def __len__(self) -> int:
        return len(self.entries)

    def checked(
        self,
        entries: Sequence[Entry],
        *,
        thorough: bool = False,
        on_image: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Entry]:
        """Look at images and their masks (see `CocoDataset.checked`); all these masks are decoded."""
        found: list[Entry] = []
        empty = 0
        for done, (entry, findings) in enumerate(prefetch(partial(self._checked, thorough), entries), 1):
            self.problems.extend(findings)
            found.append(entry)
            empty += any(kind == "no_object" for kind, _ in findings)
            on_image(done, len(entries))
        if found and empty == len(found):
            self.problems.add("nothing_annotated", f"{self.annotations}: all {empty:,} masks")
        return found

    def _checked(self, thorough: bool, entry: Entry) -> tuple[Entry, list[Finding]]:
        whole, found = check_entry(entry, folder=self._folder, texts={}, thorough=thorough)
        own = self._check(entry)
        if any(kind == "mask_size" for kind, _ in own):  # the same, which names the mask too
            found = [finding for finding in found if finding[0] != "image_size"]
        return whole, [*found, *own]

    def refuse(self) -> None:
        """See that nothing that was found is a fault (see `CocoDataset.refuse`)."""
        self.problems.refuse(f"{self.annotations}, images in {self.images}", MORE)

    def contents(self, entries: Sequence[Entry]) -> dict[str, Annotations]:
        """Return nothing: AP is by categories, which pictures have none of."""
        del entries
        return {}

    def known(self) -> None:
        """Nor can detections belong to any."""

    def texts(self) -> dict[str, dict[int, str]]:
        """Images are numbered here (see `CocoDataset.texts`)."""
        return {}

    def _ids(self, files: Sequence[Path], masks: Masks) -> Ids:
        told = masks.ids or tell(files, masks.void)
        if isinstance(told, list):
            self.problems.extend(told)
            self.refuse()
        assert not isinstance(told, list)
        return told

    def _check(self, entry: Entry) -> list[Finding]:
        """Return what is wrong with a mask, or worth knowing; its pixels are read."""
        picture = entry.picture
        assert picture is not None
        seen = self._looks[picture.file]
        if isinstance(seen, MaskError):
            return [seen.finding]
        try:
            _refuse_other_size(entry, seen.stored)
            return [(remark, str(picture.file)) for remark in picture.remarks(seen.stored)]
        except MaskError as error:
            return [error.finding]

    def _entry(self, number: int, pair: Pair, ids: Ids, sha256: str) -> Entry:
        seen = self._looks[pair.mask]
        height, width = (None, None) if isinstance(seen, MaskError) else seen.stored
        return Entry(
            ImageRecord(id=number, file_name=pair.name, height=height, width=width),
            pair.image,
            (),
            source=pair.mask,
            categories=self.categories,
            orientation=self.reading.orientation,
            picture=MaskPicture(
                pair.mask,
                number,
                ids,
                self.masks.void,
                self.masks.components,
                self.reading.void == "background",
                sha256,
            ),
        )

    def _digest(self, pairs: Sequence[Pair], sha256: Sequence[str]) -> str:
        """Return a digest that changes with everything the masks say."""
        facts = self.masks.facts() | {
            "void_counts": bool(self.masks.void) and self.reading.void == "background"
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for pair, content in zip(pairs, sha256, strict=True):
            digest.update(f"\n{pair.name} {pair.mask_name} {content}".encode())
        return digest.hexdigest()


def _look(file: Path) -> Look | MaskError:
    try:
        return look_at_mask(file)
    except MaskError as error:
        return error


def _refuse_other_size(entry: Entry, mask: Size) -> None:
    """See that a mask has the size that its image is read in.

    Raises:
        MaskError: it has not.
    """
    try:
        size = look(entry.file).size(mask, entry.orientation)
    except SambenchError:  # which `check_entry` says
        return
    if mask != size:
        its, others = (f"{width} x {height}" for height, width in (mask, size))
        assert entry.picture is not None
        raise MaskError("mask_size", f"{entry.picture.file} is {its}, {entry.file} is {others}")
