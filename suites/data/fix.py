"""The normalised form of an annotation file: what a run reads of it, for other tools to read as well."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sambench.suites.data.annotations import AnnotationRecord
from sambench.suites.data.checks import lvis
from sambench.suites.data.checks.entry import has_mask
from sambench.suites.data.checks.kinds import MENDABLE
from sambench.suites.data.checks.masks import check_box
from sambench.suites.data.checks.problems import Problems
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.content import read_content
from sambench.suites.data.ids import MARKS, Ids
from sambench.suites.data.lists import LISTS, beside_lists, lists_of
from sambench.suites.data.segmentation import examine

NAMES = ("name", "supercategory", "file_name", "coco_url", "flickr_url")
GIVEN = "given_id"
"""Key under which an entry keeps the id that it had, where another number stands for it now."""


def normalised(dataset: CocoDataset, entries: Sequence[Entry]) -> bytes:
    """Return an annotation file's JSON with ids, names, sizes, boxes, areas and masks as COCO has them.

    Whatever else its entries hold stays as it is.

    Args:
        dataset: in which nothing is wrong but boxes, which are taken from the masks.
        entries: all its images, as `CocoDataset.checked` completed them.
    """
    said = dataset.content
    content = read_content(said.path, "no such file.", "annotation file")
    lists = lists_of(content, Problems())
    olds = {key: [_without_marks(json.loads(bytes(raw))) for raw in lists.get(key, ())] for key in LISTS}
    images = {entry.record.id: entry for entry in entries}
    completed = {one.id: one for entry in entries for one in entry.annotations}
    whole = {
        **beside_lists(content),
        "images": [
            {
                **old,
                **_image(images[new.id], dataset.images),
                **_lvis(old, said.category_ids),
                **_id(old, new.id, said.image_ids.texts),
            }
            for old, new in zip(olds["images"], said.images, strict=True)
        ],
        "annotations": [
            old | _annotation(completed.get(new.id, new)) | _id(old, new.id, said.annotation_ids.texts)
            for old, new in zip(olds["annotations"], said.annotations, strict=True)
        ],
        "categories": [
            old | {"name": new.name} | _id(old, new.id, said.category_ids.texts)
            for old, new in zip(olds["categories"], said.categories or (), strict=True)
        ],
    }
    return json.dumps(whole, ensure_ascii=False).encode()


def _id(old: Mapping[str, Any], number: int, texts: Mapping[int, str]) -> dict[str, Any]:
    return {"id": number, GIVEN: old["id"]} if texts else {"id": number}


def _without_marks(value: Any) -> Any:
    """Put null in place of numbers that JSON has not; names are left, whatever they are."""
    if isinstance(value, list):
        return [_without_marks(one) for one in value]
    if isinstance(value, dict):
        return {key: one if key in NAMES else _without_marks(one) for key, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if isinstance(value, str) and value in MARKS else value


def _lvis(old: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    """Return LVIS's lists of an image's categories by their numbers; what is none stays."""
    found = {}
    for key in lvis.LISTS:
        if isinstance(old.get(key), list):
            numbers = ((one, lvis.number_of(one, ids)) for one in old[key])
            found[key] = [one if number is None else number for one, number in numbers]
    return found


def _image(entry: Entry, folder: Path | None) -> dict[str, Any]:
    new: dict[str, Any] = {}
    if entry.stated is not None:
        new["height"], new["width"] = entry.stated
    if folder is not None and entry.record.file_name:
        new["file_name"] = entry.file.relative_to(folder).as_posix()
    return new


def _annotation(record: AnnotationRecord) -> dict[str, Any]:
    """Return what is to be said of an object; of one without a mask only what needs none."""
    new = {"image_id": record.image_id, "category_id": record.category_id, "iscrowd": record.iscrowd}
    if not has_mask(record):
        return new
    mask = examine(record.segmentation, None)
    wrong = any(kind in MENDABLE for kind, _ in check_box(record.bbox, mask, None))
    box = mask.box or record.bbox if wrong else record.bbox
    return new | {"bbox": box, "area": record.area, "segmentation": json.loads(bytes(record.segmentation))}
