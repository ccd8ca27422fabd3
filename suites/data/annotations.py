"""The reader of annotation files in COCO's and LVIS's format, as the field's tools write them.

A file is parsed into compact records; segmentations stay the bytes they were in the file until they are asked
for, so memory hardly grows beyond the file's own size. What is written oddly but can only be meant one way is
read so and counted; what cannot be right is noted, and nothing here stops at the first fault.
"""

from __future__ import annotations

import json
import math
import posixpath
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sambench.suites.data.checks.problems import Problems, quoted
from sambench.suites.data.content import read_content
from sambench.suites.data.fields import UNKNOWN_BOX, area_of, box_of, crowd_of, name_of, size_of
from sambench.suites.data.ids import MARKS, Given, Ids, as_id
from sambench.suites.data.lists import lists_of
from sambench.suites.data.pairs import Pair, are_pairs, grouped, pair_of
from sambench.suites.data.reading import Reading

R = TypeVar("R", "ImageRecord", "AnnotationRecord", "CategoryRecord")
R2 = TypeVar("R2", bound=msgspec.Struct)

RAW = frozenset(["segmentation", "neg_category_ids", "not_exhaustive_category_ids"])
"""Fields that stay the bytes they are."""

NO_MASK = re.compile(rb'[\[\],\s]*|\s*(null|""|\{\s*\})\s*')
"""JSON of a segmentation that is none: nothing, null, or lists without a number."""
LONGEST_NONE = 1000
"""Characters of it."""


class ImageRecord(msgspec.Struct, gc=False):
    """An entry of ``images``."""

    id: int
    """What stands for it inside (`suites.data.ids`)."""
    file_name: str | None = None
    coco_url: str | None = None
    """LVIS names its files by this alone."""
    height: int | None = None
    width: int | None = None
    neg_category_ids: msgspec.Raw = msgspec.Raw()
    """LVIS: categories seen to be absent."""
    not_exhaustive_category_ids: msgspec.Raw = msgspec.Raw()
    """LVIS: categories of which some objects are not annotated."""
    phrase: str | None = None
    """SA-Co, where an entry is a pair of an image and a phrase (`suites.data.pairs`)."""
    exhaustive: bool | None = None
    """SA-Co: whether all that it names was annotated."""


class AnnotationRecord(msgspec.Struct, gc=False):
    """An entry of ``annotations``."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    """x, y, width, height in pixels; `fields.UNKNOWN_BOX` until it is taken from the mask."""
    area: float
    """Square pixels; NaN until it is taken from the mask."""
    segmentation: msgspec.Raw
    """Empty where the object has no mask."""
    iscrowd: int = 0


class CategoryRecord(msgspec.Struct, gc=False, omit_defaults=True):
    """An entry of ``categories``."""

    id: int
    name: str
    frequency: str | None = None
    """LVIS: ``r``, ``c`` or ``f``, rare to frequent among the training images."""


class _Image(msgspec.Struct, gc=False):
    """An entry as it is in the file, with values of any type."""

    id: Any = None
    file_name: Any = None
    coco_url: Any = None
    height: Any = None
    width: Any = None
    neg_category_ids: msgspec.Raw = msgspec.Raw()
    not_exhaustive_category_ids: msgspec.Raw = msgspec.Raw()
    text_input: Any = None
    is_instance_exhaustive: Any = msgspec.UNSET


class _Annotation(msgspec.Struct, gc=False):
    """Likewise."""

    id: Any = None
    image_id: Any = None
    category_id: Any = None
    bbox: Any = None
    area: Any = None
    segmentation: msgspec.Raw = msgspec.Raw()
    iscrowd: Any = 0


class _Category(msgspec.Struct, gc=False):
    """Likewise."""

    id: Any = None
    name: Any = None
    frequency: Any = None


@dataclass(frozen=True)
class Annotations:
    """What an annotation file says, each list in its order."""

    path: Path
    sha256: str
    """Of the file's bytes."""
    images: list[ImageRecord]
    annotations: list[AnnotationRecord]
    categories: list[CategoryRecord] | None
    """``None`` where the file has no such list, which prompts do without."""
    problems: Problems = field(default_factory=Problems)
    """What was found: faults, what is worth knowing, and what was read as it was meant."""
    image_ids: Ids = field(default_factory=Ids)
    annotation_ids: Ids = field(default_factory=Ids)
    category_ids: Ids = field(default_factory=Ids)
    pairs: Mapping[int, Pair] | None = None
    """By id what the file asks of which image, where it is one of pairs (`suites.data.pairs`)."""


