"""What is to be found: of each pair of an image and a phrase the objects, as each annotator has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
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
from sambench.suites.data.pairs import Pair
from sambench.suites.data.segmentation import compress
from sambench.suites.scoring.ground_truth import read_whole

ABSENT, NOT_EXHAUSTIVE = LISTS


@dataclass(frozen=True)
class Annotator:
    """What one of them drew."""

    path: Path
    objects: Mapping[int, Sequence[AnnotationRecord]]
    """By the place of a pair; those of none have no entry."""

    def masks(self, pair: int, size: Size | None) -> list[dict[str, Any]]:
        """Return the run lengths of a pair's objects, as pycocotools takes them.

        Raises:
            SambenchError: polygons of an image whose size nobody knows.
        """
        masks = [msgspec.json.decode(one.segmentation) for one in self.objects.get(pair, ())]
        if size is None and not all(isinstance(mask, dict) for mask in masks):
            raise SambenchError(
                f"{self.path}: an image without height and width has polygons, which cannot be drawn "
                "without. Write the image's height and width."
            )
        return [compress(mask, size) for mask in masks]


@dataclass(frozen=True)
class Asked:
    """N pairs of I images, by rising image and category."""

    image_ids: np.ndarray
    """(I,) int64, rising: the images that pairs are of, and those that none is of."""
    image: np.ndarray
    """(N,) place of a pair's image."""
    category: np.ndarray
    """(N,) int64, category that stands for the phrase."""

    def place(self, image_id: int, category_id: int) -> int | None:
        """Return where the pair of an image and a category is; ``None`` where there is none."""
        image = int(np.searchsorted(self.image_ids, image_id))
        if image == len(self.image_ids) or self.image_ids[image] != image_id:
            return None
        first, last = self._edges[image : image + 2]
        place = int(first + np.searchsorted(self.category[first:last], category_id))
        return place if place < last and self.category[place] == category_id else None

    @cached_property
    def _edges(self) -> np.ndarray:
        """Where the pairs of each image begin, and those of the last one end, (I + 1,)."""
        return np.searchsorted(self.image, np.arange(len(self.image_ids) + 1))


@dataclass(frozen=True)
class Truth:
    """What is to be found of N pairs."""

    asked: Asked
    scored: np.ndarray
    """(N,) bool: whether what is there is known to be all."""
    annotators: tuple[Annotator, ...]
    sizes: Mapping[int, Size] = field(default_factory=dict)
    """Image id to (height, width), where it is stated."""


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
    given = {_given(first, pair.id): pair for pair in pairs}
    places = {one: i for i, one in enumerate(given)}
    scored = np.array([pair.exhaustive for pair in pairs], bool)
    for other in others:
        scored &= _exhaustive(other, given, first)
    images = (image.id for image in first.images if wanted is None or image.id in wanted)
    ids = np.array(sorted(images), np.int64)
    image = np.searchsorted(ids, np.array([pair.image_id for pair in pairs], np.int64))
    category = np.array([pair.category_id for pair in pairs], np.int64)
    annotators = tuple(_annotator(content, places) for content in contents)
    return Truth(Asked(ids, image, category), scored, annotators, _sizes(first.images, ids))


def _given(content: Annotations, number: int) -> object:
    """Return a pair's id as its file has it."""
    return content.image_ids.texts.get(number, number)


def _exhaustive(other: Annotations, pairs: Mapping[object, Pair], first: Annotations) -> np.ndarray:
    """Return which pairs, by the ids of their file, another annotator's file calls exhaustive, (N,).

    Raises:
        SambenchError: it has no pairs, lacks one that may be scored, or has an image of another size.
    """
    if other.pairs is None:
        raise SambenchError(
            f"{other.path}: has no pairs with text_input, as {first.path} has. Is it the right file?"
        )
    theirs = {_given(other, number): pair for number, pair in other.pairs.items()}
    missing = [given for given, pair in pairs.items() if pair.exhaustive and given not in theirs]
    if missing:
        raise SambenchError(
            f"{other.path}: has no pair {quoted(missing[0])} ({len(missing):,} such), which {first.path} "
            "has. Annotators' files have the same pairs under the same ids."
        )
    own, others = (
        {image.id: (image.height, image.width) for image in content.images} for content in (first, other)
    )
    for given, pair in pairs.items():
        if given in theirs and others[theirs[given].image_id] != own[pair.image_id]:
            raise SambenchError(
                f"{other.path}: pair {quoted(given)} is of (height, width) {others[theirs[given].image_id]}, "
                f"in {first.path} of {own[pair.image_id]}. Annotators' files state the same images."
            )
    return np.array([given in theirs and theirs[given].exhaustive for given in pairs], bool)


