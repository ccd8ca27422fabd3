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
from sambench.suites.metrics.concepts import CONFIDENT, THRESHOLDS, Pairs, matched, most_favourable, summed
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
        self.found = np.zeros(len(truth.image), np.int64)
        shape = (len(truth.image), len(THRESHOLDS))
        self.hits = [np.zeros(shape, np.int64) for _ in truth.annotators]
        self.done = np.zeros(len(truth.image_ids), bool)

    def add(self, table: pa.Table) -> None:
        """Take the records of some images."""
        kind = np.array(table["kind"].to_pylist())
        ids = table["image_id"].to_numpy()
        self._finish(ids[kind == "image"])
        score = table["score"].to_numpy()
        confident = np.flatnonzero((kind == "instance") & (score >= CONFIDENT))
        order = confident[np.argsort(-score[confident], kind="stable")]
        rows = table.select(["image_id", "category_id", "segmentation"]).take(order).to_pylist()
        instances: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            place = self.truth.place.get((row["image_id"], row["category_id"]))
            if place is not None:
                instances[place].append(msgspec.json.decode(row["segmentation"]))
        for place, masks in instances.items():
            self._match(place, masks)

    def _finish(self, ids: np.ndarray) -> None:
        known = self.truth.image_ids
        places = np.searchsorted(known, ids)
        inside = places < len(known)
        places, ids = places[inside], ids[inside]
        self.done[places[known[places] == ids]] = True

    def _match(self, place: int, masks: list[dict[str, Any]]) -> None:
        self.found[place] = len(masks)
        if not self.truth.scored[place]:
            return
        image_id = int(self.truth.image_ids[self.truth.image[place]])
        size = self.truth.sizes.get(image_id)
        for hits, annotator in zip(self.hits, self.truth.annotators, strict=True):
            objects = annotator.masks(place, size)
            if objects:
                hits[place] = matched(_iou(masks, objects, image_id, annotator))

    def evidence(self) -> Concepts:
        """Add up the pairs that are scored, of the images that are there."""
        truth = self.truth
        rows = np.flatnonzero(truth.scored & self.done[truth.image])
        annotators = [
            Pairs(truth.counted(one), self.found, hits).only(rows)
            for one, hits in zip(truth.annotators, self.hits, strict=True)
        ]
        place = np.cumsum(self.done) - 1
        return Concepts(
            truth.image_ids[self.done],
            summed(most_favourable(annotators), place[truth.image[rows]], int(self.done.sum())),
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
