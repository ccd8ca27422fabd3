"""What is to be found: of each pair of an image and a phrase the objects, as each annotator has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from sambench.adapters.files import refuse_changed
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.base import Setting
from sambench.suites.data.annotations import AnnotationRecord, Annotations, ImageRecord
from sambench.suites.data.checks.entry import has_mask
from sambench.suites.data.checks.lvis import LISTS, number_of
from sambench.suites.data.checks.problems import quoted
from sambench.suites.data.fingerprints import combined_sha256
from sambench.suites.data.segmentation import compress, examine
from sambench.suites.scoring.ground_truth import read_whole


@dataclass(frozen=True)
class Annotator:
    """What one of them drew."""

    path: Path
    objects: Mapping[int, Sequence[AnnotationRecord]]
    """By the place of a pair; those of none have no entry."""

    def masks(self, pair: int, size: Size | None) -> list[dict[str, Any]]:
        """Return the run lengths of a pair's objects, as pycocotools takes them."""
        masks = (examine(one.segmentation, size).drawable for one in self.objects.get(pair, ()))
        return [compress(mask, size) for mask in masks]


@dataclass(frozen=True)
class Truth:
    """N pairs, by rising image and category."""

    image_ids: np.ndarray
    """(I,) int64, rising: the images that pairs are of, and those that none is of."""
    image: np.ndarray
    """(N,) place of a pair's image."""
    category: np.ndarray
    """(N,) int64, category that stands for the phrase."""
    scored: np.ndarray
    """(N,) bool: whether what is there is known to be all."""
    annotators: tuple[Annotator, ...]
    sizes: Mapping[int, Size] = field(default_factory=dict)
    """Image id to (height, width), where it is stated."""

    @cached_property
    def place(self) -> dict[tuple[int, int], int]:
        """Image and category to the place of the pair."""
        ids = self.image_ids[self.image].tolist()
        return {pair: i for i, pair in enumerate(zip(ids, self.category.tolist(), strict=True))}

    def counted(self, annotator: Annotator) -> np.ndarray:
        """Return how many objects each pair has, (N,)."""
        counts = np.zeros(len(self.image), np.int64)
        for pair, objects in annotator.objects.items():
            counts[pair] = len(objects)
        return counts


def contents_of(setting: Setting) -> tuple[Annotations, ...]:
    """Return the annotations and those of further annotators, as a run has read them, or read now.

    Raises:
        SambenchError: one is missing, has faults, or is another than was planned with.
    """
    found = tuple(
        setting.contents.get(name) or read_whole(path)
        for name, path in annotator_names(setting.annotations, setting.annotators).items()
    )
    read = sha256_of_all([content.sha256 for content in found])
    refuse_changed(setting.annotations, read, setting.annotations_sha256)
    return found


def annotator_names(annotations: Path, annotators: Sequence[Path]) -> dict[str, Path]:
    """Name annotation files as `Setting.contents` has them: "", and further annotators' "2", "3"."""
    return {"": annotations} | {str(k): path for k, path in enumerate(annotators, start=2)}


def sha256_of_all(checksums: Sequence[str]) -> str:
    """Digest over the checksums of annotation files; of one alone its own."""
    first, *others = checksums
    return combined_sha256({str(k): one for k, one in enumerate(checksums, start=1)}) if others else first


def of_pairs(contents: Sequence[Annotations], image_ids: Collection[int] | None = None) -> Truth:
    """Read the pairs of one file and their objects as it and further annotators' files have them.

    Args:
        contents: files of pairs; the first says which images and categories they are.
        image_ids: of these images alone.

    Raises:
        SambenchError: another file has not the same pairs.
    """
    first, *others = contents
    assert first.pairs is not None
    wanted = None if image_ids is None else frozenset(image_ids)
    pairs = [p for p in first.pairs.values() if wanted is None or p.image_id in wanted]
    pairs.sort(key=lambda p: (p.image_id, p.category_id))
    places = {_given(first, pair.id): i for i, pair in enumerate(pairs)}
    scored = np.array([pair.exhaustive for pair in pairs], bool)
    for other in others:
        scored &= _exhaustive(other, places, first)
    ids = np.array(
        sorted(image.id for image in first.images if wanted is None or image.id in wanted), np.int64
    )
    return Truth(
        ids,
        np.searchsorted(ids, np.array([pair.image_id for pair in pairs], np.int64)),
        np.array([pair.category_id for pair in pairs], np.int64),
        scored,
        tuple(_annotator(content, places) for content in contents),
        _sizes(first.images, ids),
    )


