"""The annotations that average precision is measured against, made clean for the evaluators."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from sambench.adapters.files import refuse_changed
from sambench.evsam.errors import SambenchError
from sambench.suites.data.annotations import (
    AnnotationRecord,
    Annotations,
    CategoryRecord,
    ImageRecord,
    read_annotations,
)
from sambench.suites.data.masks import examined

Style = Literal["coco", "lvis"]
Ids = Literal["as_given", "from_one"]


class _Image(msgspec.Struct, gc=False, omit_defaults=True):
    """An entry of ``images`` as the evaluators read it."""

    id: int
    height: int
    width: int
    neg_category_ids: list[int] | None = None
    not_exhaustive_category_ids: list[int] | None = None


class _File(msgspec.Struct):
    """All that an evaluator reads."""

    images: list[_Image]
    annotations: list[AnnotationRecord]
    categories: list[CategoryRecord]


class GroundTruth:
    """What is evaluated, and by which rules.

    Masks stay the JSON that they are in the file until some images' are asked for.

    Args:
        path: annotation file of COCO's or LVIS's format.
        style: ``coco``: at most 100 results an image and category, crowd regions neither reward nor punish.
            ``lvis``: at most 300 an image, the federated rules, no crowds.
        image_ids: evaluate these images only; all of the file by default.
        ids: ``from_one`` numbers the annotations anew. ``as_given`` keeps their ids with a quirk of
            pycocotools and lvis: a match is stored as the id matched, so one with the id 0 counts as none.
        sha256: of the file as it was when the run was planned, where there was a plan.

    Attributes:
        sha256: of the bytes that were parsed.
        sizes: image id to (height, width) of the images evaluated.
        listed: ids of all images of the file.
        category_ids: of the file, each of which an evaluator averages over if it has annotations.
        quirk: whether ids are as given and one of them is 0.
        unmatchable: the number from one of that annotation, where there is one.

    Raises:
        SambenchError: the file is missing, damaged, another than was planned with or lacks what its style
            needs, an id is there twice, an annotation has no image or a damaged mask, or an image asked for
            is not listed.
    """

    def __init__(
        self,
        path: Path,
        *,
        style: Style = "coco",
        image_ids: Collection[int] | None = None,
        ids: Ids = "as_given",
        sha256: str | None = None,
    ) -> None:
        if style not in get_args(Style):
            raise SambenchError(f"style {style!r} is none of {get_args(Style)}.")
        self.path, self.style = path, style
        read = read_annotations(path)
        self.sha256 = read.sha256
        refuse_changed(path, read.sha256, sha256)
        file = _as_evaluated(read)
        if style == "lvis":
            _check_lvis(file, path)
        self.listed = frozenset(image.id for image in file.images)
        self.category_ids = frozenset(category.id for category in file.categories)
        _choose(file, image_ids, path)
        self.sizes = {image.id: (image.height, image.width) for image in file.images}
        for annotation in file.annotations:
            examined(
                annotation.segmentation,
                self.sizes[annotation.image_id],
                f"{path}: annotation {annotation.id}",
            )
        self._given_ids = [annotation.id for annotation in file.annotations]
        self._images = {image.id: image for image in file.images}
        self._by_image = _from_one_by_image(file.annotations, style)
        self._file = file
        self._number(ids)

    def numbered(self, ids: Ids) -> GroundTruth:
        """Return the same annotations with ids as given, or from one; nothing is read again.

        Raises:
            SambenchError: as given, an id is there twice.
        """
        other = copy.copy(self)
        other._number(ids)
        return other

    def _number(self, ids: Ids) -> None:
        if ids not in get_args(Ids):
            raise SambenchError(f"ids {ids!r} is none of {get_args(Ids)}.")
        if ids == "as_given":
            refuse_twice(self.path, "annotation id", self._given_ids)
        self.ids = ids
        self.quirk = ids == "as_given" and 0 in self._given_ids
        self.unmatchable = 1 + self._given_ids.index(0) if self.quirk else None

    @property
    def content(self) -> bytes:
        """The annotation file as the official evaluators read it, with only what they read: JSON."""
        annotations = self._file.annotations
        if self.ids == "as_given":
            given = zip(annotations, self._given_ids, strict=True)
            annotations = [msgspec.structs.replace(annotation, id=i) for annotation, i in given]
        return msgspec.json.encode(_File(self._file.images, annotations, self._file.categories))

    def categories(self) -> list[dict[str, Any]]:
        """Return the categories as an evaluator takes them."""
        return _plain(self._file.categories)

    def of_images(self, image_ids: Collection[int]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return some images and their annotations as an evaluator takes them, numbered from one.

        Annotations of a category that the file does not list are left out, as no evaluator looks at them.
        """
        mine = (a for i in image_ids for a in self._by_image.get(i, ()))
        known = [a for a in mine if a.category_id in self.category_ids]
        return _plain([self._images[i] for i in image_ids]), _plain(known)


