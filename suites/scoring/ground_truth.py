"""The annotations that average precision is measured against, made clean for the evaluators."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import numpy as np

from sambench.adapters.files import refuse_changed
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data import ids as data_ids
from sambench.suites.data.annotations import (
    AnnotationRecord,
    Annotations,
    CategoryRecord,
    ImageRecord,
)
from sambench.suites.data.checks.entry import has_mask
from sambench.suites.data.checks.kinds import BOXES
from sambench.suites.data.checks.lvis import number_of
from sambench.suites.data.checks.problems import quoted
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.ids import as_id
from sambench.suites.data.reading import Reading

Style = Literal["coco", "lvis"]
Ids = Literal["as_given", "from_one"]


NO_MATTER = ("no_file_name", "nothing", "no_phrase")
"""Faults of annotations that evaluators do not mind."""


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


class Dense:
    """Numbers from 1, by rising id, for ids of any kind: no evaluator sees a negative or a huge one."""

    def __init__(self, ids: Iterable[int]) -> None:
        self.ids = np.array(sorted(ids), np.int64)
        self._of = {i: number for number, i in enumerate(self.ids.tolist(), start=1)}

    def __getitem__(self, given: int) -> int:
        return self._of[given]

    def get(self, given: int) -> int | None:
        """Return the number of an id, if it is there."""
        return self._of.get(given)

    def __contains__(self, given: int) -> bool:
        return given in self._of

    def numbers(self, ids: np.ndarray) -> np.ndarray:
        """Return the numbers (n,) of ids (n,), all of which are there."""
        return np.searchsorted(self.ids, ids) + 1

    def given(self, numbers: np.ndarray) -> np.ndarray:
        """Return the ids (n,) of numbers (n,)."""
        return self.ids[numbers - 1]


class GroundTruth:
    """What is evaluated, and by which rules.

    Masks stay the JSON that they are in the file until some images' are asked for. The evaluators get images
    and categories by numbers of their own, rising with the ids, so that nothing is sorted otherwise.

    Args:
        annotations: of COCO's or LVIS's format, as they were read; those without a mask are left out.
        style: ``coco``: at most 100 results an image and category, crowd regions neither reward nor punish.
            ``lvis``: at most 300 an image, the federated rules, no crowds.
        image_ids: evaluate these images only; all of the file by default.
        ids: ``from_one`` numbers the annotations anew. ``as_given`` does so too, but for a quirk of
            pycocotools and lvis: a match is stored as the id matched, so an annotation with the id 0, which
            it keeps, counts as none.

    Attributes:
        sha256: of the bytes that were parsed.
        sizes: image id to (height, width) of the images evaluated.
        listed: ids of all images of the file.
        category_ids: of the file, each of which an evaluator averages over if it has annotations.
        images: numbers of the images evaluated.
        categories: numbers of the categories.
        quirk: whether ids are as given and one of them is 0.
        unmatchable: the number from one of that annotation, where there is one.

    Raises:
        SambenchError: the file lacks what its style needs, or an image asked for is not listed.
    """

    def __init__(
        self,
        annotations: Annotations,
        *,
        style: Style = "coco",
        image_ids: Collection[int] | None = None,
        ids: Ids = "as_given",
    ) -> None:
        if style not in get_args(Style):
            raise SambenchError(f"style {style!r} is none of {get_args(Style)}.")
        self.path, self.style, self.sha256 = annotations.path, style, annotations.sha256
        categories = _checked_categories(annotations)
        self.listed = frozenset(image.id for image in annotations.images)
        self.category_ids = frozenset(category.id for category in categories)
        records = _chosen(annotations, image_ids)
        self.images = Dense(image.id for image in records)
        self.categories = Dense(self.category_ids)
        self.sizes = {image.id: _size(image, self.path) for image in records}
        objects = [a for a in annotations.annotations if a.image_id in self.images and has_mask(a)]
        self._category_ids = annotations.category_ids
        self._given_ids = [a.id for a in objects]
        self._file = _File(
            [self._image(image) for image in records],
            [self._annotation(number, a) for number, a in enumerate(objects, start=1)],
            [msgspec.structs.replace(c, id=self.categories[c.id]) for c in categories],
        )
        if style == "lvis":
            _check_lvis(self._file, self.path)
        self._images = {image.id: image for image in self._file.images}
        self._by_image: defaultdict[int, list[AnnotationRecord]] = defaultdict(list)
        for annotation in self._file.annotations:
            self._by_image[annotation.image_id].append(annotation)
        self._number(ids)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        style: Style = "coco",
        image_ids: Collection[int] | None = None,
        ids: Ids = "as_given",
    ) -> GroundTruth:
        """Read an annotation file and return what is evaluated (see the class, and `read_whole`)."""
        return cls(read_whole(path), style=style, image_ids=image_ids, ids=ids)

    def numbered(self, ids: Ids) -> GroundTruth:
        """Return the same annotations with ids as given, or from one; nothing is read again."""
        other = copy.copy(self)
        other._number(ids)
        return other

    def _number(self, ids: Ids) -> None:
        if ids not in get_args(Ids):
            raise SambenchError(f"ids {ids!r} is none of {get_args(Ids)}.")
        self.ids = ids
        self.quirk = ids == "as_given" and 0 in self._given_ids
        self.unmatchable = 1 + self._given_ids.index(0) if self.quirk else None

    @property
    def content(self) -> bytes:
        """The annotation file as the official evaluators read it, with only what they read: JSON."""
        annotations = [a for a in self._file.annotations if a.category_id]
        if self.unmatchable is not None:
            annotations = [
                msgspec.structs.replace(a, id=0) if a.id == self.unmatchable else a for a in annotations
            ]
        return msgspec.json.encode(_File(self._file.images, annotations, self._file.categories))

    def listed_categories(self) -> list[dict[str, Any]]:
        """Return the categories as an evaluator takes them."""
        return _plain(self._file.categories)

    def of_images(self, numbers: Collection[int]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return some images, by their numbers, and their annotations as an evaluator takes them.

        Annotations are numbered from one. Those of a category that the file does not list are left out, as no
        evaluator looks at them.
        """
        mine = (a for i in numbers for a in self._by_image.get(i, ()))
        return _plain(self._images[i] for i in numbers), _plain(a for a in mine if a.category_id)

    def boxes_of(self, image_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes of an image's annotations, crowds left out, and their categories' ids.

        Returns:
            x, y, width, height, (K, 4) float64, and (K,) int64; those of unlisted categories are left out.
        """
        mine = [a for a in self._by_image.get(self.images[image_id], ()) if a.category_id and not a.iscrowd]
        numbers = np.array([a.category_id for a in mine], np.int64)
        return np.array([a.bbox for a in mine], np.float64).reshape(-1, 4), self.categories.given(numbers)

    def _image(self, record: ImageRecord) -> _Image:
        absent, not_exhaustive = (
            _listed(getattr(record, key), self._category_ids, f"{self.path}: image {record.id}: {key}")
            for key in ("neg_category_ids", "not_exhaustive_category_ids")
        )
        return _Image(
            self.images[record.id],
            *self.sizes[record.id],
            self._numbers(absent),
            self._numbers(not_exhaustive),
        )

    def _numbers(self, category_ids: list[int] | None) -> list[int] | None:
        if category_ids is None:
            return None
        return [self.categories[i] for i in category_ids if i in self.categories]

    def _annotation(self, number: int, record: AnnotationRecord) -> AnnotationRecord:
        return AnnotationRecord(
            number,
            self.images[record.image_id],
            self.categories.get(record.category_id) or 0,
            record.bbox,
            record.area,
            record.segmentation,
            0 if self.style == "lvis" else record.iscrowd,  # the field is COCO's; lvis does not look at it
        )


def read_whole(path: Path, sha256: str | None = None) -> Annotations:
    """Read annotations as a run does that evaluates all images and prompts with no box of theirs.

    Args:
        path: of the file.
        sha256: of it as it was when the run was planned, where there was a plan.

    Raises:
        SambenchError: the file is missing, has faults, or is another than was planned with.
    """
    tolerated = (*Reading().tolerated("scored"), *NO_MATTER)
    data = CocoDataset(None, path, tolerated=tolerated, lenient=True)
    if data.content.pairs is not None:  # which are scored by masks alone
        data.problems.tolerate(BOXES)
    refuse_changed(path, data.annotations_sha256, sha256)
    entries = data.checked(data.entries)
    data.refuse()
    return data.evaluated(entries)


def _plain(records: Iterable[msgspec.Struct]) -> Any:
    """Return records as lists and dictionaries, the JSON within them parsed."""
    return msgspec.json.decode(msgspec.json.encode(list(records)))


def _checked_categories(read: Annotations) -> list[CategoryRecord]:
    """Return the categories; refuse what the evaluators would stumble over, or count in silence."""
    if read.categories is None:
        raise SambenchError(f"{read.path}: has no categories, over which average precision is the mean.")
    for category in read.categories:
        if category.frequency not in (None, "r", "c", "f"):
            raise SambenchError(
                f"{read.path}: the frequency of category {category.id} is {category.frequency!r}, which can "
                "be r, c or f."
            )
    return read.categories


def _chosen(read: Annotations, image_ids: Collection[int] | None) -> list[ImageRecord]:
    """Return the images that are evaluated, in the order of the file."""
    if image_ids is None:
        return read.images
    kept = set(image_ids)
    strange = kept - {image.id for image in read.images}
    if strange:
        raise SambenchError(
            f"{read.path}: lists no image {min(strange)} ({len(strange)} such). Choose among its ids."
        )
    return [image for image in read.images if image.id in kept]


def _size(record: ImageRecord, path: Path) -> Size:
    if not record.height or not record.width:
        raise SambenchError(f"{path}: image {record.id} lacks its height or width. Evaluators need both.")
    return record.height, record.width


def _listed(raw: msgspec.Raw, ids: data_ids.Ids, what: str) -> list[int] | None:
    """Read one of LVIS's two lists of an image's categories; ``None`` where it has none."""
    given = msgspec.json.decode(raw) if memoryview(raw) else None
    if given is not None and not isinstance(given, list):
        raise SambenchError(f"{what} is {quoted(given)}, no list of category ids.")
    if None in [as_id(one) for one in given or ()]:
        raise SambenchError(f"{what} has {quoted(given)}, which are no category ids.")
    numbers = [number_of(one, ids) for one in given or ()]
    return None if given is None else [number for number in numbers if number is not None]


def _check_lvis(file: _File, path: Path) -> None:
    lacking = any(None in (i.neg_category_ids, i.not_exhaustive_category_ids) for i in file.images)
    if lacking or any(category.frequency is None for category in file.categories):
        raise SambenchError(
            f"{path}: not LVIS annotations: an image lacks neg_category_ids or "
            "not_exhaustive_category_ids, or a category its frequency. Evaluate it in COCO's style "
            "(format: coco)."
        )