def _annotator(content: Annotations, places: Mapping[object, int]) -> Annotator:
    """Read what an annotator has of pairs, which go by their ids."""
    assert content.pairs is not None
    own = {
        (pair.image_id, pair.category_id): places[given]
        for number, pair in content.pairs.items()
        if (given := _given(content, number)) in places
    }
    return Annotator(content.path, _objects(content, lambda *pair: own.get(pair)))


def _objects(
    content: Annotations, place_of: Callable[[int, int], int | None]
) -> dict[int, list[AnnotationRecord]]:
    """Return the objects of each pair that has some, crowds left out."""
    objects: defaultdict[int, list[AnnotationRecord]] = defaultdict(list)
    for one in content.annotations:
        if one.iscrowd or not has_mask(one):
            continue
        place = place_of(one.image_id, one.category_id)
        if place is not None:
            objects[place].append(one)
    return dict(objects)


def of_categories(
    content: Annotations, *, there: bool, lvis: bool, image_ids: Collection[int] | None = None
) -> Truth:
    """Make pairs of a data set with categories: of every image and every category.

    In LVIS's data a pair is one whose category was looked for in the image: it has objects there or is listed
    as absent. A pair is not scored where not all its objects were annotated one by one: those that LVIS lists
    so, and those with a crowd.

    Args:
        content: the annotations.
        there: only pairs that have an object, crowds not counted.
        lvis: whether categories are LVIS's.
        image_ids: of these images alone.
    """
    wanted = None if image_ids is None else frozenset(image_ids)
    images = sorted((i for i in content.images if wanted is None or i.id in wanted), key=lambda i: i.id)
    ids = np.array([record.id for record in images], np.int64)
    categories = np.array(sorted(category.id for category in content.categories or ()), np.int64)
    if there or lvis:
        asked = _looked_for(content, images, frozenset(categories.tolist()), absent=not there)
    else:
        image = np.repeat(np.arange(len(ids)), len(categories))
        asked = Asked(ids, image, np.tile(categories, len(ids)))
    scored = np.ones(len(asked.image), bool)
    scored[_open(content, images, asked)] = False
    annotator = Annotator(content.path, _objects(content, asked.place))
    return Truth(asked, scored, (annotator,), _sizes(images, ids))


def _looked_for(
    content: Annotations, images: Sequence[ImageRecord], categories: frozenset[int], *, absent: bool
) -> Asked:
    """Return the pairs that have objects, and with ``absent`` those that LVIS lists as having none."""
    held: defaultdict[int, set[int]] = defaultdict(set)
    for one in content.annotations:
        if not one.iscrowd and has_mask(one):
            held[one.image_id].add(one.category_id)
    image, category = list[int](), list[int]()
    for i, record in enumerate(images):
        own = held[record.id] | (_listed(record, ABSENT, content) if absent else frozenset())
        image += [i] * len(own & categories)
        category += sorted(own & categories)
    ids = np.array([record.id for record in images], np.int64)
    return Asked(ids, np.array(image, np.int64), np.array(category, np.int64))


def _open(content: Annotations, images: Sequence[ImageRecord], asked: Asked) -> list[int]:
    """Return the places of pairs of which there may be more than is annotated."""
    pairs = [(one.image_id, one.category_id) for one in content.annotations if one.iscrowd]
    pairs += [(r.id, one) for r in images for one in _listed(r, NOT_EXHAUSTIVE, content)]
    return [place for pair in pairs if (place := asked.place(*pair)) is not None]


def _listed(record: ImageRecord, key: str, content: Annotations) -> frozenset[int]:
    """Return one of LVIS's two lists of an image's categories."""
    raw = getattr(record, key)
    given = msgspec.json.decode(raw) if memoryview(raw) else []
    numbers = (number_of(one, content.category_ids) for one in given or ())
    return frozenset(number for number in numbers if number is not None)


def _sizes(images: Sequence[ImageRecord], ids: np.ndarray) -> dict[int, Size]:
    wanted = frozenset(ids.tolist())
    return {i.id: (i.height, i.width) for i in images if i.id in wanted and i.height and i.width}
