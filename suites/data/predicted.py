"""Masks that anybody predicted, in COCO's result format: the file of `sambench score`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.annotations import Annotations
from sambench.suites.data.checks.problems import FAULTS, quoted
from sambench.suites.data.content import read_content
from sambench.suites.data.detected.lists import list_of
from sambench.suites.data.fields import is_number
from sambench.suites.data.ids import Ids, as_id
from sambench.suites.data.segmentation import UnfitError, compress, examine

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("category_id", pa.int64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("bbox", pa.list_(pa.float64())),
        pa.field("segmentation", pa.string(), nullable=False),
    ]
)
"""A row an entry: ids as the annotations are read, the mask as COCO's RLE in JSON; a box where it has one."""

FORMAT = (
    "Predictions with masks are a list of objects with image_id, segmentation, score and, but for pairs, "
    "category_id; bbox may be there."
)
MISSING = "no such file of predictions. Give it with --predictions."


class _Entry(msgspec.Struct, gc=False):
    image_id: Any = None
    category_id: Any = None
    score: Any = None
    bbox: Any = None
    segmentation: msgspec.Raw = msgspec.Raw()


@dataclass(frozen=True)
class Predictions:
    """What a file holds."""

    path: Path
    sha256: str
    table: pa.Table
    """Of `SCHEMA`, in the file's order."""
    elsewhere: int = 0
    """Entries on images, or of pairs, that the annotations have not; they are left out."""


class _WrongError(Exception):
    """An entry cannot be read; the message says why."""


class _ElsewhereError(_WrongError):
    """It is on an image, or of a pair, that the annotations have not."""


def read_predictions(path: Path, annotations: Annotations) -> Predictions:
    """Read predicted masks of a data set's images; of pairs, ``image_id`` is the pair's.

    Raises:
        SambenchError: the file is missing or no list of predictions, or entries are wrong: they are counted,
            and the first of them named.
    """
    content = read_content(path, MISSING, "file of predictions")
    try:
        raw, _, _ = list_of(content)
    except SambenchError as error:
        raise SambenchError(f"{error} {FORMAT}") from None
    try:
        entries = msgspec.json.decode(raw, type=list[_Entry])
    except (msgspec.MsgspecError, RecursionError):
        raise SambenchError(f"{path}: an entry is no object. {FORMAT}") from None
    owners = _Owners.of(annotations)
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    wrong: list[str] = []
    elsewhere: list[str] = []
    for i, entry in enumerate(entries):
        try:
            row = _row(entry, owners)
        except _ElsewhereError as error:
            elsewhere.append(str(error))
        except _WrongError as error:
            wrong.append(f"entry {i}: {error}")
        else:
            for name, value in zip(SCHEMA.names, row, strict=True):
                columns[name].append(value)
    if wrong:
        shown = "\n".join(f"    {one}" for one in wrong[:FAULTS])
        more = f"\n    and {len(wrong) - FAULTS:,} more" if len(wrong) > FAULTS else ""
        raise SambenchError(
            f"{path}: {len(wrong):,} of {len(entries):,} entries cannot be scored against "
            f"{annotations.path}; nothing was computed.\n{shown}{more}\n{FORMAT}"
        )
    if elsewhere and len(elsewhere) == len(entries):
        raise SambenchError(
            f"{path}: none of its {len(entries):,} entries belongs to {annotations.path}: {elsewhere[0]}. "
            "Are they predictions of other data?"
        )
    return Predictions(path, content.sha256, pa.table(columns, SCHEMA), len(elsewhere))


@dataclass(frozen=True)
class _Owners:
    """What predictions can belong to."""

    annotations: Annotations
    sizes: Mapping[int, Size | None]
    """(height, width) of each image, as far as they are stated."""
    categories: frozenset[int]

    @classmethod
    def of(cls, annotations: Annotations) -> _Owners:
        stated = {i.id: (i.height, i.width) for i in annotations.images if i.height and i.width}
        sizes = {image.id: stated.get(image.id) for image in annotations.images}
        return cls(annotations, sizes, frozenset(c.id for c in annotations.categories or ()))

    def place(self, entry: _Entry) -> tuple[int, int]:
        """Return the image and the category that an entry is of."""
        image = _number(entry.image_id, self.annotations.image_ids, "image_id")
        if self.annotations.pairs is not None:
            pair = None if image is None else self.annotations.pairs.get(image)
            if pair is None:
                raise _ElsewhereError(f"image_id {quoted(entry.image_id)} is no pair of the annotations")
            return pair.image_id, pair.category_id
        if image is None or image not in self.sizes:
            raise _ElsewhereError(f"image_id {quoted(entry.image_id)} is not in the annotations")
        category = _number(entry.category_id, self.annotations.category_ids, "category_id")
        if category is None or category not in self.categories:
            raise _WrongError(f"category_id {quoted(entry.category_id)} is not in the annotations")
        return image, category


def _number(value: object, ids: Ids, what: str) -> int | None:
    """Return what stands for an id; ``None`` of one that is not the annotations'."""
    given = as_id(value)
    if given is None:
        raise _WrongError(f"{what} is {quoted(value)}, no id" if value is not None else f"has no {what}")
    return ids.number(given)


def _row(entry: _Entry, owners: _Owners) -> Sequence[Any]:
    image, category = owners.place(entry)
    if not is_number(entry.score):
        raise _WrongError(f"score is {quoted(entry.score)}, no number")
    size = owners.sizes[image]
    try:
        found = examine(entry.segmentation, size)
        if size is None and not found.is_rle:
            raise _WrongError("polygons, and the annotations state no height and width of its image")
        code = compress(found.drawable, size)
    except UnfitError as error:
        raise _WrongError(error.detail) from None
    counts = code["counts"]
    text = json.dumps(
        {"size": list(code["size"]), "counts": counts if isinstance(counts, str) else counts.decode("ascii")},
        separators=(",", ":"),
    )
    return image, category, float(entry.score), _box(entry.bbox), text


def _box(value: object) -> list[float] | None:
    """Return x, y, width, height; ``None`` where there is none."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)) or min(value[2:]) < 0:
        raise _WrongError(f"bbox is {quoted(value)}, not x, y, width and height")
    return [float(side) for side in value]
