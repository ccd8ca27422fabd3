"""Average precision of results against annotations, the same to the last digit whatever their order.

hotcoco computes by default; pycocotools and lvis, the official evaluators, are there to compare with. Order
matters to all of them: of two results with the same score the first is taken first. So results are sorted
here, and ties are settled by what a result is, not by where it stood.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sambench.evsam.errors import SambenchError
from sambench.suites.data.rle import encode
from sambench.suites.scoring.evaluators import (
    COCO_STATS,
    LVIS_STATS,
    IouType,
    by_hotcoco,
    by_lvis,
    by_pycocotools,
    intervals_by_hotcoco,
)
from sambench.suites.scoring.ground_truth import GroundTruth

__all__ = ["Evaluator", "IouType", "Results", "evaluate", "intervals", "used_evaluator"]

Evaluator = Literal["hotcoco", "pycocotools", "lvis"]

_OFFICIAL: dict[str, Evaluator] = {"coco": "pycocotools", "lvis": "lvis"}
_RUN: dict[str, Callable[[GroundTruth, list[dict[str, Any]], IouType], dict[str, float]]] = {
    "hotcoco": by_hotcoco,
    "pycocotools": by_pycocotools,
    "lvis": by_lvis,
}


@dataclass(frozen=True)
class Results:
    """N results as columns. Masks or boxes may be left out where only the other is evaluated."""

    image_ids: np.ndarray
    """(N,) int64."""
    category_ids: np.ndarray
    """(N,) int64."""
    scores: np.ndarray
    """(N,) float64."""
    masks: Sequence[Mapping[str, Any]] | None = None
    """N compressed RLEs, as `suites.data.rle.encode` makes them."""
    boxes: np.ndarray | None = None
    """(N, 4) float64: x, y, width, height in pixels."""

    def __len__(self) -> int:
        return len(self.scores)


def used_evaluator(truth: GroundTruth, evaluator: Evaluator) -> Evaluator:
    """Return which library computes when ``evaluator`` is asked for.

    hotcoco can match an annotation with the id 0, so where the quirk of the official evaluators is wanted,
    and shows, the official one is used.

    Raises:
        SambenchError: the evaluator does not exist or has not the annotations' style.
    """
    official = _OFFICIAL[truth.style]
    if evaluator not in ("hotcoco", official):
        raise SambenchError(
            f"evaluator: {evaluator!r} does not evaluate in {truth.style} style; take hotcoco or {official}."
        )
    return official if truth.quirk else evaluator


def evaluate(
    truth: GroundTruth, results: Results, *, iou_type: IouType, evaluator: Evaluator = "hotcoco"
) -> dict[str, float | None]:
    """Compute average precision and recall.

    Results on images that ``truth`` leaves out are left out. In ``segm`` a result's box is never looked at;
    else the libraries would take its size, not the mask's, for the size bins.

    Args:
        truth: the annotations, with the style of the evaluation.
        results: in any order.
        iou_type: whether masks or boxes are compared.
        evaluator: which library computes; `used_evaluator` says when another has to.

    Returns:
        Percent, ``None`` where no category has an object: ``ap``, ``ap50``, ``ap75``, ``ap_small``,
        ``ap_medium``, ``ap_large``, in LVIS's style ``ap_r``, ``ap_c``, ``ap_f``, and the recalls ``ar1``,
        ``ar10``, ``ar100`` (LVIS ``ar300``), ``ar_small``, ``ar_medium``, ``ar_large``.

    Raises:
        SambenchError: a score is not finite, an image or category is not the annotations', a mask has not its
            image's size, or the evaluator does not fit.
    """
    run = _RUN[used_evaluator(truth, evaluator)]
    _check(truth, results)
    if not truth.sizes or not truth.category_ids:
        return dict.fromkeys(COCO_STATS if truth.style == "coco" else LVIS_STATS.values())
    records = _records(truth, results, iou_type) or [_miss(truth, iou_type)]
    fractions = run(truth, records, iou_type)
    return {name: 100 * float(value) if value >= 0 else None for name, value in fractions.items()}


def intervals(truth: GroundTruth, results: Results, *, iou_type: IouType) -> dict[str, list[float]]:
    """Return the precisions' 95% intervals, percent: images resampled, as in `suites.scoring.bootstrap`.

    None for a single image, nor where the official evaluators' quirk is wanted, which hotcoco has not.
    """
    if len(truth.sizes) < 2 or truth.quirk or not truth.category_ids:
        return {}
    _check(truth, results)
    nothing = [_miss(truth, iou_type)]
    found = intervals_by_hotcoco(truth, _records(truth, results, iou_type) or nothing, nothing, iou_type)
    return {name: [100 * low, 100 * high] for name, (low, high) in found.items() if low >= 0}


def _check(truth: GroundTruth, results: Results) -> None:
    """Refuse results that do not belong to the annotations; an evaluator would score them near zero."""
    if not np.isfinite(results.scores).all():
        row = int(np.flatnonzero(~np.isfinite(results.scores))[0])
        raise SambenchError(
            f"results: the score of result {row} (image {results.image_ids[row]}) is {results.scores[row]}. "
            "Scores must be finite; did the model overflow in half precision?"
        )
    for what, ids, known in (
        ("image", results.image_ids, truth.listed),
        ("category", results.category_ids, truth.category_ids),
    ):
        strange = sorted(set(ids.tolist()) - known)
        if strange:
            raise SambenchError(
                f"results: {what} {strange[0]} is not in {truth.path} ({len(strange)} such). Are the results "
                "of another data set, or their categories numbered otherwise (COCO's ids run to 90, not 80)?"
            )


def _records(truth: GroundTruth, results: Results, iou_type: IouType) -> list[dict[str, Any]]:
    """Return the results on evaluated images as the libraries take them, ordered."""
    regions = results.masks if iou_type == "segm" else results.boxes
    if regions is None or len(regions) != len(results):
        raise ValueError(f"{iou_type} needs a region for each of {len(results)} results")
    order = _order(results, iou_type)
    order = order[np.isin(results.image_ids[order], np.fromiter(truth.sizes, np.int64))]
    key = "segmentation" if iou_type == "segm" else "bbox"
    columns = (results.image_ids[order], results.category_ids[order], results.scores[order])
    if iou_type == "segm":
        chosen: Any = [regions[i] for i in order.tolist()]
        _check_sizes(truth, columns[0].tolist(), chosen)
    else:
        chosen = np.asarray(regions)[order].tolist()
    return [
        {"image_id": image, "category_id": category, "score": score, key: region}
        for image, category, score, region in zip(*(c.tolist() for c in columns), chosen, strict=True)
    ]


def _order(results: Results, iou_type: IouType) -> np.ndarray:
    """Sort by image, falling score, category, and then by the box or the bytes of the mask."""
    keys = (results.category_ids, -results.scores, results.image_ids)
    if iou_type == "bbox":
        assert results.boxes is not None
        return np.lexsort((*results.boxes.T[::-1], *keys))
    order, masks = np.lexsort(keys), results.masks
    assert masks is not None
    tied = np.logical_and.reduce([k[order][1:] == k[order][:-1] for k in keys])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], tied.astype(np.int8), [0]])))
    for first, last in edges.reshape(-1, 2):  # few, so that Python may compare
        run = order[first : last + 1]
        order[first : last + 1] = sorted(run, key=lambda i: _bytes(masks[i]["counts"]))
    return order


def _bytes(counts: bytes | str) -> bytes:
    return counts.encode() if isinstance(counts, str) else counts


def _check_sizes(truth: GroundTruth, image_ids: list[int], masks: list[Mapping[str, Any]]) -> None:
    for image_id, mask in zip(image_ids, masks, strict=True):
        if tuple(mask["size"]) != truth.sizes[image_id]:
            raise SambenchError(
                f"results: a mask of image {image_id} is of size {list(mask['size'])}, the image of "
                f"{list(truth.sizes[image_id])} in {truth.path}. Bring masks to the image's own size."
            )


def _miss(truth: GroundTruth, iou_type: IouType) -> dict[str, Any]:
    """Return a result that meets nothing: no library takes an empty list, and it scores zero all the same."""
    image_id, size = next(iter(truth.sizes.items()))
    miss: dict[str, Any] = {"image_id": image_id, "category_id": min(truth.category_ids), "score": 0.0}
    if iou_type == "bbox":
        return miss | {"bbox": [-10.0, -10.0, 1.0, 1.0]}
    return miss | {"segmentation": encode(np.zeros((1, *size), bool))[0]}
