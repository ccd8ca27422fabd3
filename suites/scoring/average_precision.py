"""Average precision of results against annotations, the same to the last digit whatever their order.

hotcoco computes by default; pycocotools and lvis, the official evaluators, are there to compare with. Order
matters to all of them: of two results with the same score the first is taken first. So results are sorted
here, and ties are settled by what a result is, not by where it stood. What the numbers are made of is matched
by our own code on the way (`suites.scoring.matching`), so that they can be resampled.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from sambench.evsam.errors import SambenchError
from sambench.suites.scoring.batches import Batch, IouType, Results, batches
from sambench.suites.scoring.evaluators import (
    COCO_STATS,
    LVIS_STATS,
    by_hotcoco,
    by_lvis,
    by_pycocotools,
)
from sambench.suites.scoring.ground_truth import GroundTruth
from sambench.suites.scoring.matches import Matches
from sambench.suites.scoring.matching import Matching

Evaluator = Literal["hotcoco", "pycocotools", "lvis"]

_OFFICIAL: dict[str, Evaluator] = {"coco": "pycocotools", "lvis": "lvis"}
_RUN: dict[Evaluator, Callable[[GroundTruth, Iterable[Batch], IouType], dict[str, float]]] = {
    "hotcoco": by_hotcoco,
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
    """Say what `used_evaluator` decided against what was asked for, and why, if it did."""
    if not truth.quirk:
        return None
    return (
        f"{truth.path} has an annotation of the id 0, which the official evaluators cannot match, and the "
        f"protocol keeps ids as they are: computed by {used_evaluator(truth, evaluator)}. Its interval is "
        "of the same rule; with 'gt_ids: from_one' the annotation counts like any other."
    )


def evaluate(
    truth: GroundTruth, results: Results, *, iou_type: IouType, evaluator: Evaluator = "hotcoco"
) -> dict[str, float | None]:
    """Compute average precision and recall.

    Results on images that ``truth`` leaves out are left out. In ``segm`` a result's box is never looked at;
    else the libraries would take its size, not the mask's, for the size bins.

    Args:
        truth: the annotations, with the style of the evaluation.
        results: N rows in any order, or several such tables where each image is in one of them and images
            rise from one to the next: ``image_id`` and ``category_id`` int64, ``score`` float64, and of
            ``segmentation`` (a compressed RLE, ``{"size": [H, W], "counts": str}``, as JSON text) and
            ``bbox`` (four of float64: x, y, width, height in pixels) the one that is compared.
        iou_type: whether masks or boxes are compared.
        evaluator: which library computes; `used_evaluator` says when another has to.

    Returns:
        Percent, ``None`` where no category has an object: ``ap``, ``ap50``, ``ap75``, ``ap_small``,
        ``ap_medium``, ``ap_large``, in LVIS's style ``ap_r``, ``ap_c``, ``ap_f``, and the recalls
        ``ar1``, ``ar10``, ``ar100`` (LVIS ``ar300``), ``ar_small``, ``ar_medium``, ``ar_large``.

    Raises:
        SambenchError: a score is not finite, an image or category is not the annotations', a mask has not its
            image's size, or the evaluator does not fit.
    """
    found = batches(truth, _checked(truth, results), iou_type)
    return _run(truth, found, iou_type, used_evaluator(truth, evaluator))


def evaluate_and_match(
    truth: GroundTruth,
    results: Results,
    *,
    iou_type: IouType,
    evaluator: Evaluator = "hotcoco",
    in_order: bool = False,
) -> tuple[dict[str, float | None], Matches | None]:
    """Compute what `evaluate` does, and on the way keep what precision is made of, for it to be resampled.

    With ``in_order`` results of one score are taken in their order (see `batches`).

    Returns:
        The numbers, and their evidence; ``None`` where there is no image or no category.
    """
    used = used_evaluator(truth, evaluator)
    matching = Matching(truth, iou_type)
    found = batches(truth, _checked(truth, results), iou_type, in_order=in_order)
    numbers = _run(truth, matching.watch(found), iou_type, used)
    return numbers, Matches.of(truth, matching.matched) if _can_have_numbers(truth) else None


def _can_have_numbers(truth: GroundTruth) -> bool:
    return bool(truth.sizes and truth.category_ids)


def _run(
    truth: GroundTruth, found: Iterable[Batch], iou_type: IouType, used: Evaluator
) -> dict[str, float | None]:
    if not _can_have_numbers(truth):
        collections.deque(found, maxlen=0)  # results are looked at all the same
        return dict.fromkeys(COCO_STATS if truth.style == "coco" else LVIS_STATS.values())
    fractions = _RUN[used](truth, found, iou_type)
    return {name: 100 * float(value) if value >= 0 else None for name, value in fractions.items()}


def _checked(truth: GroundTruth, results: Results) -> Iterator[pa.Table]:
    """Pass results on, each table looked at before (see `_check`)."""
    for table in [results] if isinstance(results, pa.Table) else results:
        _check(truth, table)
        yield table


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
