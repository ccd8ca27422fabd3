"""Data without pixels: images, objects, boxes and records drawn from a seed, sixteen images at a time.

An image is drawn when it is asked for, and again when it is asked for again, so that a million of them are
held nowhere. All masks are discs of a few dozen, truly encoded; of each there are near misses.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import msgspec
import numpy as np

from benchmarks.scale_stages import Stages
from sambench.harness.config.datasets import DatasetConfig
from sambench.harness.config.run import RunConfig
from sambench.harness.plan import SHARD_IMAGES, Data
from sambench.harness.provenance import hardware
from sambench.harness.shards import encode_shard
from sambench.harness.work import Evaluated, Message, Opened, Outcome, Task, Work
from sambench.suites.click.suite import CLICKS
from sambench.suites.data.annotations import AnnotationRecord, Annotations, CategoryRecord, ImageRecord
from sambench.suites.data.coco import Entry
from sambench.suites.data.rle import encode_text
from sambench.suites.environment import settings
from sambench.suites.metrics.sizes import size_of
from sambench.suites.registry import suite_class

OBJECTS = 10  # an image
CATEGORIES = 80
HEIGHT, WIDTH = 480, 640
DISCS, NEAR = 64, 4
"""How many there are, and how many masks of each: itself, and near misses."""
SEED = 24


@dataclass(frozen=True)
class Disc:
    """A mask, as it is written."""

    text: str
    box: tuple[float, float, float, float]
    """x, y, width, height."""
    area: int


@functools.cache
def discs() -> list[list[Disc]]:
    """Return all masks there are, each with its near misses."""
    rng, (rows, columns) = np.random.default_rng(SEED), np.ogrid[:HEIGHT, :WIDTH]
    found = []
    for _ in range(DISCS):
        radius = np.exp(rng.uniform(np.log(8), np.log(120)))
        y, x = rng.uniform(radius, [HEIGHT - radius, WIDTH - radius])
        off = [np.zeros(3), *rng.normal(0, 0.1 * radius, (NEAR - 1, 3))]
        masks = [(rows - y - dy) ** 2 + (columns - x - dx) ** 2 <= (radius + dr) ** 2 for dy, dx, dr in off]
        found.append([_disc(mask) for mask in masks])
    return found


def _disc(mask: np.ndarray) -> Disc:
    ys, xs = np.nonzero(mask)
    x, y = float(xs.min()), float(ys.min())
    box = (x, y, float(xs.max()) + 1 - x, float(ys.max()) + 1 - y)
    return Disc(encode_text(mask[None])[0], box, len(xs))


@functools.lru_cache(maxsize=2)
def _block(number: int, size: int) -> tuple[Entry, ...]:
    """Draw the images of a shard."""
    rng, n = np.random.default_rng([SEED, number]), size * OBJECTS
    which = rng.integers(0, DISCS, n).tolist()
    category = rng.geometric(0.05, n).clip(1, CATEGORIES).tolist()
    return tuple(
        _entry(number * SHARD_IMAGES + i, which[i * OBJECTS :], category[i * OBJECTS :]) for i in range(size)
    )


def _entry(i: int, which: Sequence[int], category: Sequence[int]) -> Entry:
    image, name = i + 1, f"{i:012d}.jpg"
    its = [discs()[which[k]][0] for k in range(OBJECTS)]
    annotations = [
        AnnotationRecord(i * OBJECTS + k + 1, image, category[k], d.box, d.area, msgspec.Raw(d.text.encode()))
        for k, d in enumerate(its)
    ]
    record = ImageRecord(image, name, height=HEIGHT, width=WIDTH)
    return Entry(record, Path(name), annotations, categories=_names())


@functools.cache
def _names() -> dict[int, str]:
    return {c: f"category {c}" for c in range(1, CATEGORIES + 1)}


@dataclass(frozen=True)
class Drawn(Sequence[Entry]):
    """So many images, by rising id."""

    images: int

    def __len__(self) -> int:
        return self.images

    @overload
    def __getitem__(self, i: int) -> Entry: ...
    @overload
    def __getitem__(self, i: slice) -> list[Entry]: ...
    def __getitem__(self, i: int | slice) -> Entry | list[Entry]:
        if isinstance(i, slice):
            return [self[k] for k in range(self.images)[i]]
        i = range(self.images)[i]
        first = i // SHARD_IMAGES
        size = min(SHARD_IMAGES, self.images - first * SHARD_IMAGES)
        return _block(first, size)[i - first * SHARD_IMAGES]


@dataclass(frozen=True)
class World:
    """A data set, as a plan opens it, and whoever evaluates it."""

    images: int
    folder: Path
    stages: Stages

    @property
    def entries(self) -> Drawn:
        """Its images."""
        return Drawn(self.images)

    def config(self, suite: str) -> RunConfig:
        """Return a run of one suite."""
        boxes = {"drawn": self.folder / "boxes.json"} if suite_class(suite).needs_detections else {}
        data = DatasetConfig("drawn", self.folder, self.folder / "annotations.json", boxes)
        return RunConfig(
            models=("box",), out=self.folder / "out", suites=(suite,), datasets=(data,), batch_size=1
        )

    def open(self, config: DatasetConfig, run: RunConfig) -> Data:
        """Return the data; their annotations all at once for average precision alone, which needs them."""
        del run
        contents = {"": self._annotations()} if config.detections else {}
        return Data(config, "coco", self.entries, self.images, "drawn", "drawn", contents=contents)

    def _annotations(self) -> Annotations:
        entries = self.entries
        objects = [annotation for entry in entries for annotation in entry.annotations]
        named = [CategoryRecord(c, name) for c, name in _names().items()]
        return Annotations(
            self.folder / "annotations.json", "drawn", [e.record for e in entries], objects, named
        )

    def write_boxes(self) -> None:
        """Write a detector's boxes: those of the objects, less sure of some."""
        with (self.folder / "boxes.json").open("w") as file:
            for n, entry in enumerate(self.entries):
                scores = np.random.default_rng([SEED, 1, n]).random(OBJECTS).round(4).tolist()
                rows = [
                    {"image_id": a.image_id, "category_id": a.category_id, "bbox": a.bbox, "score": s}
                    for a, s in zip(entry.annotations, scores, strict=True)
                ]
                file.write(("," if n else "[") + json.dumps(rows)[1:-1])
            file.write("]")

    def execute(self, given: Work, tasks: Iterable[Task]) -> Iterator[tuple[int, Message]]:
        """Do what a worker does, by a segmenter that takes no time: it draws its records."""
        yield 0, Opened(hardware(given.model.device), settings())
        for task in tasks:
            files = {}
            for i in task.suites:
                spec = given.suites[i]
                with self.stages("draw"):
                    rows = ROWS[spec.name](task)
                with self.stages("encode"):
                    schema = suite_class(spec.name).schema
                    files[i] = encode_shard(rows, {}, schema, spec.labels, ids=spec.ids)
            n = len(task.entries)
            yield 0, Evaluated(n)
            yield 0, Outcome(task.shard, n, files, {}, {}, {i: {} for i in task.suites})


