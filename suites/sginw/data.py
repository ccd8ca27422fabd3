"""The images of Segmentation in the Wild: 25 data sets in a folder each, as one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Literal

import msgspec

from sambench.evsam.errors import SambenchError
from sambench.suites.data.annotations import Annotations
from sambench.suites.data.checks.problems import Problems
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.fingerprints import combined_sha256
from sambench.suites.data.reading import Reading
from sambench.suites.sginw.registry import registry

ANNOTATIONS = "_annotations_min1cat.coco.json"
SPLIT = "valid"

STRIDE = 10_000_000
"""An image's id here is its own plus this times its data set's place in the registry, so ids are unique."""


class SginwData:
    """Those of the 25 data sets that are there, as one (see `suites.data.coco.CocoDataset`).

    Args:
        root: the folder ``seginw``, with ``<data set>/valid/*.jpg`` and its annotation file.

    Attributes:
        parts: name to data set, in the official order.
        missing: names of those that are not there.
        entries: all their images, under ids that are unique.

    Raises:
        SambenchError: none is there, one is damaged, or has other categories or ids than the release.
    """

    style: Literal["coco"] = "coco"

    def __init__(self, root: Path, reading: Reading | None = None, tolerated: Collection[str] = ()) -> None:
        self.annotations = root
        self.parts: dict[str, CocoDataset] = {}
        for name, categories in registry().items():
            folder = root / name / SPLIT
            if folder.is_dir():
                file = annotation_file(root, name)
                self.parts[name] = CocoDataset(
                    folder, file, reading=reading, tolerated=tolerated, lenient=True
                )
                _check_categories(self.parts[name], categories)
                _check_ids(self.parts[name])
        self.missing = [name for name in registry() if name not in self.parts]
        if not self.parts:
            raise SambenchError(
                f"{root}: has none of the 25 data sets, such as {self.missing[0]}/{SPLIT}. Give the folder "
                "'seginw' of the release with --images."
            )
        self.entries = [
            replace(entry, record=msgspec.structs.replace(entry.record, id=global_id(name, entry.record.id)))
            for name, part in self.parts.items()
            for entry in part.entries
        ]

    def __len__(self) -> int:
        return len(self.entries)

    def evaluated_sha256(self, entries: Sequence[Entry]) -> str:
        """Digest over the names and annotation files of the data sets that some images are of."""
        names = dict.fromkeys(split_id(i)[0] for i in sorted(entry.record.id for entry in entries))
        return combined_sha256({name: self.parts[name].annotations_sha256 for name in names})

    def checked(self, entries: Sequence[Entry]) -> list[Entry]:
        """Look at files and masks, each data set at its own (see `CocoDataset.checked`)."""
        return [one for name, mine in self._by_part(entries) for one in self.parts[name].checked(mine)]

    def _by_part(self, entries: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
        return [(name, list(mine)) for name, mine in groupby(entries, key=lambda e: split_id(e.record.id)[0])]

    def refuse(self) -> None:
        """See that nothing that was found is a fault (see `CocoDataset.refuse`)."""
        for part in self.parts.values():
            part.refuse()

    @property
    def problems(self) -> Problems:
        """What was found in all data sets."""
        found = Problems()
        for part in self.parts.values():
            found.join(part.problems)
        return found

    def contents(self, entries: Sequence[Entry]) -> dict[str, Annotations]:
        """Return what the files say of some images, by data set, under the images' own ids."""
        return {
            name: self.parts[name].evaluated(list(map(_own, mine))) for name, mine in self._by_part(entries)
        }

    def known(self) -> None:
        """Detections are matched by whole numbers alone, as the official scorer does."""

    def texts(self) -> dict[str, dict[int, str]]:
        """Ids are whole numbers (see `CocoDataset.texts`)."""
        return {}


def annotation_file(root: Path, name: str) -> Path:
    """Return where the annotations of a data set lie."""
    return root / name / SPLIT / ANNOTATIONS


def _check_categories(data: CocoDataset, categories: list[str]) -> None:
    if [data.categories.get(i) for i in range(len(categories))] != categories:
        raise SambenchError(
            f"{data.annotations}: its categories are {data.categories}, in the registry {categories}. "
            f"Is it {ANNOTATIONS} of the release, with Roboflow's placeholder category removed?"
        )


def _check_ids(data: CocoDataset) -> None:
    strange = [e.record.id for e in data.entries if not 0 <= e.record.id < STRIDE]
    if strange:
        raise SambenchError(
            f"{data.annotations}: image id {strange[0]} ({len(strange)} such) is not from 0 to {STRIDE - 1}. "
            f"Is it {ANNOTATIONS} of the release?"
        )


def global_id(name: str, image_id: int) -> int:
    """Return the id here of an image of a data set."""
    return list(registry()).index(name) * STRIDE + image_id


def _own(entry: Entry) -> Entry:
    """Return an image under its own id."""
    _, own = split_id(entry.record.id)
    return replace(entry, record=msgspec.structs.replace(entry.record, id=own))


def split_id(image_id: int) -> tuple[str, int]:
    """Return the data set of an image, and its own id there."""
    place, own = divmod(image_id, STRIDE)
    return list(registry())[place], own
