"""A detector's boxes beside the annotations: what cannot be scored, and what is doubtful."""

from __future__ import annotations

from sambench.evsam.errors import SambenchError
from sambench.suites.data.detected.box_kinds import Seen, looks_like
from sambench.suites.data.detected.numbering import Named, numbered_otherwise
from sambench.suites.data.detected.readings import read_otherwise
from sambench.suites.data.detections import Detections
from sambench.suites.scoring.average_precision import Evaluator, used_evaluator
from sambench.suites.scoring.ground_truth import GroundTruth

MOST_IMAGES = 50
"""Looked at for doubts; they are spread over all."""
NAMED = 5
"""Values that a message names."""


def check_detections(truth: GroundTruth, detections: Detections, evaluator: Evaluator) -> None:
    """See before anything is computed that AP can be: the rules, the categories, the images.

    Raises:
        SambenchError: the evaluator has not the annotations' style, or the boxes are of other categories, or
            none of them is on an image of the data set.
    """
    used_evaluator(truth, evaluator)
    strange = sorted(detections.category_ids - truth.category_ids)
    if strange:
        named = ", ".join(map(str, strange[:NAMED]))
        raise SambenchError(
            f"{detections.path}: category {named} is not in {truth.path} ({len(strange)} "
            f"such). Are the boxes of another data set, or numbered otherwise{_otherwise(detections, truth)}?"
        )
    there = truth.listed.intersection(detections.image_ids.tolist())
    if len(detections) + detections.unmatched and not there:
        first = detections.image_ids[0] if len(detections) else detections.strange
        raise SambenchError(
            f"{detections.path}: none of its boxes is on an image of {truth.path}, the first is on "
            f"{first}. Are they of another data set?"
        )


def _otherwise(detections: Detections, truth: GroundTruth) -> str:
    """Say by which other numbering all categories would be listed."""
    for step, how in ((1, "from 0: with 1 added to each, all are"), (-1, "from 1: with 1 less, all are")):
        if {category + step for category in detections.category_ids} <= truth.category_ids:
            return f", {how} there"
    return " (COCO's ids run to 90)"


def doubts(truth: GroundTruth, detections: Detections) -> list[str]:
    """Say what would make numbers false that can be computed: boxes of another kind, other categories.

    Returns:
        Sentences, each naming the file.
    """
    reading = _other_reading(truth, detections)
    if reading:
        return [f"{detections.path}: {reading}. Write the names with their endings, or the annotations' ids."]
    ids = [i for i in detections.image_ids.tolist() if i in truth.sizes]
    ids = ids[:: max(1, len(ids) // MOST_IMAGES)]
    found, annotated = [detections.of(i) for i in ids], [truth.boxes_of(i) for i in ids]
    kind = looks_like(
        [Seen(truth.sizes[i], f.xywh, boxes) for i, f, (boxes, _) in zip(ids, found, annotated, strict=True)]
    )
    if kind:
        return [
            f"{detections.path}: {kind}. COCO's boxes are [x, y, width, height] in pixels of the image; "
            "convert others, else the numbers are false."
        ]
    named = [Named(f.xywh, f.category_ids, *a) for f, a in zip(found, annotated, strict=True)]
    numbering = numbered_otherwise(named, sorted(truth.category_ids))
    return [f"{detections.path}: {numbering}? Then the numbers are false."] if numbering else []


def _other_reading(truth: GroundTruth, detections: Detections) -> str | None:
    """Say that numbers of images look like names, or the other way round, where they could be either."""
    pairs = [(i, other) for i, other in detections.other_images.items() if {i, other} <= truth.sizes.keys()]
    pairs = pairs[:: max(1, len(pairs) // MOST_IMAGES)]

    def beside(image_id: int, boxes_of: int) -> Seen:
        boxes = detections.of(boxes_of).xywh
        return Seen(truth.sizes[image_id], boxes, truth.boxes_of(image_id)[0])

    taken = [beside(i, i) for i, _ in pairs]
    return read_otherwise(taken, [beside(other, i) for i, other in pairs], by_name=detections.read_by_name)


def unusual_scores(detections: Detections) -> str | None:
    """Say that scores are not between 0 and 1, if they are not."""
    low, high = detections.score_range
    if low >= 0 and high <= 1:
        return None
    what = "percent" if low >= 0 and high <= 100 else "logits"
    turned = "turns the order of those below 0 around" if low < 0 else "takes them for shares of 1"
    return (
        f"{detections.path}: scores run from {low:g} to {high:g}, not from 0 to 1: {what}? AP takes their "
        f"order alone; the protocol's 'score: product', which multiplies them with predicted IoUs, {turned}."
    )
