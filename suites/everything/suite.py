"""Everything mode: how many masks it finds, and how many of the annotated objects are among them.

The score is COCO's average recall, class-agnostic and with up to 1000 masks an image, as for the object
proposals of "Segment Anything" (arXiv 2304.02643, section 7.3): ``COCOeval`` with ``iouType = "segm"``,
``useCats = 0`` and ``maxDets = [1000]``, the masks ranked by predicted IoU. `suites.metrics.recall` says how
an object's recall is counted; AR is the mean over the objects of all images. Crowds are no objects to be
found, whatever the protocol says of them.
"""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from sambench.adapters.base import Capabilities, Embedding, Segmenter
from sambench.suites.base import (
    IMAGE_COLUMNS,
    InstanceSuite,
    Record,
    Stopwatch,
    describe,
    describe_image,
    kept,
    sum_instances,
)
from sambench.suites.data.rle import as_text
from sambench.suites.data.sample import Sample
from sambench.suites.everything.generator import GeneratedMask, GeneratorSettings, generate
from sambench.suites.metrics.recall import THRESHOLDS, match
from sambench.suites.metrics.sizes import SIZES, sized
from sambench.suites.protocol import Protocol
from sambench.suites.scoring.bootstrap import ImageSums, side_by_side
from sambench.suites.scoring.scores import Metric, Scores

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


class Everything(InstanceSuite):
    """All masks of an image; metrics ``masks_per_image``, ``ar_1000``, ``ar_1000_small``, ``..._large``."""

    name: ClassVar[str] = "everything"
    schema: ClassVar[pa.Schema] = SCHEMA
    record_axes: ClassVar[tuple[str, ...]] = ("crowd", "leave_out", "bins", "area_source", "threshold")
    scored: ClassVar[tuple[str, ...]] = ("image_id", "kind", "masks", "area", "mask_area", *MATCHED.values())
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
            matched = match([mask.segmentation for mask in best], objects, protocol)
        return [
            {"kind": "image", **describe_image(sample), "masks": len(masks)},
            *(_describe_mask(sample, mask) for mask in masks),
            *(
                {"kind": "object", **describe(sample, target)}
                | {MATCHED[size]: times for size, times in counted.items()}
                for target, counted in zip(objects, matched, strict=True)
            ),
        ]

    def score(self, records: pa.Table, protocol: Protocol) -> Scores:
        """Average recall over objects (percent), and masks over images."""
        images = records.filter(pc.equal(records["kind"], "image"))
        metrics: dict[str, float | None] = {"masks_per_image": pc.mean(images["masks"]).as_py()}
        intervals: dict[str, list[float]] = {}
        counts: dict[str, int] = {}
        for size, summed in _recall(records, protocol).items():
            name = sized("ar_1000", size)
            metrics[name], counts[size] = summed.means()["ar"], int(summed.counts[:, 0].sum())
            if interval := summed.intervals().get("ar"):
                intervals[name] = interval
        return Scores(metrics, intervals, counts)

    def per_image(self, records: pa.Table, protocol: Protocol) -> ImageSums:
        """Return the sums behind the recalls."""
        recall = _recall(records, protocol)
        return side_by_side([summed.column("ar", sized("ar_1000", size)) for size, summed in recall.items()])


def _recall(records: pa.Table, protocol: Protocol) -> dict[str, ImageSums]:
    """Add up the objects' recall by image: for each size the column ``ar``, over its own objects alone."""
    found = {}
    for size, column in MATCHED.items():
        objects = records.filter(pc.is_valid(records[column]))
        recall = objects[column].to_numpy() / len(THRESHOLDS)
        found[size] = sum_instances({"ar": recall}, objects, protocol)
    return found


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
