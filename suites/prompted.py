"""Suites that prompt once for each annotated object, and score the mask by its IoU with the object's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sambench.adapters.base import Embedding, Prompts, Segmenter
from sambench.suites.base import (
    INSTANCE_COLUMNS,
    SCORED,
    MeansSuite,
    Record,
    Stopwatch,
    describe,
    kept,
    objects_of,
)
from sambench.suites.data.rle import encode_text
from sambench.suites.data.sample import Sample, Target
from sambench.suites.further import averages, boundaries, calibration, calibrations
from sambench.suites.metrics.boundary import boundary, boundary_iou
from sambench.suites.metrics.iou import mask_iou
from sambench.suites.metrics.sizes import SIZES, sized
from sambench.suites.metrics.void import without_void
from sambench.suites.predict import predict
from sambench.suites.protocol import Protocol
from sambench.suites.scoring.objects import Objects
from sambench.suites.scoring.scores import Metric

PROMPT = ("box", "points", "labels")
ANSWER = ("segmentation", "iou", "boundary_iou", "pred_iou", "choice")

SCHEMA = pa.schema(
    [
        *INSTANCE_COLUMNS,
        pa.field("box", pa.list_(pa.float32())),
        pa.field("points", pa.list_(pa.list_(pa.float32(), 2))),
        pa.field("labels", pa.list_(pa.int8())),
        pa.field("segmentation", pa.string(), nullable=False),
        pa.field("iou", pa.float64(), nullable=False),
        pa.field("boundary_iou", pa.float64(), nullable=False),
        pa.field("pred_iou", pa.float32(), nullable=False),
        pa.field("choice", pa.int8(), nullable=False),
    ]
)
"""A row an object: its prompt as far as it has such parts, the mask as COCO's RLE in JSON, its IoU.

Lists that may be missing are of no fixed size: pyarrow 25 cannot read the null ones of those that are.
"""


class PromptedSuite(MeansSuite):
    """One prompt an object; metrics ``miou``, ``miou_small``, ``miou_medium``, ``miou_large`` and `further`.

    A suite of this kind has a name and a title, says which models cannot take part, and makes the prompts.
    """

    schema: ClassVar[pa.Schema] = SCHEMA
    record_axes: ClassVar[tuple[str, ...]] = ("crowd", "leave_out", "select", "threshold")
    scored: ClassVar[tuple[str, ...]] = (*SCORED, "iou", "boundary_iou", "pred_iou")
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(Metric(sized("miou", size), objects, brief=size == "all") for size, objects in SIZES.items()),
        *averages("miou"),
        *boundaries({"boundary_iou": "Boundary IoU"}),
        *calibrations({"": ""}),
    )

    @abstractmethod
    def prompts(self, targets: Sequence[Target]) -> Prompts:
        """Make a prompt for each of some objects, at least one, in their order."""

    def evaluate(
        self,
        segmenter: Segmenter,
        embedding: Embedding,
        sample: Sample,
        protocol: Protocol,
        watch: Stopwatch,
    ) -> list[Record]:
        """Prompt for all objects of the image at once; a record an object."""
        targets = kept(sample.targets, protocol)
        if not targets:
            return []
        prompts = self.prompts(targets)
        given = _rows(prompts)
        records: list[Record] = []
        for chosen in predict(segmenter, embedding, prompts, protocol, watch):
            batch = slice(len(records), len(records) + len(chosen.masks))
            with watch("score", segmenter.device):
                counted = without_void(chosen.masks, sample.void)
                iou = mask_iou(counted, [t.mask for t in targets[batch]])
                pixels = np.asarray(counted.cpu())
                near = boundary_iou(pixels, [boundary(t.mask) for t in targets[batch]])
                masks = encode_text(pixels if counted is chosen.masks else np.asarray(chosen.masks.cpu()))
            answers = zip(masks, iou, near, chosen.pred_iou.tolist(), chosen.choice.tolist(), strict=True)
            for target, prompt, answer in zip(targets[batch], given[batch], answers, strict=True):
                scored = dict(zip(ANSWER, answer, strict=True))
                records.append(describe(sample, target) | prompt | scored)
        return records

    def scored_objects(self, records: pa.Table, protocol: Protocol) -> Objects:
        """Return the IoU of each object, and how far the predicted one is from it."""
        iou, near, own = (records[name].to_numpy() for name in ("iou", "boundary_iou", "pred_iou"))
        return objects_of(
            {"miou": iou, "boundary_iou": near}, records, protocol, others=calibration("", own, iou)
        )


def _rows(prompts: Prompts) -> list[Record]:
    """Write each prompt down; what none of them has is null."""
    given = (prompts.boxes, prompts.points, prompts.labels)
    columns = [[None] * len(prompts) if part is None else part.tolist() for part in given]
    return [dict(zip(PROMPT, row, strict=True)) for row in zip(*columns, strict=True)]
