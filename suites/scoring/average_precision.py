"""Average precision of results against annotations, the same to the last digit whatever their order.

hotcoco computes by default; pycocotools and lvis, the official evaluators, are there to compare with. Order
matters to all of them: of two results with the same score the first is taken first. So results are sorted
here, and ties are settled by what a result is, not by where it stood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from sambench.evsam.errors import SambenchError
from sambench.suites.scoring.batches import Batch, IouType, batches
from sambench.suites.scoring.evaluators import (
    COCO_STATS,
    LVIS_STATS,
    by_lvis,
    by_pycocotools,
    fractions,
    intervals_by_hotcoco,
    match,
)
from sambench.suites.scoring.ground_truth import GroundTruth

Evaluator = Literal["hotcoco", "pycocotools", "lvis"]

_OFFICIAL: dict[str, Evaluator] = {"coco": "pycocotools", "lvis": "lvis"}
_RUN: dict[Evaluator, Callable[[GroundTruth, Iterable[Batch], IouType], dict[str, float]]] = {
    "pycocotools": by_pycocotools,
    "lvis": by_lvis,
}


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


def caveat(truth: GroundTruth, evaluator: Evaluator) -> str | None:
    """Say what `used_evaluator` decided against what was asked for, and what that costs, if it did."""
    if not truth.quirk:
        return None
    return (
        f"{truth.path} has an annotation of the id 0, which the official evaluators cannot match, and the "
        f"protocol keeps ids as they are: computed by {used_evaluator(truth, evaluator)}. Without an "
        "interval, for hotcoco resamples, which can match it; with 'gt_ids: from_one' there is one."
    )


class Evaluation:
    """Results against annotations; what hotcoco matches is matched once, for numbers and intervals.

    Results on images that ``truth`` leaves out are left out. In ``segm`` a result's box is never looked at;
    else the libraries would take its size, not the mask's, for the size bins.

    Args:
        truth: the annotations, with the style of the evaluation.
        results: N rows in any order, ``image_id`` and ``category_id`` int64, ``score`` float64, and of
            ``segmentation`` (a compressed RLE, ``{"size": [H, W], "counts": str}``, as JSON text) and
            ``bbox`` (four of float64: x, y, width, height in pixels) the one that is compared.
        iou_type: whether masks or boxes are compared.

    Raises:
        SambenchError: a score is not finite, or an image or category is not the annotations'.
    """

    def __init__(self, truth: GroundTruth, results: pa.Table, iou_type: IouType) -> None:
        _check(truth, results)
        self.truth, self.results, self.iou_type = truth, results, iou_type

    def metrics(self, evaluator: Evaluator = "hotcoco") -> dict[str, float | None]:
        """Compute average precision and recall.

        Args:
            evaluator: which library computes; `used_evaluator` says when another has to.

        Returns:
            Percent, ``None`` where no category has an object: ``ap``, ``ap50``, ``ap75``, ``ap_small``,
            ``ap_medium``, ``ap_large``, in LVIS's style ``ap_r``, ``ap_c``, ``ap_f``, and the recalls
            ``ar1``, ``ar10``, ``ar100`` (LVIS ``ar300``), ``ar_small``, ``ar_medium``, ``ar_large``.

        Raises:
            SambenchError: a mask has not its image's size, or the evaluator does not fit.
        """
        truth, used = self.truth, used_evaluator(self.truth, evaluator)
        if not truth.sizes or not truth.category_ids:
            return dict.fromkeys(COCO_STATS if truth.style == "coco" else LVIS_STATS.values())
        if used == "hotcoco":
            found = fractions(self._matched, truth.style)
        else:
            found = _RUN[used](truth, batches(truth, self.results, self.iou_type), self.iou_type)
        return {name: 100 * float(value) if value >= 0 else None for name, value in found.items()}

    def intervals(self) -> dict[str, list[float]]:
        """Return the precisions' 95% intervals, percent: images resampled, as in `suites.scoring.bootstrap`.

        None for a single image, nor where the official evaluators' quirk is wanted, which hotcoco has not.
        """
        truth = self.truth
        if len(truth.sizes) < 2 or truth.quirk or not truth.category_ids:
            return {}
        found = intervals_by_hotcoco(truth, self._matched, self.results.num_rows, self.iou_type)
        return {name: [100 * low, 100 * high] for name, (low, high) in found.items() if low >= 0}

    @cached_property
    def _matched(self) -> Any:
        return match(self.truth, batches(self.truth, self.results, self.iou_type), self.iou_type)


def evaluate(
    truth: GroundTruth, results: pa.Table, *, iou_type: IouType, evaluator: Evaluator = "hotcoco"
) -> dict[str, float | None]:
    """Compute average precision and recall (see `Evaluation`)."""
    return Evaluation(truth, results, iou_type).metrics(evaluator)


def _check(truth: GroundTruth, results: pa.Table) -> None:
    """Refuse results that do not belong to the annotations; an evaluator would score them near zero."""
    row = pc.index(pc.is_finite(results["score"]), False).as_py()
    if row >= 0:
        raise SambenchError(
            f"results: the score of result {row} (image {results['image_id'][row]}) is "
            f"{results['score'][row]}. Scores must be finite; did the model overflow in half precision?"
        )
    for what, known in (("image", truth.listed), ("category", truth.category_ids)):
        strange = sorted(set(pc.unique(results[f"{what}_id"]).to_pylist()) - known)
        if strange:
            raise SambenchError(
                f"results: {what} {strange[0]} is not in {truth.path} ({len(strange)} such). Are the results "
                "of another data set, or their categories numbered otherwise (COCO's ids run to 90, not 80)?"
            )
