"""Everything that is odd about masks as pictures, and the COCO file of those that are right."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sambench.evsam.errors import SambenchError
from sambench.suites.data.annotations import AnnotationRecord
from sambench.suites.data.checks.problems import Problems
from sambench.suites.data.checks.verify import Report
from sambench.suites.data.coco import Entry
from sambench.suites.data.pictures.folder import MaskFolder
from sambench.suites.data.pictures.picture import Objects
from sambench.suites.data.pictures.settings import Masks
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.sample import draw


def verify_pictures(
    images: Path,
    masks: Masks,
    *,
    limit: int | None = None,
    seed: int = 0,
    thorough: bool = True,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Check a folder of masks (see `checks.verify.verify`); its annotations are counted as masks.

    Args:
        images: folder of the images.
        masks: of the masks, and how they are read.
        limit: check a seeded sample of so many images, the one that a run takes.
        seed: of that sample.
        thorough: read images and masks to their end, and not just their headers.
        on_image: called with images done and their total.
    """
    problems = Problems()
    try:
        dataset = MaskFolder(images, masks, problems=problems)
    except SambenchError as error:
        if not problems.listed("error"):
            problems.add("unreadable", str(error))
        return Report(0, 0, 0, 0, problems.listed())
    chosen = draw(dataset.entries, limit, seed)
    entries = dataset.checked(chosen, thorough=thorough, on_image=on_image)
    counts = len(dataset), len(dataset), len(dataset.categories)
    return Report(*counts, len(chosen), problems.listed(), partial(_as_json, entries))


def _as_json(entries: Sequence[Entry]) -> bytes:
    return json.dumps(as_coco(entries)).encode()


def as_coco(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return masks as COCO's format has them: one category, compressed run lengths.

    Void pixels are lost, for COCO's format has none: they are background there.

    Args:
        entries: of a `MaskFolder`.

    Raises:
        SambenchError: a mask cannot be read.
    """
    images, annotations = [], []
    for entry, found in zip(entries, prefetch(_decode, entries), strict=True):
        height, width = found.size
        record = entry.record
        images.append({"id": record.id, "file_name": record.file_name, "height": height, "width": width})
        annotations += [_plain(one) for one in found.annotations]
    categories = [{"id": number, "name": name} for number, name in MaskFolder.categories.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _decode(entry: Entry) -> Objects:
    assert entry.picture is not None
    return entry.picture.decode()


def _plain(one: AnnotationRecord) -> dict[str, Any]:
    return {
        "id": one.id,
        "image_id": one.image_id,
        "category_id": one.category_id,
        "bbox": list(one.bbox),
        "area": one.area,
        "segmentation": json.loads(bytes(one.segmentation)),
        "iscrowd": one.iscrowd,
    }