def read_annotations(
    path: Path, reading: Reading | None = None, tolerated: Collection[str] = ()
) -> Annotations:
    """Read an annotation file once. Its faults are in the result's ``problems``.

    Args:
        path: JSON in COCO's or LVIS's format; also packed, in other encodings, or in lines.
        reading: says where boxes are from.
        tolerated: kinds of faults that are none here.

    Raises:
        SambenchError: the file is missing, no JSON, or has none of the format's lists.
    """
    content = read_content(path, "no such annotation file. Give it with --annotations.", "annotation file")
    problems = Problems(tolerated)
    problems.extend(content.findings)
    lists = lists_of(content, problems)
    images, image_ids = _images(lists["images"], problems)
    entries = _decoded(lists["annotations"], _Annotation, "annotations", problems)
    of_pairs = are_pairs(images)
    categories = {} if of_pairs else _categories(lists.get("categories", ()), problems)
    named = (as_id(entry.category_id) for entry in entries if entry is not None and not of_pairs)
    category_ids = Ids.of([*categories, *(given for given in named if given is not None)])
    reader = _Reader(
        problems,
        image_ids,
        frozenset(image.id for image in images),
        category_ids,
        frozenset(record.id for record in _numbered(categories, category_ids)),
        boxes=reading is None or reading.box_source != "mask",
        of_pairs=of_pairs,
    )
    annotations, annotation_ids = reader.read(entries)
    if of_pairs:
        found = grouped(images, annotations, problems)
        phrases = [CategoryRecord(number, phrase) for number, phrase in found.categories.items()]
        return Annotations(
            path,
            content.sha256,
            found.images,
            found.annotations,
            phrases,
            problems,
            image_ids,
            annotation_ids,
            pairs=found.pairs,
        )
    return Annotations(
        path,
        content.sha256,
        images,
        annotations,
        list(categories.values()) if "categories" in lists else None,
        problems,
        image_ids,
        annotation_ids,
        category_ids,
    )


