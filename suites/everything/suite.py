"""Everything mode: how many masks it finds, and how many of the annotated objects are among them.

The score is COCO's average recall, class-agnostic and with up to 1000 masks an image, as for the object
proposals of "Segment Anything" (arXiv 2304.02643, section 7.3): ``COCOeval`` with ``iouType = "segm"``,
``useCats = 0`` and ``maxDets = [1000]``, the masks ranked by predicted IoU. `suites.metrics.recall` says how
an object's recall is counted; AR is the mean over the objects of all images. Crowds are no objects to be
found, whatever the protocol says of them.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sambench.adapters.base import Capabilities, Embedding, Segmenter
from sambench.suites.base import (
    IMAGE_COLUMNS,
    MeansSuite,
    Record,
    Stopwatch,
    describe,
    describe_image,
    kept,
)
from sambench.suites.data.reading import BoxUse
from sambench.suites.data.rle import as_text
from sambench.suites.data.sample import Sample
from sambench.suites.everything.generator import GeneratedMask, GeneratorSettings, generate
from sambench.suites.metrics.recall import THRESHOLDS, match
from sambench.suites.metrics.sizes import SIZES, sized
from sambench.suites.metrics.void import without_void_coded
from sambench.suites.protocol import Protocol
from sambench.suites.scoring.objects import Column, Objects
from sambench.suites.scoring.scores import Metric

MOST_MASKS = 1000
SETTINGS = GeneratorSettings()  # those of SAM's own generator, whatever the model

MATCHED = {size: f"matched_{size}" for size in SIZES}

SCHEMA = pa.schema(
    [
        *IMAGE_COLUMNS,
        pa.field("kind", pa.string(), nullable=False),
        # An image: how many masks it has.
        pa.field("masks", pa.int32()),
        # A mask: `generator.GeneratedMask`; its area is counted, its segmentation is RLE as JSON.
        # An object: as in the tables of other suites; at how many of the ten thresholds it was matched, among
        # the objects of each size that it has.
        pa.field("area", pa.float64()),
        pa.field("bbox", pa.list_(pa.int32())),
        pa.field("segmentation", pa.string()),
        pa.field("predicted_iou", pa.float32()),
        pa.field("stability_score", pa.float32()),
        pa.field("point", pa.list_(pa.float64())),
        pa.field("crop_box", pa.list_(pa.int32())),
        pa.field("ann_id", pa.int64()),
        pa.field("category_id", pa.int64()),
        pa.field("category", pa.string()),
        pa.field("size", pa.string()),
        pa.field("mask_area", pa.int64()),
        pa.field("iscrowd", pa.bool_()),
        *(pa.field(column, pa.int8()) for column in MATCHED.values()),
    ]
)
"""Rows of three kinds: ``image``, ``mask`` and ``object``; what says nothing of a kind is null."""


class Everything(MeansSuite):
    """All masks of an image; metrics ``masks_per_image``, ``ar_1000``, ``ar_1000_small``, ``..._large``."""

    name: ClassVar[str] = "everything"
    boxes: ClassVar[BoxUse] = "unused"
    schema: ClassVar[pa.Schema] = SCHEMA
    record_axes: ClassVar[tuple[str, ...]] = ("crowd", "leave_out", "bins", "area_source", "threshold")
    scored: ClassVar[tuple[str, ...]] = (
        "image_id",
        "ann_id",
        "category_id",
        "kind",
        "masks",
        *MATCHED.values(),
    )
    title: ClassVar[str] = "Everything mode, average recall of 1,000 masks"
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(Metric(sized("ar_1000", size), objects, brief=size == "all") for size, objects in SIZES.items()),
        Metric("masks_per_image", "Masks an image", "masks", higher_is_better=None, brief=True),
    )

    def refusal(self, capabilities: Capabilities, protocol: Protocol) -> str | None:
        """Need points."""
        del protocol
        return None if capabilities.points else "it takes no points"

    def evaluate(
        self,
        segmenter: Segmenter,
        embedding: Embedding,
        sample: Sample,
        protocol: Protocol,
        watch: Stopwatch,
    ) -> list[Record]:
        """Find all masks and match them to the objects: a record for the image, each mask, each object."""
        masks = generate(segmenter, sample.image, SETTINGS, embedding=embedding, watch=watch)
        objects = [t for t in kept(sample.targets, protocol) if not t.iscrowd]
        with watch("score"):
            best = sorted(masks, key=lambda mask: -mask.predicted_iou)[:MOST_MASKS]
            counted = without_void_coded([mask.segmentation for mask in best], sample.void)
            matched = match(counted, objects, protocol)
        return [
            {"kind": "image", **describe_image(sample), "masks": len(masks)},
            *(_describe_mask(sample, mask) for mask in masks),
            *(
                {"kind": "object", **describe(sample, target)}
                | {MATCHED[size]: times for size, times in counted.items()}
                for target, counted in zip(objects, matched, strict=True)
            ),
        ]

    def scored_objects(self, records: pa.Table, protocol: Protocol) -> Objects:
        """Return each object's recalls, and each image's masks as those of an object of its own."""
        del protocol  # which decided the records
        rows = records.filter(pc.not_equal(records["kind"], "mask"))
        is_image = pc.equal(rows["kind"], "image").to_numpy()
        recalls = [_filled(rows[column], 0) / len(THRESHOLDS) for column in MATCHED.values()]
        bins = [pc.is_valid(rows[column]).to_numpy() for column in MATCHED.values()]
        return Objects(
            columns=(
                *(Column(sized("ar_1000", size), i, i) for i, size in enumerate(SIZES)),
                Column("masks_per_image", len(SIZES), len(SIZES), scale=1.0),
            ),
            image=rows["image_id"].to_numpy(),
            ann_id=_filled(rows["ann_id"], -1).astype(np.int64),
            category=_filled(rows["category_id"], -1).astype(np.int64),
            values=np.stack([*recalls, _filled(rows["masks"], 0)], axis=1),
            groups=np.stack([*bins, is_image], axis=1),
        )


def _filled(column: pa.ChunkedArray, value: int) -> np.ndarray:
    """Return a column with a value where it is null, (n,)."""
    return pc.fill_null(column, value).to_numpy().astype(np.float64)


def _describe_mask(sample: Sample, mask: GeneratedMask) -> Record:
    return describe_image(sample) | {
        "kind": "mask",
        "area": float(mask.area),
        "bbox": list(mask.bbox),
        "segmentation": as_text(mask.segmentation),
        "predicted_iou": mask.predicted_iou,
        "stability_score": mask.stability_score,
        "point": list(mask.point),
        "crop_box": list(mask.crop_box),
    }
