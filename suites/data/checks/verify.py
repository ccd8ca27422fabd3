"""Everything that is wrong with a data set in COCO's or LVIS's format, found before a run and not during it.

The file is read with plain ``json``: the reader of `suites.data.annotations` stops at the first value it
cannot take, and here all of them are to be listed. At the end it has its say too: what passes here also runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base as Tag

from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.checks.masks import check_object, is_finite, is_number
from sambench.suites.data.checks.problems import REFUSED, Finding, Problem, Problems
from sambench.suites.data.coco import CocoDataset, image_file
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.sample import draw

Record = dict[str, Any]

WORKERS = min(8, os.cpu_count() or 1)
"""Threads that decode images; beyond eight, it is the annotations that take the time."""
LISTS = ("images", "annotations", "categories")
LVIS_LISTS = ("neg_category_ids", "not_exhaustive_category_ids")
MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Of an image: Pillow refuses to read a larger one."""
FREQUENCIES = ("r", "c", "f")
TURNED = (5, 6, 7, 8)
"""EXIF orientations that exchange height and width."""


@dataclass(frozen=True)
class Report:
    """What was looked at, and what was found."""

    images: int
    annotations: int
    categories: int
    """Entries of the file."""
    looked_at: int
    """Images whose masks, and whose file if there is a folder, were checked."""
    problems: tuple[Problem, ...]
    """One a kind, errors first."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems with which a run would fail or be false."""
        return tuple(p for p in self.problems if p.kind.severity == "error")


@dataclass
class _Picture:
    """An image of the file with the annotations that name it."""

    id: int
    size: Size | None
    """(height, width) as stated."""
    file: Path | None
    objects: list[Record] = field(default_factory=list)


