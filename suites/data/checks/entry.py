"""One image of a data set and what is annotated on it: is all of it as it should be, and complete?

`suites.data.coco` asks this of every image that is to be evaluated, before a model is made.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sambench.adapters.images import LARGEST, Look, look, low_contrast, read_image
from sambench.adapters.images.orientation import UPRIGHT
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.annotations import AnnotationRecord
from sambench.suites.data.checks.kinds import KINDS
from sambench.suites.data.checks.masks import area_of, check_area, check_box, check_mask, leaves
from sambench.suites.data.checks.problems import Finding
from sambench.suites.data.ids import TextIds
from sambench.suites.data.locate import ImageFolder
from sambench.suites.data.segmentation import Examined, UnfitError, examine

if TYPE_CHECKING:
    from sambench.suites.data.coco import Entry


def check_entry(
    entry: Entry,
    *,
    folder: ImageFolder | None,
    texts: TextIds,
    thorough: bool = False,
    files: bool = True,
    masks: bool = True,
    look: Callable[[Path], Look] = look,
) -> tuple[Entry, list[Finding]]:
    """Look at an image's file and masks, and complete what the annotations leave open.

    Args:
        entry: the image.
        folder: where its file is; ``None`` looks at the annotations alone.
        texts: for messages.
        thorough: read the file to its end, which finds those cut off, and count every mask's pixels.
        files: look into the file at all, and not just for where it is.
        masks: look at annotations at all.
        look: reads the header of an image file.

    Returns:
        The entry with its file and size, and annotations with a box and an area each, as far as they can be
        had; and what was found.
    """
    name = texts.get("image_id", {}).get(entry.record.id, entry.record.id)
    findings: list[Finding] = []
    record = entry.record
    if folder is None or not (record.file_name or record.coco_url):
        pass
    elif not files:
        entry = dataclasses.replace(entry, file=folder.find(record.file_name, record.coco_url).file)
    else:
        entry, found = _with_file(entry, folder, f"image {name}", thorough, look)
        findings += found
    if not masks:
        return entry, findings
    records, size, own = [], entry.stated, texts.get("ann_id", {})
    for annotation in entry.annotations:
        odd: Iterable[Finding]
        try:
            mask = examine(annotation.segmentation, size) if has_mask(annotation) else None
        except UnfitError as error:
            odd = [(error.kind, error.detail)]
        else:
            odd = _oddities(annotation, mask, size, thorough)
            records.append(_completed(annotation, mask, size))
        for kind, detail in odd:
            findings.append(
                (kind, f"annotation {own.get(annotation.id, annotation.id)} of image {name}: {detail}")
            )
    return dataclasses.replace(entry, annotations=tuple(records)), findings


def has_mask(annotation: AnnotationRecord) -> bool:
    """Tell whether an annotation has a segmentation at all."""
    return bool(memoryview(annotation.segmentation))


def _with_file(
    entry: Entry, folder: ImageFolder, who: str, thorough: bool, look: Callable[[Path], Look]
) -> tuple[Entry, list[Finding]]:
    located = folder.find(entry.record.file_name, entry.record.coco_url)
    entry = dataclasses.replace(entry, file=located.file)
    found = [] if located.kind is None else [(located.kind, f"{who}: {located.detail}")]
    if located.kind is not None and KINDS[located.kind].severity == "error":
        return entry, found
    stated, way = entry.stated, entry.orientation
    try:
        seen = look(located.file)
        if why := seen.refusal(stated, way):
            return entry, [*found, ("image_size", f"{who}: {located.file} {why}")]
        found += [(kind, f"{who}: {located.file} {detail}") for kind, detail in _unusual(seen, entry)]
        # Deep pixels, and those of TIFF, may be none that can be seen: NaN, negative, of no known range.
        if thorough or seen.deep or seen.format == "TIFF":
            pixels = read_image(located.file, stated, orientation=way)
            if thorough and low_contrast(pixels):
                found.append(("low_contrast", f"{who}: {located.file}"))
    except SambenchError as error:
        return entry, [*found, ("damaged_image", f"{who}: {error}")]
    height, width = seen.size(stated, way)
    record = msgspec.structs.replace(entry.record, height=height, width=width)
    return dataclasses.replace(entry, record=record), found


def _unusual(seen: Look, entry: Entry) -> Iterator[Finding]:
    """Yield what a header says that moves numbers, a phrase that follows the file's name."""
    stated, way = entry.stated, entry.orientation
    height, width = seen.size(stated, way)
    if seen.tag != UPRIGHT:
        detail = f"has the EXIF orientation {seen.tag}, taken as {width} x {height}"
        yield "turned", detail
        if way == "stated_size" and seen.ambiguous(stated):
            yield "turned_ambiguous", detail
        elif stated == seen.stored != seen.turned and way != "exif" and _fit_turned(entry, seen):
            yield "turned_masks", f"{detail}; its masks fit {height} x {width}"
    if seen.deep:
        yield "deep_pixels", f"has {seen.bits} bits a channel"
    if seen.frames > 1:
        yield "several_frames", f"has {seen.frames}"
    if height * width > LARGEST:
        yield "large_image", f"takes {seen.memory}, and {height * width / 1e9:.1f} GB each mask"


def _fit_turned(entry: Entry, seen: Look) -> bool:
    """Tell whether masks leave the image as stored, and none leaves it as it is shown."""
    outside = False
    for annotation in entry.annotations:
        try:
            box = examine(annotation.segmentation, None).box if has_mask(annotation) else None
        except UnfitError:
            continue
        if box and leaves(box, seen.turned):
            return False
        outside = outside or bool(box and leaves(box, seen.stored))
    return outside


def _oddities(
    annotation: AnnotationRecord, mask: Examined | None, size: Size | None, thorough: bool
) -> Iterator[Finding]:
    """Yield what is odd about an annotation's mask, box and area."""
    if mask:
        yield from check_mask(mask, size, bool(annotation.iscrowd))
    if not math.isnan(annotation.bbox[0]):
        yield from check_box(annotation.bbox, mask, size)
    if mask and size:
        pixels = area_of(mask, size) if thorough or mask.is_rle else mask.enclosed
        yield from check_area(annotation.area, pixels, bool(annotation.iscrowd))


def _completed(annotation: AnnotationRecord, mask: Examined | None, size: Size | None) -> AnnotationRecord:
    """Return an annotation with the box and area of its mask where it has none of its own."""
    changes: dict[str, object] = {}
    if mask and mask.changes:
        changes["segmentation"] = msgspec.Raw(mask.json or b"")
    if mask and math.isnan(annotation.bbox[0]):
        changes["bbox"] = mask.box or (0.0, 0.0, 0.0, 0.0)
    if mask and size and math.isnan(annotation.area):
        changes["area"] = float(area_of(mask, size))
    return msgspec.structs.replace(annotation, **changes) if changes else annotation
