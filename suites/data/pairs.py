"""Pairs of an image and a phrase, as SA-Co's files have them, brought to images with categories.

In such a file an entry of ``images`` is a pair: `text_input` is the phrase, `is_instance_exhaustive` says
whether all that it names was annotated, and many entries share a file. Boxes and areas are fractions of the
image (github.com/facebookresearch/sam3, scripts/eval/gold). Here the files are the images and the phrases
their categories, so that every suite can read them; which pairs there are is kept beside.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from sambench.suites.data.checks.problems import Problems, quoted

if TYPE_CHECKING:
    from sambench.suites.data.annotations import AnnotationRecord, ImageRecord


@dataclass(frozen=True)
class Pair:
    """An entry of ``images`` that is a pair."""

    id: int
    """What stands for it inside, as for an image's."""
    image_id: int
    """Of the first pair of its file."""
    category_id: int
    """Of its phrase."""
    exhaustive: bool
    """Whether all that the phrase names was annotated; the others are not scored."""


@dataclass(frozen=True)
class Grouped:
    """A file of pairs as images with categories."""

    images: list[ImageRecord]
    annotations: list[AnnotationRecord]
    categories: dict[int, str]
    """Id to phrase."""
    pairs: dict[int, Pair]
    """By their ids, in the file's order."""


def pair_of(
    text_input: object, exhaustive: object, given: object, problems: Problems
) -> tuple[str | None, bool | None]:
    """Return what an entry says of its phrase, and of whether all that it names was annotated.

    Null for the latter is no, as to the official evaluator; ``None`` is an entry that does not say.
    """
    phrase = " ".join(text_input.split()) if isinstance(text_input, str) else None
    if exhaustive is msgspec.UNSET:
        return phrase or None, None
    if exhaustive is not None and exhaustive not in (0, 1, "0", "1"):
        problems.add(
            "malformed",
            f"image {quoted(given)}: is_instance_exhaustive is {quoted(exhaustive)}, neither 0 nor 1",
        )
    return phrase or None, exhaustive in (1, "1")


def are_pairs(images: Iterable[ImageRecord]) -> bool:
    """Tell whether entries of ``images`` are pairs."""
    return any(image.phrase is not None or image.exhaustive is not None for image in images)


def grouped(
    entries: Sequence[ImageRecord], annotations: Sequence[AnnotationRecord], problems: Problems
) -> Grouped:
    """Put the pairs of each file together, under the id of the first of them.

    A phrase is one category, whatever image it is asked of; one that is asked twice of an image is two.
    """
    if any(entry.exhaustive is not None for entry in entries):
        silent = (entry.id for entry in entries if entry.exhaustive is None)
        problems.extend(("malformed", f"image {one}: has no is_instance_exhaustive") for one in silent)
    images: dict[object, ImageRecord] = {}
    asked: defaultdict[int, list[str]] = defaultdict(list)
    categories: dict[tuple[str, int], int] = {}
    pairs: dict[int, Pair] = {}
    for entry in entries:
        name = entry.file_name or entry.coco_url
        key = entry.id if name is None else posixpath.normpath(name.replace("\\", "/"))
        image = images.setdefault(key, msgspec.structs.replace(entry, phrase=None, exhaustive=None))
        _check_size(entry, image, problems)
        if entry.phrase is None:
            problems.add("no_phrase", f"image {entry.id}: text_input is missing or empty")
        phrase = entry.phrase or ""
        times = asked[image.id].count(phrase)
        if times:
            problems.add("pair_twice", f"{quoted(phrase)} of {quoted(name)}: image {entry.id} too")
        asked[image.id].append(phrase)
        category = categories.setdefault((phrase, times), len(categories) + 1)
        exhaustive = entry.exhaustive is None or entry.exhaustive
        pairs[entry.id] = Pair(entry.id, image.id, category, exhaustive)
    return Grouped(
        list(images.values()),
        _of_pairs(annotations, pairs, {image.id: image for image in images.values()}, problems),
        {number: phrase for (phrase, _), number in categories.items()},
        pairs,
    )


def _check_size(entry: ImageRecord, image: ImageRecord, problems: Problems) -> None:
    if (entry.height, entry.width) != (image.height, image.width):
        problems.add(
            "pair_size",
            f"image {entry.id} is {entry.width} x {entry.height}, image {image.id} of the same file "
            f"{image.width} x {image.height}",
        )


def _of_pairs(
    annotations: Sequence[AnnotationRecord],
    pairs: Mapping[int, Pair],
    images: Mapping[int, ImageRecord],
    problems: Problems,
) -> list[AnnotationRecord]:
    """Give annotations their image and category; fractions become pixels."""
    fractions = _are_fractions(annotations)
    if fractions:
        problems.add("fractions", f"{len(annotations):,} annotations")
    found = []
    for annotation in annotations:
        pair = pairs[annotation.image_id]
        if not memoryview(annotation.segmentation):
            problems.add("pair_no_mask", f"annotation {annotation.id} of image {pair.id}")
        changes: dict[str, object] = {"image_id": pair.image_id, "category_id": pair.category_id}
        image = images[pair.image_id]
        if fractions and image.height and image.width:
            wide, high = image.width, image.height
            x, y, w, h = annotation.bbox
            changes["bbox"] = (x * wide, y * high, w * wide, h * high)
            changes["area"] = annotation.area * wide * high
        found.append(msgspec.structs.replace(annotation, **changes))
    return found


def _are_fractions(annotations: Sequence[AnnotationRecord]) -> bool:
    """Tell whether boxes are parts of an image: none that is known leaves the unit square."""
    known = [a.bbox for a in annotations if a.bbox[0] == a.bbox[0]]
    return bool(known) and all(x + w <= 1.001 and y + h <= 1.001 for x, y, w, h in known)
