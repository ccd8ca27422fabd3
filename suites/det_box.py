"""A detector's boxes (the paper's Tables 4 and 5): prompt with each box, score the masks by AP.

A mask keeps its box's class. What ranks it is the protocol's choice: in the paper the score of the box alone.
"""

from __future__ import annotations

import dataclasses
import functools
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from sambench.adapters.base import Capabilities, Embedding, Prompts, Segmenter
from sambench.suites.base import IMAGE_COLUMNS, Record, Setting, Stopwatch, Suite, describe_image
from sambench.suites.data.detections import Detections, ImageDetections, detections_sha256
from sambench.suites.data.reading import BoxUse
from sambench.suites.data.rle import encode_text
from sambench.suites.data.sample import Sample
from sambench.suites.metrics.sizes import SIZES, sized
from sambench.suites.predict import predict
from sambench.suites.protocol import Protocol
from sambench.suites.records import Records
from sambench.suites.scoring.average_precision import (
    Evaluator,
    caveat,
    evaluate_and_match,
    used_evaluator,
)
from sambench.suites.scoring.detector import check_detections, doubts, unusual_scores
from sambench.suites.scoring.ground_truth import GroundTruth, read_whole
from sambench.suites.scoring.scores import Metric, Scores

SCHEMA = pa.schema(
    [
        *IMAGE_COLUMNS,
        pa.field("category_id", pa.int64(), nullable=False),
        pa.field("category", pa.string()),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("bbox", pa.list_(pa.float64(), 4), nullable=False),
        pa.field("segmentation", pa.string(), nullable=False),
        pa.field("pred_iou", pa.float32(), nullable=False),
        pa.field("choice", pa.int8(), nullable=False),
    ]
)
"""A row a detection: box (x, y, w, h) and score as in the detector's file, the mask as COCO's RLE in JSON."""

METRICS = (
    Metric("ap", "All objects", brief=True),
    Metric("box_ap", "Boxes' own AP", brief=True),
    *(Metric(sized("ap", size), objects) for size, objects in SIZES.items() if size != "all"),
    Metric("ap_r", "Rare", optional=True, brief=True),  # this and the next two are LVIS's
    Metric("ap_c", "Common", optional=True, brief=True),
    Metric("ap_f", "Frequent", optional=True, brief=True),
    Metric("ap50", "AP50", brief=True),
    Metric("ap75", "AP75", brief=True),
)
REPORTED = frozenset(metric.name for metric in METRICS)
RESULT = ("image_id", "category_id", "score")
"""Columns of what is compared, beside its box or its mask."""


@dataclass(frozen=True)
class DetectedSuite(Suite):
    """A suite that prompts with a detector's boxes, one a prompt, and records a mask a box."""

    setting: Setting

    schema: ClassVar[pa.Schema] = SCHEMA
    record_axes: ClassVar[tuple[str, ...]] = ("select", "threshold")
    scored: ClassVar[tuple[str, ...]] = (
        *("image_id", "category_id", "score", "bbox"),
        *("segmentation", "pred_iou"),
    )
    needs_detections: ClassVar[bool] = True
    boxes: ClassVar[BoxUse] = "scored"

    def score(self, records: pa.Table, protocol: Protocol) -> Scores:
        """Compute what `score_all` does, of rows in any order."""
        return self.score_all(Records.of(records), protocol)

    @abstractmethod
    def score_all(self, records: Records, protocol: Protocol) -> Scores:
        """Compute AP; masks are read a shard at a time."""

    @abstractmethod
    def found(self, image_id: int) -> ImageDetections:
        """Return the detections of an image."""

    def refusal(self, capabilities: Capabilities, protocol: Protocol) -> str | None:
        """Need boxes."""
        del protocol
        return None if capabilities.boxes else "it takes no boxes"

    def evaluate(
        self,
        segmenter: Segmenter,
        embedding: Embedding,
        sample: Sample,
        protocol: Protocol,
        watch: Stopwatch,
    ) -> list[Record]:
        """Prompt with all boxes of the image, the best first; a record a box."""
        found = self.found(sample.image_id)
        records: list[Record] = []
        if not len(found):
            return records
        prompts = Prompts(boxes=torch.from_numpy(found.boxes).float())
        for chosen in predict(segmenter, embedding, prompts, protocol, watch):
            with watch("score", segmenter.device):
                masks = encode_text(np.asarray(chosen.masks.cpu()))
            rows = zip(masks, chosen.pred_iou.tolist(), chosen.choice.tolist(), strict=True)
            for mask, pred_iou, choice in rows:
                i = len(records)
                category = int(found.category_ids[i])
                records.append(
                    describe_image(sample)
                    | {
                        "category_id": category,
                        "category": sample.categories.get(category),
                        "score": float(found.scores[i]),
                        "bbox": found.xywh[i].tolist(),
                        "segmentation": mask,
                        "pred_iou": pred_iou,
                        "choice": choice,
                    }
                )
        return records