def _decoded(entries: Sequence[msgspec.Raw], kind: type[Any], key: str, problems: Problems) -> list[Any]:
    """Decode entries; those that are none are noted, and ``None`` in their place."""
    decoder = msgspec.json.Decoder(kind)
    found: list[Any] = []
    for i, raw in enumerate(entries):
        try:
            found.append(decoder.decode(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            found.append(slow := _with_large_numbers(raw, kind))
            if slow is None:
                problems.add("malformed", f"{key}[{i}] is {quoted(bytes(raw))}, not an entry")
    return found


def _with_large_numbers(raw: msgspec.Raw, kind: type[R2]) -> R2 | None:
    """Decode an entry that has numbers which no float holds: they are infinite. ``None`` of anything else."""
    if memoryview(raw)[:1] != b"{":
        return None
    entry = json.loads(bytes(raw).decode(errors="replace"), parse_int=_whole, parse_float=_fraction)
    fields = {key: entry[key] for key in kind.__struct_fields__ if key in entry}
    raws = {key: msgspec.Raw(json.dumps(fields[key]).encode()) for key in RAW & fields.keys()}
    return kind(**(fields | raws))


def _whole(digits: str) -> float | str:
    return int(digits) if len(digits) <= sys.float_info.max_10_exp else _fraction(digits)


def _fraction(digits: str) -> float | str:
    value = float(digits)
    return value if math.isfinite(value) else "-Infinity" if value < 0 else "Infinity"


def _images(entries: Sequence[msgspec.Raw], problems: Problems) -> tuple[list[ImageRecord], Ids]:
    records: dict[Given, ImageRecord] = {}
    owners: dict[str, Given] = {}
    for i, entry in enumerate(_decoded(entries, _Image, "images", problems)):
        given = entry and _id(entry.id, "image", f"images[{i}]", problems)
        if given is None:
            continue
        if given in records:
            problems.add("duplicate_image_id", f"image {quoted(given)} (the second is images[{i}])")
            continue
        height, width = size_of(entry.height, entry.width, f"image {quoted(given)}", problems)
        names = [_name(one) for one in (entry.file_name, entry.coco_url)]
        name = names[0] or names[1]
        phrase, exhaustive = pair_of(entry.text_input, entry.is_instance_exhaustive, given, problems)
        if name is None:
            what = f"image {quoted(given)}: file_name is {quoted(entry.file_name)}"
            problems.add("no_file_name", f"{what}, and coco_url no better")
        elif phrase is None and exhaustive is None:
            owner = owners.setdefault(posixpath.normpath(name.replace("\\", "/")), given)
            if owner != given:
                problems.add("duplicate_file", f"{name}: images {quoted(owner)} and {quoted(given)}")
        records[given] = ImageRecord(
            0,
            names[0],
            names[1],
            height,
            width,
            entry.neg_category_ids,
            entry.not_exhaustive_category_ids,
            phrase,
            exhaustive,
        )
    ids = Ids.of(records)
    return _numbered(records, ids), ids


def _categories(entries: Sequence[msgspec.Raw], problems: Problems) -> dict[Given, CategoryRecord]:
    """Return categories by their ids, which are not numbered yet."""
    if not entries:
        problems.add("no_categories", "categories is empty or missing")
    records: dict[Given, CategoryRecord] = {}
    owners: dict[str, Given] = {}
    for i, entry in enumerate(_decoded(entries, _Category, "categories", problems)):
        given = entry and _id(entry.id, "category", f"categories[{i}]", problems)
        if given is None:
            continue
        name = name_of(entry.name, given, problems)
        if given in records:
            problems.add("duplicate_category_id", f"category {quoted(given)} ({quoted(name)})")
            continue
        if (owner := owners.setdefault(name, given)) != given:
            problems.add(
                "duplicate_category_name",
                f"{quoted(name)}: categories {quoted(owner)} and {quoted(given)}",
            )
        frequency = entry.frequency if isinstance(entry.frequency, str) else None
        records[given] = CategoryRecord(0, name, frequency)
    return records


def _id(value: object, what: str, place: str, problems: Problems) -> Given | None:
    """Return the id of an entry; note one that is none, and one that is written otherwise."""
    given = as_id(value)
    if given is None:
        problems.add("malformed", f"{place}: id is {quoted(value)}, neither a whole number nor a text")
    elif type(given) is not type(value):
        problems.add("id_form", f"{what} {quoted(value)} is {given}")
    return given


@dataclass
class _Reader:
    """Reads ``annotations``."""

    problems: Problems
    images: Ids
    listed: frozenset[int]
    """Images."""
    categories: Ids
    known: frozenset[int]
    """Categories; empty where the file lists none, and any will do."""
    boxes: bool
    """Whether boxes are read, or taken from the masks."""
    of_pairs: bool = False
    """Whether phrases stand for categories, whatever ``category_id`` says."""

    def read(self, entries: Sequence[_Annotation | None]) -> tuple[list[AnnotationRecord], Ids]:
        records: dict[Given, AnnotationRecord] = {}
        for i, entry in enumerate(entries):
            if entry is None:
                continue
            given = _id(entry.id, "annotation", f"annotations[{i}]", self.problems)
            if given is None:
                continue
            if given in records:
                second = f"annotation {quoted(given)} (the second is annotations[{i}])"
                self.problems.add("duplicate_annotation_id", second)
            elif record := self._record(entry, given):
                records[given] = record
                if given == 0:
                    self.problems.add("annotation_id_zero", f"annotation 0 (annotations[{i}])")
        ids = Ids.of(records)
        return _numbered(records, ids), ids

    def _record(self, entry: _Annotation, given: Given) -> AnnotationRecord | None:
        """Return an annotation; ``None`` where image or category is none of the file's."""
        who = f"annotation {quoted(given)}"
        image = self._belongs(entry.image_id, "image", who)
        if image is not None and image not in self.listed:
            self.problems.add("unknown_image", f"{who}: image_id is {quoted(entry.image_id)}")
            image = None
        who = f"{who} of image {quoted(entry.image_id)}"
        category = 0 if self.of_pairs else self._belongs(entry.category_id, "category", who)
        if category is not None and self.known and category not in self.known:
            self.problems.add("unknown_category", f"{who}: category_id is {quoted(entry.category_id)}")
        mask = msgspec.Raw() if _is_none(entry.segmentation) else entry.segmentation
        # Without a mask there is nothing that box and area could be taken from.
        noted = self.problems if memoryview(mask) else Problems()
        box = box_of(entry.bbox, who, noted) if self.boxes else UNKNOWN_BOX
        area = area_of(entry.area, who, noted)
        crowd = crowd_of(entry.iscrowd, who, self.problems)
        if image is None or category is None or crowd is None:
            return None
        return AnnotationRecord(0, image, category, box, area, mask, crowd)

    def _belongs(self, value: object, what: str, who: str) -> int | None:
        """Return what stands for the image or category that an annotation names."""
        given = as_id(value)
        if given is None:
            detail = f"{who}: {what}_id is {quoted(value)}, neither a whole number nor a text"
            self.problems.add("malformed", detail)
            return None
        if type(given) is not type(value):
            self.problems.add("id_form", f"{who}: {what}_id {quoted(value)} is {given}")
        number = (self.images if what == "image" else self.categories).number(given)
        if number is None:
            self.problems.add(f"unknown_{what}", f"{who}: {what}_id is {quoted(value)}")
        return number


def _numbered(records: Mapping[Given, R], ids: Ids) -> list[R]:
    """Give records the numbers that stand for their ids."""
    for given, record in records.items():
        number = ids.number(given)
        assert number is not None, "of the very ids"
        record.id = number
    return list(records.values())


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and value and value not in MARKS else None


def _is_none(segmentation: msgspec.Raw) -> bool:
    raw = memoryview(segmentation)
    return len(raw) < LONGEST_NONE and NO_MASK.fullmatch(raw) is not None
