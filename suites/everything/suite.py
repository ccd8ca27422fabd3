"""Everything mode: how many masks it finds, and how many of the annotated objects are among them.

The score is COCO's average recall, class-agnostic and with up to 1000 masks an image, as for the object
proposals of "Segment Anything" (arXiv 2304.02643, section 7.3): ``COCOeval`` with ``iouType = "segm"``,
``useCats = 0`` and ``maxDets = [1000]``, the masks ranked by predicted IoU. At each IoU of .50, .55, ... .95
the masks choose in turn, each the free object that it covers best and at least so well. An object's recall is
the share of the ten thresholds at which some mask chose it, and AR is the mean over the objects of all
images. For the sizes, the masks choose anew among the objects of that size alone. Crowds are no objects to be
found, whatever the protocol says of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pycocotools import mask as rle

from sambench.adapters.base import Capabilities, Embedding, Segmenter
from sambench.suites.base import InstanceSuite, Record, Stopwatch, describe, kept, score_instances
from sambench.suites.data.rle import encode
from sambench.suites.data.sample import Sample, Target
from sambench.suites.everything.generator import GeneratedMask, GeneratorSettings, generate
from sambench.suites.metrics.iou import SIZES, Scores, size_bins
from sambench.suites.protocol import Protocol

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # cocodataset.org, detection evaluation
MOST_MASKS = 1000
SETTINGS = GeneratorSettings()  # those of SAM's own generator, whatever the model

MATCHED = {size: f"matched_{size}" for size in SIZES}

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        # An image: how many masks it has.
        pa.field("masks", pa.int32()),
        # A mask: `generator.GeneratedMask`; its area is counted, its segmentation is RLE as JSON.
        # An object: as in the tables of other suites; at how many of the ten thresholds it was matched, among
        # the objects of each size that it has.
        pa.field("area", pa.float64()),
        pa.field("bbox", pa.list_(pa.int32(), 4)),
        pa.field("segmentation", pa.string()),
        pa.field("predicted_iou", pa.float32()),
        pa.field("stability_score", pa.float32()),
        pa.field("point", pa.list_(pa.float64(), 2)),
        pa.field("crop_box", pa.list_(pa.int32(), 4)),
        pa.field("ann_id", pa.int64()),
        pa.field("category_id", pa.int64()),
        pa.field("mask_area", pa.int64()),
        pa.field("iscrowd", pa.bool_()),
        *(pa.field(column, pa.int8()) for column in MATCHED.values()),
    ]
)
"""Rows of three kinds: ``image``, ``mask`` and ``object``; what says nothing of a kind is null."""


class Everything(InstanceSuite):
    """All masks of an image; metrics ``masks_per_image``, ``ar_1000``, ``ar_1000_small``, ``..._large``."""

    def __init__(self) -> None:
        super().__init__("everything", SCHEMA)

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
            matched = _match(masks, objects, protocol)
        return [
            {"image_id": sample.image_id, "kind": "image", "masks": len(masks)},
            *(_describe_mask(sample.image_id, mask) for mask in masks),
            *(
                {"kind": "object"} | describe(sample.image_id, target) | counted
                for target, counted in zip(objects, matched, strict=True)
            ),
        ]

    def score(self, records: pa.Table, protocol: Protocol) -> Scores:
        """Average recall over objects (percent), and masks over images."""
        images = records.filter(pc.equal(records["kind"], "image"))
        metrics: dict[str, float | None] = {"masks_per_image": pc.mean(images["masks"]).as_py()}
        intervals: dict[str, list[float]] = {}
        counts: dict[str, int] = {}
        for size, column in MATCHED.items():
            objects = records.filter(pc.is_valid(records[column]))
            recall = objects[column].to_numpy() / len(THRESHOLDS)
            scores = score_instances({"ar": recall}, objects, protocol)
            name = "ar_1000" if size == "all" else f"ar_1000_{size}"
            metrics[name], counts[size] = scores.metrics["ar"], objects.num_rows
            if "ar" in scores.intervals:
                intervals[name] = scores.intervals["ar"]
        return Scores(metrics, intervals, counts)


def times_matched(iou: np.ndarray) -> np.ndarray:
    """Count the thresholds at which each object is matched.

    Args:
        iou: (masks, objects), the masks in the order of their choice.

    Returns:
        (objects,) of 0 to 10.
    """
    matched = np.zeros(iou.shape[1], np.int64)
    for threshold in THRESHOLDS:
        free = np.ones(iou.shape[1], bool)
        for row in iou[(iou >= threshold).any(axis=1)]:
            left = np.where(free, row, -1.0)
            best = len(left) - 1 - left[::-1].argmax()  # the last among equals, as COCOeval has it
            if left[best] >= threshold:
                free[best] = False
        matched += ~free
    return matched


def _match(
    masks: Sequence[GeneratedMask], objects: Sequence[Target], protocol: Protocol
) -> list[dict[str, int | None]]:
    """Say of each object how often it is matched, among all objects and among those of its size."""
    iou = _iou(masks, objects)
    area = np.array([t.area if protocol.area_source == "ann" else t.mask.area for t in objects])
    counted: list[dict[str, int | None]] = [dict.fromkeys(MATCHED.values()) for _ in objects]
    for size, members in size_bins(area, protocol).items():
        where = np.flatnonzero(members)
        for index, times in zip(where, times_matched(iou[:, where]), strict=True):
            counted[index][MATCHED[size]] = int(times)
    return counted


def _iou(masks: Sequence[GeneratedMask], objects: Sequence[Target]) -> np.ndarray:
    """IoU of the best masks, by falling predicted IoU, with the objects: (masks, objects)."""
    ranked = sorted(masks, key=lambda m: -m.predicted_iou)[:MOST_MASKS]
    truth = encode(np.stack([t.mask.full() for t in objects])) if objects else []
    if not ranked or not truth:
        return np.zeros((len(ranked), len(truth)))
    return np.asarray(rle.iou([m.segmentation for m in ranked], truth, [0] * len(truth)))


def _describe_mask(image_id: int, mask: GeneratedMask) -> Record:
    return {
        "image_id": image_id,
        "kind": "mask",
        "area": float(mask.area),
        "bbox": list(mask.bbox),
        "segmentation": json.dumps(mask.segmentation, separators=(",", ":")),
        "predicted_iou": mask.predicted_iou,
        "stability_score": mask.stability_score,
        "point": list(mask.point),
        "crop_box": list(mask.crop_box),
    }