@dataclass(frozen=True)
class DetBox(DetectedSuite):
    """Metrics ``ap`` and its kin of the masks, and ``box_ap`` of the boxes themselves."""

    detections: Detections

    name: ClassVar[str] = "det_box"
    title: ClassVar[str] = "Boxes of a detector, mask AP"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS

    @classmethod
    def detections_sha256(cls, setting: Setting) -> str:
        """Hash the file of detections."""
        assert setting.detections is not None
        return detections_sha256(setting.detections)

    @classmethod
    def on(cls, setting: Setting) -> Self:
        """Read and index the detections."""
        assert setting.detections is not None
        return cls(setting, Detections(setting.detections, setting.detections_sha256, setting.known))

    def check(self) -> Sequence[str]:
        """See that the detections are a detector's, and that AP can be computed (see `check_detections`)."""
        check_detections(self.truth, self.detections, self.setting.evaluator)
        scores = unusual_scores(self.detections)
        return [*self.doubts, *([scores] if scores else [])]

    @cached_property
    def truth(self) -> GroundTruth:
        """The annotations, as the run has read them, or read the first time."""
        given = self.setting
        content = given.contents.get("") or read_whole(given.annotations, given.annotations_sha256)
        return GroundTruth(content, style=given.style, image_ids=given.image_ids, ids="from_one")

    @cached_property
    def doubts(self) -> list[str]:
        """What may be wrong with the boxes as a whole (see `scoring.detector.doubts`)."""
        return doubts(self.truth, self.detections)

    def found(self, image_id: int) -> ImageDetections:
        """Look the image up."""
        return self.detections.of(image_id)

    def score_all(self, records: Records, protocol: Protocol) -> Scores:
        """Compute AP of the masks by the protocol's score, and of the boxes by the detector's."""
        scores = average_precision(records, self.truth, protocol, self.setting.evaluator)
        spread = scores.evidence.intervals() if scores.evidence else {}
        note = with_doubts(scores.note, self.doubts, [self.detections], protocol)
        return dataclasses.replace(scores, intervals=spread, counts=self._counts(), note=note)

    def _counts(self) -> dict[str, int]:
        """Count the boxes that are prompts, those on images that are not evaluated, and what was changed."""
        coverage = self.detections.for_images(self.setting.image_ids)
        counts = {"detections": coverage.used, "detections_elsewhere": coverage.elsewhere}
        counts["images_without_detections"] = coverage.images_without
        return counts | changes(self.detections)


def with_doubts(
    note: str | None, doubtful: Sequence[str], found: Iterable[Detections], protocol: Protocol
) -> str | None:
    """Add to a note what is doubtful about detections; their scores, where a protocol multiplies them."""
    scores = [unusual_scores(one) for one in found] if protocol.score == "product" else []
    return " ".join(filter(None, (note, *doubtful, *scores))) or None


def changes(detections: Detections) -> dict[str, int]:
    """Return what was changed to read detections, as a result counts it."""
    return {f"detections_{name}": number for name, number in detections.findings.items()}


def average_precision(
    records: Records, truth: GroundTruth, protocol: Protocol, evaluator: Evaluator
) -> Scores:
    """Score records of a `DetectedSuite`: the masks by the protocol's score, the boxes by the detector's.

    Returns:
        Metrics, what they are made of, and who computed them; no intervals and no counts.
    """
    truth = truth.numbered(protocol.gt_ids)
    return masks_and_boxes(truth, _ranked(records, protocol), records.each((*RESULT, "bbox")), evaluator)


def masks_and_boxes(
    truth: GroundTruth,
    masks: Iterable[pa.Table],
    boxes: Iterable[pa.Table] | None,
    evaluator: Evaluator,
    *,
    in_order: bool = False,
) -> Scores:
    """Score masks, and boxes beside them where there are such, as tables of results (`evaluate_and_match`).

    Returns:
        As `average_precision`.
    """
    job = functools.partial(evaluate_and_match, truth, evaluator=evaluator, in_order=in_order)
    found, evidence = job(masks, iou_type="segm")
    metrics = {name: value for name, value in found.items() if name in REPORTED}
    if boxes is not None:
        found, of_boxes = job(boxes, iou_type="bbox")
        metrics["box_ap"] = found["ap"]
        evidence = evidence.beside(of_boxes) if evidence and of_boxes else None
    return Scores(metrics, {}, {}, used_evaluator(truth, evaluator), caveat(truth, evaluator), evidence)


def _ranked(records: Records, protocol: Protocol) -> Iterator[pa.Table]:
    """Read the masks, each with the score that ranks it."""
    for table in records.each((*RESULT, "segmentation", "pred_iou")):
        place = table.column_names.index("score")
        yield table.set_column(place, "score", _ranking(table["score"], table["pred_iou"], protocol))


def _ranking(score: pa.ChunkedArray, pred_iou: pa.ChunkedArray, protocol: Protocol) -> pa.ChunkedArray:
    """Return what ranks the masks, (n,) float64."""
    if protocol.score == "det":
        return score
    own = pred_iou.cast(pa.float64())
    return own if protocol.score == "pred_iou" else pc.multiply(score, own)
