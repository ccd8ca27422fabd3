"""The reader of annotation files in COCO's and LVIS's format.

A file is parsed into compact records; segmentations stay the bytes they were in the file until they are asked
for, so memory hardly grows beyond the file's own size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sambench.evsam.errors import SambenchError


class ImageRecord(msgspec.Struct, gc=False):
    """An entry of ``images``."""

    id: int
    file_name: str | None = None
    coco_url: str | None = None
    """LVIS names its files by this alone."""
    height: int | None = None
    width: int | None = None
    neg_category_ids: msgspec.Raw = msgspec.Raw()
    """LVIS: categories seen to be absent."""
    not_exhaustive_category_ids: msgspec.Raw = msgspec.Raw()
    """LVIS: categories of which some objects are not annotated."""


class AnnotationRecord(msgspec.Struct, gc=False):
    """An entry of ``annotations``."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    """x, y, width, height in pixels."""
    area: float
    segmentation: msgspec.Raw
    iscrowd: int = 0


class CategoryRecord(msgspec.Struct, gc=False, omit_defaults=True):
    """An entry of ``categories``."""

    id: int
    name: str
    frequency: str | None = None
    """LVIS: ``r``, ``c`` or ``f``, rare to frequent among the training images."""


class _File(msgspec.Struct):
    images: list[ImageRecord]
    annotations: list[AnnotationRecord]
    categories: list[CategoryRecord] | None = None


@dataclass(frozen=True)
class Annotations:
    """What an annotation file says, each list in its order."""

    path: Path
    sha256: str
    """Of the bytes that were parsed."""
    images: list[ImageRecord]
    annotations: list[AnnotationRecord]
    categories: list[CategoryRecord] | None
    """``None`` where the file has no such list, which prompts do without."""


def read_annotations(path: Path, *, unique_ids: bool = True) -> Annotations:
    """Read an annotation file once.

    Args:
        path: JSON in COCO's or LVIS's format.
        unique_ids: whether no two annotations may have the same id.

    Raises:
        SambenchError: the file is missing, damaged or not COCO's format, an id is there twice, or an
            annotation has no image.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SambenchError(f"{path}: no such annotation file. Give it with --annotations.") from None
    except OSError as error:
        raise SambenchError(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        file = msgspec.json.decode(content, type=_File)
    except msgspec.ValidationError as error:
        raise SambenchError(f"{path}: not in COCO's format. {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SambenchError(f"{path}: not valid JSON, perhaps cut off. {error}.") from None
    sha256 = hashlib.sha256(content).hexdigest()
    refuse_twice(path, "image id", (image.id for image in file.images))
    if unique_ids:
        refuse_twice(path, "annotation id", (annotation.id for annotation in file.annotations))
    listed = {image.id for image in file.images}
    for annotation in file.annotations:
        if annotation.image_id not in listed:
            raise SambenchError(
                f"{path}: annotation {annotation.id} belongs to image {annotation.image_id}, which the file "
                "does not list. Add the image or remove the annotation."
            )
    return Annotations(path, sha256, file.images, file.annotations, file.categories)


def refuse_twice(path: Path, what: str, ids: Iterable[int]) -> None:
    """See that no id is there twice.

    Raises:
        SambenchError: one is.
    """
    seen: set[int] = set()
    for i in ids:
        if i in seen:
            raise SambenchError(f"{path}: {what} {i} is there twice. Number them anew.")
        seen.add(i)