def verify(
    annotations: Path,
    images: Path | None = None,
    *,
    lvis: bool | None = None,
    limit: int | None = None,
    seed: int = 0,
    decode: bool = True,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Check a data set; nothing found is raised, all of it is in the report.

    Args:
        annotations: the JSON file.
        images: folder of the images; ``None`` checks the annotations alone.
        lvis: expect LVIS's own fields; ``None`` does if the file has some of them.
        limit: check the files and masks of a seeded sample of so many images, the one that a run takes. Ids
            and fields are checked in the whole file.
        seed: of that sample.
        decode: read the image files to their end, which finds those cut off, and not just their headers.
        on_image: called with images done and their total.
    """
    problems = Problems()
    content = _read(annotations)
    if content is None:
        problems.add("unreadable", _refusal(annotations) or f"{annotations}: not what Python's json reads.")
        return Report(0, 0, 0, 0, problems.listed())
    listed, records, categories = (content[key] for key in LISTS)
    folder = images if images is not None and images.is_dir() else None
    if images is not None and folder is None:
        problems.add("missing_image", f"{images}: no such folder")
    for what in (key for key in LISTS[:2] if not content[key]):
        problems.add("nothing", f"{what} is empty")
    known = _check_categories(categories, problems)
    pictures = _check_images(listed, folder, problems)
    _check_annotations(records, pictures, known, problems)
    if _looks_like_lvis(listed, categories) if lvis is None else lvis:
        _check_lvis(listed, categories, known, problems)
    chosen = draw([pictures[i] for i in sorted(pictures)], limit, seed)
    for done, found in enumerate(prefetch(partial(_check_picture, decode=decode), chosen, WORKERS), 1):
        for finding in found:
            problems.add(*finding)
        on_image(done, len(chosen))
    if not any(kind in problems for kind in REFUSED) and (refusal := _refusal(annotations)):
        problems.add("unreadable", refusal)
    return Report(len(listed), len(records), len(categories), len(chosen), problems.listed())


def _read(path: Path) -> dict[str, list[Any]] | None:
    """Return the three lists of a file, ``categories`` perhaps empty; ``None`` if it has no such lists."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    lists = {"categories": [], **content}
    wanted = {key: lists[key] for key in LISTS if isinstance(lists.get(key), list)}
    return wanted if len(wanted) == len(LISTS) else None


def _refusal(annotations: Path) -> str | None:
    """Return what the reader of a run has against the file."""
    try:
        CocoDataset(Path(), annotations)  # any folder: its files are not looked for here
    except SambenchError as error:
        return str(error)
    return None


def _check_categories(categories: list[Any], problems: Problems) -> set[int]:
    """Check ``categories`` and return their ids."""
    if not categories:
        problems.add("no_categories", "categories is empty or missing")
    ids: set[int] = set()
    names: dict[str, int] = {}
    for place, record in _records(categories, "categories", problems):
        number, name = record.get("id"), record.get("name")
        if type(number) is not int:
            problems.add("malformed", f"{place}: id is {number!r}, not a whole number")
            continue
        if number in ids:
            problems.add("duplicate_category_id", f"category {number} ({name!r})")
        ids.add(number)
        if not isinstance(name, str) or not name.strip():
            problems.add("category_name", f"category {number}: name is {name!r}")
        elif names.setdefault(name, number) != number:
            problems.add("duplicate_category_name", f"{name!r}: categories {names[name]} and {number}")
    return ids


def _check_images(images: list[Any], folder: Path | None, problems: Problems) -> dict[int, _Picture]:
    """Check the fields of ``images``, and return those that have an id."""
    pictures: dict[int, _Picture] = {}
    owners: dict[str, int] = {}
    for place, record in _records(images, "images", problems):
        number, height, width = (record.get(key) for key in ("id", "height", "width"))
        if type(number) is not int:
            problems.add("malformed", f"{place}: id is {number!r}, not a whole number")
            continue
        if number in pictures:
            problems.add("duplicate_image_id", f"image {number}")
            continue
        size = None
        if height is None or width is None:
            problems.add("no_size", f"image {number}: height is {height!r}, width is {width!r}")
        elif all(type(n) is int and n > 0 for n in (height, width)) and height * width <= MOST_PIXELS:
            size = (height, width)
        else:
            problems.add("malformed", f"image {number}: height is {height!r}, width is {width!r}")
        name = record.get("file_name") or record.get("coco_url")
        if not isinstance(name, str) or not name:
            problems.add("malformed", f"image {number}: file_name is {name!r}, and coco_url no better")
        elif (owner := owners.setdefault(name, number)) != number:
            problems.add("duplicate_file", f"{name}: images {owner} and {number}")
        file = None
        if folder and isinstance(name, str) and name:
            file = image_file(folder, record.get("file_name"), record.get("coco_url"))
        pictures[number] = _Picture(number, size, file)
    return pictures


def _check_annotations(
    annotations: list[Any], pictures: dict[int, _Picture], categories: set[int], problems: Problems
) -> None:
    """Check the fields of ``annotations``, and give each to its image."""
    ids: set[int] = set()
    for place, record in _records(annotations, "annotations", problems):
        number, image, category = (record.get(key) for key in ("id", "image_id", "category_id"))
        who = f"annotation {number}" if type(number) is int else place
        for finding in _check_fields(record, who):
            problems.add(*finding)
        if type(number) is int:
            if number in ids:
                problems.add("duplicate_annotation_id", f"annotation {number} (the second is {place})")
            ids.add(number)
            if number == 0:
                problems.add("annotation_id_zero", f"annotation 0 ({place})")
        if type(category) is int and categories and category not in categories:
            problems.add("unknown_category", f"{who}: category_id is {category}")
        if type(image) is int:
            if image in pictures:
                pictures[image].objects.append(record)
            else:
                problems.add("unknown_image", f"{who}: image_id is {image}")


def _check_fields(record: Record, who: str) -> Iterator[Finding]:
    """Yield the fields of an annotation whose type the reader would refuse."""
    for key in ("id", "image_id", "category_id"):
        if type(record.get(key)) is not int:
            yield "malformed", f"{who}: {key} is {record.get(key)!r}, not a whole number"
    if type(record.get("iscrowd", 0)) is not int:
        yield "malformed", f"{who}: iscrowd is {record['iscrowd']!r}, not 0 or 1"
    box, area = record.get("bbox"), record.get("area")
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        yield "malformed", f"{who}: bbox is {str(box)[:80]}, not 4 numbers"
    elif not all(map(is_finite, box)):
        yield "not_a_number", f"{who}: bbox is {box}"
    if not is_number(area):
        yield "malformed", f"{who}: area is {area!r}, not a number"
    elif not is_finite(area):
        yield "not_a_number", f"{who}: area is {area}"


def _looks_like_lvis(images: list[Any], categories: list[Any]) -> bool:
    listed = any(key in record for record in _mappings(images) for key in LVIS_LISTS)
    return listed or any("frequency" in record for record in _mappings(categories))


def _check_lvis(images: list[Any], categories: list[Any], known: set[int], problems: Problems) -> None:
    """Check what LVIS adds: classes known to be absent or not all annotated, and how frequent classes are."""
    for record in _mappings(images):
        for key in LVIS_LISTS:
            value = record.get(key)
            if not isinstance(value, list):
                problems.add("lvis_fields", f"image {record.get('id')!r}: {key} is {value!r}")
            elif unknown := [number for number in value if number not in known]:
                problems.add("unknown_category", f"image {record.get('id')!r}: {key} has {unknown[0]!r}")
    for record in _mappings(categories):
        if record.get("frequency") not in FREQUENCIES:
            problems.add(
                "lvis_fields", f"category {record.get('id')!r}: frequency is {record.get('frequency')!r}"
            )


def _check_picture(picture: _Picture, decode: bool) -> Sequence[Finding]:
    """Check an image's file, then its masks; runs in a worker thread."""
    found: list[Finding] = []
    size = picture.size
    if picture.file is not None:
        try:
            actual = _open(picture.file, size, decode)
        except FileNotFoundError:
            found.append(("missing_image", f"image {picture.id}: {picture.file}"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            why = "not an image" if isinstance(error, UnidentifiedImageError) else error
            found.append(("damaged_image", f"image {picture.id}: {picture.file} ({why})"))
        else:
            if size is not None and actual != size:
                stated, real = (f"{width} x {height}" for height, width in (size, actual))
                found.append(
                    ("image_size", f"image {picture.id}: {picture.file} is {real}, annotated as {stated}")
                )
            size = size or actual
    for record in picture.objects:
        found.extend(check_object(record, size))
    return found


def _open(file: Path, stated: Size | None, decode: bool) -> Size:
    """Return an image's (height, width), in the orientation that fits the stated size if one does."""
    with Image.open(file) as image:
        size = (image.height, image.width)
        if size[::-1] == stated and size != stated and image.getexif().get(Tag.Orientation) in TURNED:
            size = stated
        if decode:
            image.draft(None, (1, 1))  # a JPEG's bytes are all read, but an eighth of its sides computed
            image.load()
    return size


def _records(entries: list[Any], key: str, problems: Problems) -> Iterator[tuple[str, Record]]:
    """Yield the place and content of each entry that has fields."""
    for i, entry in enumerate(entries):
        if isinstance(entry, dict):
            yield f"{key}[{i}]", entry
        else:
            problems.add("malformed", f"{key}[{i}]: {str(entry)[:80]!r} in place of fields")


def _mappings(entries: Iterable[Any]) -> Iterator[Record]:
    return (entry for entry in entries if isinstance(entry, dict))