def _given(content: Annotations, number: int) -> object:
    """Return a pair's id as its file has it."""
    return content.image_ids.texts.get(number, number)


def _exhaustive(other: Annotations, places: Mapping[object, int], first: Annotations) -> np.ndarray:
    """Return which pairs another annotator's file calls exhaustive, (N,)."""
    if other.pairs is None:
        raise SambenchError(
            f"{other.path}: has no pairs with text_input, as {first.path} has. Is it the right file?"
        )
    theirs = {_given(other, number): pair for number, pair in other.pairs.items()}
    if missing := [given for given in places if given not in theirs]:
        raise SambenchError(
            f"{other.path}: has no pair {quoted(missing[0])} ({len(missing):,} such), which {first.path} "
            "has. Annotators' files have the same pairs under the same ids."
        )
    return np.array([theirs[given].exhaustive for given in places], bool)


def _annotator(content: Annotations, places: Mapping[object, int]) -> Annotator:
    assert content.pairs is not None
    own = {
        (pair.image_id, pair.category_id): places[given]
        for number, pair in content.pairs.items()
        if (given := _given(content, number)) in places
    }
    return Annotator(content.path, _objects(content, own))


def _objects(
    content: Annotations, places: Mapping[tuple[int, int], int]
) -> dict[int, list[AnnotationRecord]]:
    objects: defaultdict[int, list[AnnotationRecord]] = defaultdict(list)
    for one in content.annotations:
        place = places.get((one.image_id, one.category_id))
        if place is not None and not one.iscrowd and has_mask(one):
            objects[place].append(one)
    return dict(objects)


def of_categories(
    content: Annotations, *, there: bool, lvis: bool, image_ids: Collection[int] | None = None
) -> Truth:
    """Make pairs of a data set with categories.

    In LVIS's data a pair is one whose category was looked for in the image: it has objects there or is listed
    as absent; where not all objects were annotated it is not scored.

    Args:
        content: the annotations.
        there: only pairs that have an object, crowds not counted.
        lvis: whether categories are LVIS's.
        image_ids: of these images alone.
    """
    wanted = None if image_ids is None else frozenset(image_ids)
    images = sorted((i for i in content.images if wanted is None or i.id in wanted), key=lambda i: i.id)
    categories = sorted(category.id for category in content.categories or ())
    held: defaultdict[int, set[int]] = defaultdict(set)
    for one in content.annotations:
        if not one.iscrowd and has_mask(one):
            held[one.image_id].add(one.category_id)
    listed = frozenset(categories)
    places: dict[tuple[int, int], int] = {}
    image, category, scored = list[int](), list[int](), list[bool]()
    for i, record in enumerate(images):
        absent, open_ = (_listed(record, key, content) for key in LISTS) if lvis else (listed, frozenset())
        own = held[record.id] & listed
        for asked in sorted(own if there else own | absent):
            places[record.id, asked] = len(category)
            image.append(i)
            category.append(asked)
            scored.append(asked not in open_)
    ids = np.array([record.id for record in images], np.int64)
    return Truth(
        ids,
        np.array(image, np.int64),
        np.array(category, np.int64),
        np.array(scored, bool),
        (Annotator(content.path, _objects(content, places)),),
        _sizes(images, ids),
    )


def _listed(record: ImageRecord, key: str, content: Annotations) -> frozenset[int]:
    """Return one of LVIS's two lists of an image's categories."""
    raw = getattr(record, key)
    given = msgspec.json.decode(raw) if memoryview(raw) else []
    numbers = (number_of(one, content.category_ids) for one in given or ())
    return frozenset(number for number in numbers if number is not None)


def _sizes(images: Sequence[ImageRecord], ids: np.ndarray) -> dict[int, Size]:
    wanted = frozenset(ids.tolist())
    return {i.id: (i.height, i.width) for i in images if i.id in wanted and i.height and i.width}