def _objects(task: Task) -> Iterator[tuple[dict[str, Any], AnnotationRecord]]:
    for entry in task.entries:
        for a in entry.annotations:
            named = {"image_id": a.image_id, "file_name": entry.record.file_name, "ann_id": a.id}
            kind = {"category_id": a.category_id, "category": entry.categories[a.category_id]}
            size = {"area": a.area, "size": size_of(a.area), "mask_area": int(a.area), "iscrowd": False}
            yield named | kind | size, a


def _of_box(task: Task) -> list[dict[str, Any]]:
    rng = np.random.default_rng([SEED, 2, task.shard])
    rows = []
    for row, a in _objects(task):
        iou, near, own = rng.beta(8, 2, 3).tolist()
        x, y, w, h = a.bbox
        answer = {"iou": iou, "boundary_iou": near, "pred_iou": own, "choice": 0}
        prompt = {"box": [x, y, x + w, y + h], "points": None, "labels": None}
        rows.append(row | prompt | {"segmentation": bytes(a.segmentation).decode()} | answer)
    return rows


def _of_clicks(task: Task) -> list[dict[str, Any]]:
    rng = np.random.default_rng([SEED, 3, task.shard])
    rows = []
    for row, a in _objects(task):
        iou, near, own = np.sort(rng.beta(8, 2, (3, CLICKS)), axis=1).tolist()
        answer = {"iou": iou, "boundary_iou": near, "pred_iou": own, "choice": [0] * CLICKS}
        clicks = {"points": rng.integers(0, HEIGHT, (CLICKS, 2)).tolist(), "labels": [1] * CLICKS}
        rows.append(row | clicks | {"segmentation": [bytes(a.segmentation).decode()] * CLICKS} | answer)
    return rows


def _of_detections(task: Task) -> list[dict[str, Any]]:
    rng = np.random.default_rng([SEED, 4, task.shard])
    near_misses = {disc[0].text: disc for disc in discs()}
    rows = []
    for entry in task.entries:
        for a in entry.annotations:
            masks = near_misses[bytes(a.segmentation).decode()]
            named = {"image_id": a.image_id, "file_name": entry.record.file_name}
            kind = {"category_id": a.category_id, "category": entry.categories[a.category_id]}
            given = {"score": float(rng.random()), "bbox": list(a.bbox)}
            answer = {"segmentation": masks[rng.integers(NEAR)].text, "pred_iou": 0.9, "choice": 0}
            rows.append(named | kind | given | answer)
    return rows


ROWS = {"gt_box": _of_box, "click": _of_clicks, "det_box": _of_detections}
"""Suite to what it records of a shard."""
