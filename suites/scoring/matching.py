"""Which result finds which object, by the rules of COCO and of LVIS: all that average precision is made of.

The libraries keep their matches to themselves, so what is resampled is matched here, once, as pycocotools and
lvis do it: the best result first, each taking the free object that it overlaps most, at ten thresholds of
IoU and in four ranges of area, in which objects of another size are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sambench.evsam.size import Size
from sambench.suites.metrics.sizes import SIZES
from sambench.suites.protocol import MEDIUM_AREA, SMALL_AREA
from sambench.suites.scoring.batches import Batch, IouType
from sambench.suites.scoring.greedy import FOUND, IOU_THRESHOLDS, NOTHING, Pair, settle
from sambench.suites.scoring.ground_truth import GroundTruth

_RANGES = np.array([(0, 1e10), (0, SMALL_AREA), (SMALL_AREA, MEDIUM_AREA), (MEDIUM_AREA, 1e10)])
"""Of `SIZES`, both ends within, as all evaluators have them."""

_BITS = (1 << np.arange(len(IOU_THRESHOLDS))).astype(np.uint16)
MOST_OF_COCO, MOST_OF_LVIS = 100, 300
"""Results that count: of an image and category in COCO's style, of an image in LVIS's."""

AREAS_AT_ONCE = 255
"""pycocotools 2.0.11 keeps the number of masks in eight bits (``_mask.pyx``, ``area``)."""


@dataclass(frozen=True)
class Matched:
    """Results and objects of some images.

    Attributes:
        image: (N,) int64, the number of each result's image (see `GroundTruth`).
        category: (N,) int64, that of its category.
        score: (N,) float64.
        found: (N, 4) uint16: in each range of area, a bit for each threshold at which it finds an object.
        counted: (N, 4) uint16: the same where it counts at all, whether it finds one or not.
        object_image: (M,) int64, the number of each object's image.
        object_category: (M,) int64.
        object_counted: (M, 4) bool, in which ranges of area it is looked for.
    """

    image: np.ndarray
    category: np.ndarray
    score: np.ndarray
    found: np.ndarray
    counted: np.ndarray
    object_image: np.ndarray
    object_category: np.ndarray
    object_counted: np.ndarray

    @classmethod
    def together(cls, parts: list[Matched]) -> Matched:
        """Put those of several batches one after the other."""
        rows = [tuple(vars(part).values()) for part in parts]
        return cls(*(np.concatenate(column) for column in zip(*rows, strict=True)))


class Matching:
    """Matches results batch by batch, on their way to the library that computes the numbers.

    Args:
        truth: the annotations.
        iou_type: whether masks or boxes are compared.
    """

    def __init__(self, truth: GroundTruth, iou_type: IouType) -> None:
        self._truth, self._iou_type = truth, iou_type
        self._parts: list[Matched] = []

    def watch(self, found: Iterable[Batch]) -> Iterator[Batch]:
        """Pass batches on, each matched before."""
        for batch in found:
            self._parts.append(match(self._truth, batch, self._iou_type))
            yield batch

    @property
    def matched(self) -> Matched:
        """Of all batches that went by."""
        return Matched.together(self._parts)


def match(truth: GroundTruth, batch: Batch, iou_type: IouType) -> Matched:
    """Match the results of a batch with the annotations of its images."""
    images, annotations = truth.of_images(batch.images)
    objects = _Objects.of(annotations, truth.unmatchable)
    image, category = (
        np.array([r[key] for r in batch.results], np.int64) for key in ("image_id", "category_id")
    )
    taken = np.flatnonzero(_considered(truth, image, category, images, objects))
    results = [batch.results[i] for i in taken]
    sizes = {i["id"]: (i["height"], i["width"]) for i in images}
    image, category = image[taken], category[taken]
    met = _meet(results, image, category, annotations, objects, sizes, iou_type)
    # A result that meets nothing counts if its own size is in the range, and its category was searched for.
    inside = _inside(_areas(results, iou_type))
    if truth.style == "lvis":
        inside &= ~_listed(image, category, images, "not_exhaustive_category_ids")[:, None]
    found = met == FOUND
    return Matched(
        image,
        category,
        np.array([r["score"] for r in results], np.float64),
        found @ _BITS,
        (found | ((met == NOTHING) & inside[:, :, None])) @ _BITS,
        objects.image,
        objects.category,
        ~objects.ignored,
    )


@dataclass(frozen=True)
class _Objects:
    """The annotations of some images, (M,) each."""

    image: np.ndarray
    category: np.ndarray
    crowd: np.ndarray
    ignored: np.ndarray  # (M, 4), in each range of area
    unmatchable: np.ndarray  # takes a result, which then counts as having met nothing

    @classmethod
    def of(cls, annotations: list[dict[str, Any]], unmatchable: int | None) -> _Objects:
        image, category, number, crowd = (
            np.array([a.get(key, 0) for a in annotations], np.int64)
            for key in ("image_id", "category_id", "id", "iscrowd")
        )
        area = np.array([a["area"] for a in annotations], np.float64)
        crowd = crowd.astype(bool)
        return cls(image, category, crowd, crowd[:, None] | ~_inside(area), number == unmatchable)


def _inside(area: np.ndarray) -> np.ndarray:
    """In which ranges areas (n,) are, (n, 4) bool."""
    return (area[:, None] >= _RANGES[:, 0]) & (area[:, None] <= _RANGES[:, 1])


def _considered(
    truth: GroundTruth,
    image: np.ndarray,
    category: np.ndarray,
    images: list[dict[str, Any]],
    objects: _Objects,
) -> np.ndarray:
    """Which results an evaluator looks at, (N,) bool."""
    if truth.style == "coco":
        return _rank(*_by_code(image, category)) < MOST_OF_COCO
    searched = _listed(image, category, images, "neg_category_ids")
    there = set(zip(objects.image.tolist(), objects.category.tolist(), strict=True))
    searched |= _are_in(image, category, there)
    return searched & (_rank(*_by_code(image)) < MOST_OF_LVIS)


def _listed(image: np.ndarray, category: np.ndarray, images: list[dict[str, Any]], key: str) -> np.ndarray:
    """Whose image has the category in one of its lists, (N,) bool."""
    return _are_in(image, category, {(i["id"], c) for i in images for c in i[key]})


def _are_in(image: np.ndarray, category: np.ndarray, pairs: set[tuple[int, int]]) -> np.ndarray:
    own = zip(image.tolist(), category.tolist(), strict=True)
    return np.fromiter((pair in pairs for pair in own), bool, len(image))


def _by_code(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort rows by some columns: their order, and where a run of equals begins."""
    order = np.lexsort(columns[::-1])
    edges = np.any([np.diff(column[order]) != 0 for column in columns], axis=0)
    return order, np.concatenate([[0], np.flatnonzero(edges) + 1]) if len(order) else order


