"""Everything that is wrong with masks as pictures, and the COCO file of those that are right."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sambench.suites.data.annotations import AnnotationRecord
from sambench.suites.data.checks.problems import Finding
from sambench.suites.data.coco import Entry
from sambench.suites.data.pictures.folder import MaskFolder
from sambench.suites.data.prefetch import prefetch


def check_pictures(
    dataset: MaskFolder,
    entries: Sequence[Entry],
    *,
    decode: bool = True,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Finding]:
    """Yield what is wrong with masks, or worth knowing of them.

    Args:
        dataset: with what was found as it was opened, which comes first.
        entries: those to look at.
        decode: read their pixels, and not just their headers.
        on_image: called with masks done and their total.
    """
    for problem in dataset.problems.listed():
        yield from ((problem.name, example) for example in problem.examples)
    check = functools.partial(dataset.check, decode=decode)
    for done, found in enumerate(prefetch(check, entries), start=1):
        yield from found
        on_image(done, len(entries))


def as_coco(dataset: MaskFolder, entries: Sequence[Entry] | None = None) -> dict[str, Any]:
    """Return masks as COCO's format has them: one category, compressed run lengths.

    Void pixels are lost, for COCO's format has none: they are background there.

    Args:
        dataset: the masks.
        entries: those to take; all, where they are not said.

    Raises:
        SambenchError: a mask cannot be read.
    """
    images, annotations = [], []
    chosen = dataset.entries if entries is None else entries
    for entry, found in zip(chosen, prefetch(_decode, chosen), strict=True):
        height, width = found.size
        record = entry.record
        images.append({"id": record.id, "file_name": record.file_name, "height": height, "width": width})
        annotations += [_plain(one) for one in found.annotations]
    categories = [{"id": number, "name": name} for number, name in dataset.categories.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _decode(entry: Entry) -> Any:
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
