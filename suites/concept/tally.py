"""From records to what each pair comes to: instances matched with its objects, a shard at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from sambench.evsam.errors import SambenchError
from sambench.suites.concept.truth import Annotator, Truth
from sambench.suites.metrics.concepts import (
    CONFIDENT,
    COUNTS,
    THRESHOLDS,
    Pairs,
    matched,
    most_favourable,
    summed,
)
from sambench.suites.scoring.concepts import Concepts

COLUMNS = ("image_id", "kind", "category_id", "score", "segmentation")
"""Of records, that are read here."""


def tally(truth: Truth, tables: Iterable[pa.Table]) -> Concepts:
    """Match the instances of records with the objects of the pairs that are scored, and add up by image.

    Args:
        truth: the pairs.
        tables: records with `COLUMNS`. Images without a row of the kind ``image`` are none of the result.
    """
    found = _Tally(truth)
    for table in tables:
        found.add(table)
    return found.evidence()


class _Tally:
    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.found: dict[int, int] = {}
        self.hits: list[dict[int, np.ndarray]] = [{} for _ in truth.annotators]
        self.done = np.zeros(len(truth.asked.image_ids), bool)

    def add(self, table: pa.Table) -> None:
        """Take the records of some images."""
        kind = np.array(table["kind"].to_pylist())
        ids = table["image_id"].to_numpy()
        self._finish(ids[kind == "image"])
        score = table["score"].to_numpy()
        confident = np.flatnonzero((kind == "instance") & (score >= CONFIDENT))
        # In their order: of two matchings that are as good the official evaluator takes what that gives.
        rows = table.select(["image_id", "category_id", "segmentation"]).take(confident).to_pylist()
        instances: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            place = self.truth.asked.place(row["image_id"], row["category_id"])
            if place is not None:
                instances[place].append(msgspec.json.decode(row["segmentation"]))
        for place, masks in instances.items():
            self._match(place, masks)

    def _finish(self, ids: np.ndarray) -> None:
        known = self.truth.asked.image_ids
        places = np.searchsorted(known, ids)
        inside = places < len(known)
        places, ids = places[inside], ids[inside]
        self.done[places[known[places] == ids]] = True

    def _match(self, place: int, masks: list[dict[str, Any]]) -> None:
        self.found[place] = len(masks)
        if not self.truth.scored[place]:
            return
        image_id = int(self.truth.asked.image_ids[self.truth.asked.image[place]])
        size = self.truth.sizes.get(image_id)
        for hits, annotator in zip(self.hits, self.truth.annotators, strict=True):
            objects = annotator.masks(place, size)
            if objects:
                hits[place] = matched(_iou(masks, objects, image_id, annotator))

    def evidence(self) -> Concepts:
        """Add up the pairs that are scored, of the images that are there."""
        asked = self.truth.asked
        of = np.cumsum(self.done) - 1  # an image's place among those that are there
        scored = self.truth.scored & self.done[asked.image]
        rows = np.array([place for place in sorted(self._touched()) if scored[place]], np.int64)
        annotators = [self._pairs(k, rows) for k in range(len(self.hits))]
        image, images = of[asked.image[rows]], int(self.done.sum())
        sums = summed(most_favourable(annotators), image, images)
        every = np.bincount(of[asked.image[scored]], minlength=images)
        sums[:, COUNTS.index("il_tn")] += every - np.bincount(image, minlength=images)
        objects = np.bincount(image, weights=annotators[0].truths, minlength=images).astype(np.int64)
        return Concepts(asked.image_ids[self.done], sums, objects)

    def _touched(self) -> set[int]:
        """Return the pairs with an instance or an object: of millions of pairs that have neither, few."""
        return set(self.found).union(*(annotator.objects for annotator in self.truth.annotators))

    def _pairs(self, annotator: int, rows: np.ndarray) -> Pairs:
        """Return what some pairs come to by an annotator."""
        objects, hits = self.truth.annotators[annotator].objects, self.hits[annotator]
        none = np.zeros(len(THRESHOLDS), np.int64)
        places = rows.tolist()
        return Pairs(
            np.array([len(objects.get(place, ())) for place in places], np.int64),
            np.array([self.found.get(place, 0) for place in places], np.int64),
            np.array([hits.get(place, none) for place in places], np.int64).reshape(-1, len(none)),
        )


def _iou(
    masks: list[dict[str, Any]], objects: list[dict[str, Any]], image_id: int, annotator: Annotator
) -> np.ndarray:
    """Return the IoU of each instance with each object, (P, G) float64."""
    from pycocotools import mask as rle

    size = objects[0]["size"]
    for one in (*masks, *objects):
        if list(one["size"]) != list(size):
            raise SambenchError(
                f"results: a mask of image {image_id} is of size {list(one['size'])}, in {annotator.path} "
                f"masks are of {list(size)}. Bring masks to the image's own size."
            )
    iou: np.ndarray = rle.iou(masks, objects, [0] * len(objects))
    return iou