def _rank(order: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return which of its run each row is, from 0."""
    rank = np.empty(len(order), np.int64)
    lengths = np.diff(np.append(starts, len(order)))
    rank[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    return rank


def _by_pair(image: np.ndarray, category: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Return the rows of each image and category, in their order."""
    order, starts = _by_code(image, category)
    rows = np.split(order, starts[1:])
    return {(int(image[r[0]]), int(category[r[0]])): r for r in rows if len(r)}


# Masks and boxes


def _meet(
    results: list[dict[str, Any]],
    image: np.ndarray,
    category: np.ndarray,
    annotations: list[dict[str, Any]],
    objects: _Objects,
    sizes: dict[int, Size],
    iou_type: IouType,
) -> np.ndarray:
    """Return what each of N results meets in each range of area and at each threshold, (N, 4, 10) int8."""
    met = np.zeros((len(results), len(SIZES), len(IOU_THRESHOLDS)), np.int8)
    there = _by_pair(objects.image, objects.category)
    pairs = []
    for pair, rows in _by_pair(image, category).items():
        if pair not in there:
            continue
        members = there[pair]
        iou = _overlap([results[i] for i in rows], [annotations[j] for j in members], sizes, iou_type)
        near = iou.max(axis=1) >= IOU_THRESHOLDS[0]  # no other can find an object
        if near.any():
            pairs.append(
                Pair(
                    rows[near],
                    iou[near],
                    objects.ignored[members],
                    objects.crowd[members],
                    objects.unmatchable[members],
                )
            )
    settle(pairs, met)
    return met


def _areas(results: list[dict[str, Any]], iou_type: IouType) -> np.ndarray:
    """Areas in square pixels, (N,) float64."""
    if iou_type == "bbox":
        return np.array([r["bbox"][2] * r["bbox"][3] for r in results], np.float64)
    from pycocotools import mask as rle  # at the first use, as the evaluators do

    masks = [r["segmentation"] for r in results]
    starts = range(0, len(masks), AREAS_AT_ONCE)
    areas = [np.array(rle.area(masks[i : i + AREAS_AT_ONCE]), np.float64) for i in starts]
    return np.concatenate(areas) if areas else np.zeros(0)


def _overlap(
    results: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    sizes: dict[int, Size],
    iou_type: IouType,
) -> np.ndarray:
    """IoU of D results with G annotations, (D, G); of a crowd, the share of the result that it covers."""
    from pycocotools import mask as rle

    crowd = [bool(a["iscrowd"]) for a in annotations]
    if iou_type == "bbox":
        ours, theirs = (
            np.array([one["bbox"] for one in some], np.float64) for some in (results, annotations)
        )
        return rle.iou(ours, theirs, crowd)
    masks = [_mask(a["segmentation"], sizes[a["image_id"]]) for a in annotations]
    return rle.iou([r["segmentation"] for r in results], masks, crowd)


def _mask(segmentation: Any, size: Size) -> Any:
    """Return an annotation's mask in run lengths, whichever of COCO's encodings it has."""
    from pycocotools import mask as rle

    if isinstance(segmentation, list):
        return rle.merge(rle.frPyObjects(segmentation, *size))
    return rle.frPyObjects(segmentation, *size) if isinstance(segmentation["counts"], list) else segmentation
