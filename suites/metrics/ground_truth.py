"""The annotations that average precision is measured against, read once and made clean for the evaluators."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.coco import AnnotationRecord
from sambench.suites.data.masks import FARTHEST, decode_segmentation

Style = Literal["coco", "lvis"]
Ids = Literal["as_given", "from_one"]


class _Image(msgspec.Struct, gc=False, omit_defaults=True):
    id: int
    height: int
    width: int
    neg_category_ids: list[int] | None = None
    """LVIS: categories seen to be absent."""
    not_exhaustive_category_ids: list[int] | None = None
    """LVIS: categories of which some objects are not annotated."""


class _Category(msgspec.Struct, gc=False, omit_defaults=True):
    id: int
    name: str
    frequency: Literal["r", "c", "f"] | None = None
    """LVIS: rare, common or frequent among the training images."""


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[AnnotationRecord]
    categories: list[_Category]


class Truth:
    """What is evaluated, and by which rules.

    Args:
        path: annotation file of COCO's or LVIS's format.
        style: ``coco``: at most 100 results an image and category, crowd regions neither reward nor punish.
            ``lvis``: at most 300 an image, the federated rules, no crowds.
        image_ids: evaluate these images only; all of the file by default.
        ids: ``from_one`` numbers the annotations anew. ``as_given`` keeps their ids with a quirk of
            pycocotools and lvis: a match is stored as the id matched, so one with the id 0 counts as none.

    Attributes:
        content: JSON with only what an evaluator reads.
        sizes: image id to (height, width) of the images evaluated.
        listed: ids of all images of the file.
        category_ids: of the file, each of which an evaluator averages over if it has annotations.
        quirk: whether ids are as given and one of them is 0.

    Raises:
        SambenchError: the file is missing, damaged or lacks what its style needs, an id is there twice, an
            annotation has no image or a damaged mask, or an image asked for is not listed.
    """

    def __init__(
        self,
        path: Path,
        *,
        style: Style = "coco",
        image_ids: Collection[int] | None = None,
        ids: Ids = "as_given",
    ) -> None:
        if style not in get_args(Style) or ids not in get_args(Ids):
            raise SambenchError(
                f"style {style!r} is none of {get_args(Style)}, or ids {ids!r} of {get_args(Ids)}."
            )
        self.path, self.style, self.ids = path, style, ids
        file = _parse(path)
        self.listed = frozenset(image.id for image in file.images)
        self.category_ids = frozenset(category.id for category in file.categories)
        self._check(file)
        _choose(file, image_ids, path)
        if ids == "from_one":
            for i, annotation in enumerate(file.annotations, start=1):
                annotation.id = i
        if style == "lvis":
            for annotation in file.annotations:
                annotation.iscrowd = 0  # the field is COCO's; lvis does not look at it
        self.sizes = {image.id: (image.height, image.width) for image in file.images}
        for annotation in file.annotations:
            _check_segmentation(
                annotation.segmentation,
                self.sizes[annotation.image_id],
                f"{path}: annotation {annotation.id}",
            )
        self.quirk = any(annotation.id == 0 for annotation in file.annotations)
        self.content = msgspec.json.encode(file)

    @cached_property
    def hotcoco(self) -> Any:
        """The annotations as a ``hotcoco.COCO``; an evaluation does not change it."""
        import hotcoco

        with tempfile.TemporaryDirectory() as folder:  # so that its parser reads the numbers, not Python
            file = Path(folder) / "annotations.json"
            file.write_bytes(self.content)
            try:
                return hotcoco.COCO(file)
            except ValueError as error:
                raise SambenchError(f"{self.path}: hotcoco cannot read it ({error}).") from None

    def _check(self, file: _File) -> None:
        """Refuse what the evaluators would stumble over, or count wrong in silence."""
        _refuse_twice(self.path, "image id", [i.id for i in file.images])
        _refuse_twice(self.path, "category id", [c.id for c in file.categories])
        if self.ids == "as_given":
            _refuse_twice(self.path, "annotation id", [a.id for a in file.annotations])
        lost = next((a for a in file.annotations if a.image_id not in self.listed), None)
        if lost is not None:
            raise SambenchError(
                f"{self.path}: annotation {lost.id} belongs to image {lost.image_id}, which the file does "
                "not list. Add the image or remove the annotation."
            )
        if self.style == "lvis" and (
            any(None in (i.neg_category_ids, i.not_exhaustive_category_ids) for i in file.images)
            or any(c.frequency is None for c in file.categories)
        ):
            raise SambenchError(
                f"{self.path}: not LVIS annotations: an image lacks neg_category_ids or "
                "not_exhaustive_category_ids, or a category its frequency. Evaluate it in COCO's style."
            )


def _parse(path: Path) -> _File:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        raise SambenchError(f"{path}: no such annotation file. Give it with --annotations.") from None
    except OSError as error:
        raise SambenchError(f"{path}: cannot be read ({error.strerror}).") from None
    except msgspec.ValidationError as error:
        raise SambenchError(f"{path}: not annotations to evaluate against. {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SambenchError(f"{path}: not valid JSON, perhaps cut off. {error}.") from None


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


def _check_segmentation(raw: msgspec.Raw, size: Size, what: str) -> None:
    """Refuse damage that pycocotools would fail or hang on, and hotcoco score as a miss.

    Polygons are only looked at, for there are many; the few run lengths are decoded.
    """
    if memoryview(raw)[:1] != b"[":
        decode_segmentation(raw, size, what)
        return
    try:
        polygons = msgspec.json.decode(raw, type=list[list[float]])
    except msgspec.ValidationError as error:
        raise SambenchError(f"{what}: its segmentation is not polygons ({error}). Mend it.") from None
    if not polygons or any(
        len(p) < 6 or len(p) % 2 or not -FARTHEST <= min(p) <= max(p) <= FARTHEST for p in polygons
    ):
        raise SambenchError(
            f"{what}: its segmentation has no polygon, or one that is not 6 or more numbers in pairs, each "
            f"within {FARTHEST:.0f} pixels. Mend the annotation or remove it."
        )


def _refuse_twice(path: Path, what: str, ids: Sequence[int]) -> None:
    seen: set[int] = set()
    for i in ids:
        if i in seen:
            raise SambenchError(f"{path}: {what} {i} is there twice. Number them anew.")
        seen.add(i)