def _from_one_by_image(
    annotations: list[AnnotationRecord], style: Style
) -> dict[int, list[AnnotationRecord]]:
    """Number annotations from one and sort them by image, each image's in the order of the file."""
    by_image: defaultdict[int, list[AnnotationRecord]] = defaultdict(list)
    for i, annotation in enumerate(annotations, start=1):
        annotation.id = i
        if style == "lvis":
            annotation.iscrowd = 0  # the field is COCO's; lvis does not look at it
        by_image[annotation.image_id].append(annotation)
    return by_image


def _plain(records: Iterable[msgspec.Struct]) -> Any:
    """Return records as lists and dictionaries, the JSON within them parsed."""
    return msgspec.json.decode(msgspec.json.encode(list(records)))


def _as_evaluated(read: Annotations) -> _File:
    """Return what the evaluators read of a file; refuse what they would stumble over, or count in silence."""
    if read.categories is None:
        raise SambenchError(f"{read.path}: has no categories, over which average precision is the mean.")
    refuse_twice(read.path, "category id", (category.id for category in read.categories))
    for category in read.categories:
        if category.frequency not in (None, "r", "c", "f"):
            raise SambenchError(
                f"{read.path}: the frequency of category {category.id} is {category.frequency!r}, which can "
                "be r, c or f."
            )
    return _File([_image(image, read.path) for image in read.images], read.annotations, read.categories)


def _image(record: ImageRecord, path: Path) -> _Image:
    if record.height is None or record.width is None:
        raise SambenchError(f"{path}: image {record.id} lacks its height or width. Evaluators need both.")
    absent, not_exhaustive = (
        _category_ids(getattr(record, key), f"{path}: image {record.id}: {key}")
        for key in ("neg_category_ids", "not_exhaustive_category_ids")
    )
    return _Image(record.id, record.height, record.width, absent, not_exhaustive)


def _category_ids(raw: msgspec.Raw, what: str) -> list[int] | None:
    """Read one of LVIS's two lists of an image; ``None`` where it has none."""
    try:
        return msgspec.json.decode(raw, type=list[int] | None) if memoryview(raw) else None
    except msgspec.ValidationError as error:
        raise SambenchError(f"{what} is no list of category ids ({error}).") from None


def _check_lvis(file: _File, path: Path) -> None:
    lacking = any(None in (i.neg_category_ids, i.not_exhaustive_category_ids) for i in file.images)
    if lacking or any(category.frequency is None for category in file.categories):
        raise SambenchError(
            f"{path}: not LVIS annotations: an image lacks neg_category_ids or "
            "not_exhaustive_category_ids, or a category its frequency. Evaluate it in COCO's style."
        )


def _choose(file: _File, image_ids: Collection[int] | None, path: Path) -> None:
    """Leave only some images and their annotations."""
    if image_ids is None:
        return
    kept = set(image_ids)
    strange = kept - {image.id for image in file.images}
    if strange:
        raise SambenchError(
            f"{path}: lists no image {min(strange)} ({len(strange)} such). Choose among its ids."
        )
    file.images = [image for image in file.images if image.id in kept]
    file.annotations = [annotation for annotation in file.annotations if annotation.image_id in kept]


def refuse_twice(path, what, ids):
    pass
