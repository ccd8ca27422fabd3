"""What a suite is: one way of prompting a segmenter and of scoring what comes back."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from sambench.adapters.devices import wait_for
from sambench.suites.data.annotations import Annotations
from sambench.suites.data.ids import Known
from sambench.suites.data.reading import BoxUse
from sambench.suites.metrics.sizes import size_of
from sambench.suites.protocol import Protocol
from sambench.suites.records import Records
from sambench.suites.scoring.average_precision import Evaluator
from sambench.suites.scoring.ground_truth import Style
from sambench.suites.scoring.means import objects_by_size, scores_of
from sambench.suites.scoring.objects import Objects
from sambench.suites.scoring.scores import About, Metric, Scores

if TYPE_CHECKING:
    import torch

    from sambench.adapters.base import Capabilities, Embedding, Segmenter
    from sambench.suites.data.sample import Sample, Target

Record = dict[str, Any]
"""One row of a suite's table."""

IMAGE_COLUMNS = [
    pa.field("image_id", pa.int64(), nullable=False),
    pa.field("file_name", pa.string(), nullable=False),
]
"""What the records of every suite say of the image."""

INSTANCE_COLUMNS = [
    *IMAGE_COLUMNS,
    pa.field("ann_id", pa.int64(), nullable=False),
    pa.field("category_id", pa.int64(), nullable=False),
    pa.field("category", pa.string()),
    pa.field("area", pa.float64(), nullable=False),
    pa.field("size", pa.string(), nullable=False),
    pa.field("mask_area", pa.int64(), nullable=False),
    pa.field("iscrowd", pa.bool_(), nullable=False),
]
"""What the records of every suite say of an annotated object: docs/records.md has each in words."""

SCORED = ("image_id", "ann_id", "category_id", "area", "mask_area")
"""Those of these that `objects_of` reads."""


class Stopwatch:
    """Seconds by stage. Waits for the device, so that a stage is charged what it started."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str, device: torch.device | None = None) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if device is not None:
            wait_for(device)
        self.seconds[stage] += time.perf_counter() - start


@dataclass(frozen=True)
class Setting:
    """The data that a suite works on, as far as it must know them before the first image."""

    annotations: Path
    image_ids: tuple[int, ...]
    """The images to evaluate."""
    detections: Path | None = None
    """A detector's result file, where the suite prompts with its boxes."""
    style: Style = "coco"
    """Whose rules average precision follows."""
    evaluator: Evaluator = "hotcoco"
    """Which library computes it."""
    annotations_sha256: str | None = None
    """Of the annotations that the run was planned with; others are refused."""
    contents: Mapping[str, Annotations] = field(default_factory=dict, compare=False)
    """What the annotation files say, as a run reads them: by the name of the data set where one is several,
    else by "". It stays where it was read: a worker, which scores nothing, goes without."""
    annotators: tuple[Path, ...] = ()
    """Further annotations of the same pairs of image and phrase (`suites.data.pairs`), ..."""
    pairs: bool = False
    """... where the data are such."""
    known: Known | None = None
    """By what detections are matched with images and categories; ``None`` where by whole numbers alone."""
    detections_sha256: str | None = None
    """Of the detections, as `Suite.detections_sha256` gives it; others are refused."""

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"contents": {}}


@dataclass(frozen=True)
class Suite(ABC):
    """A benchmark: prompts, records and metrics."""

    name: ClassVar[str]
    """As configurations say it."""
    schema: ClassVar[pa.Schema]
    """Of its records."""
    needs_detections: ClassVar[bool] = False
    """Whether it prompts with a detector's boxes."""
    needs_categories: ClassVar[bool] = False
    """Whether it asks for categories by their names."""
    boxes: ClassVar[BoxUse] = "prompts"
    """What it uses annotated boxes for; as prompts they have to be those of the masks."""
    record_axes: ClassVar[tuple[str, ...]] = tuple(f.name for f in fields(Protocol) if f.name != "preset")
    """The axes of a protocol that `evaluate` and `left_out` read; the others are choices of scoring, and
    presets that differ in them alone share their records."""
    scored: ClassVar[tuple[str, ...]] = ()
    """Columns of the records that `score` and `export` read, where masks need not be held; else all."""
    title: ClassVar[str]
    """Of its tables."""
    metrics: ClassVar[tuple[Metric, ...]]
    """All that `score` can return, in the order of tables."""

    @classmethod
    def about(cls) -> About:
        """Return what results say of the suite."""
        return About(cls.title, cls.metrics)

    @classmethod
    def recorded(cls, protocol: Protocol) -> Protocol:
        """Return what of a protocol decides records: axes that do not are as by default."""
        return Protocol("recorded", **{axis: getattr(protocol, axis) for axis in cls.record_axes})

    @classmethod
    def detections_sha256(cls, setting: Setting) -> str | None:
        """Return a digest over the detections that the suite would read; ``None`` where it reads none."""
        del setting
        return None

    @classmethod
    def on(cls, setting: Setting) -> Self:
        """Return the suite for some data; annotation files stay unread until `check` or `score`."""
        del setting
        return cls()

    def check(self) -> Sequence[str]:
        """See, before anything is computed, that the data can be scored; most suites take any.

        Returns:
            What users should know before they wait for numbers, a sentence each.

        Raises:
            SambenchError: they cannot be scored.
        """
        return ()

    @abstractmethod
    def refusal(self, capabilities: Capabilities, protocol: Protocol) -> str | None:
        """Say why a model cannot take part, or return ``None``."""

    @abstractmethod
    def evaluate(
        self,
        segmenter: Segmenter,
        embedding: Embedding,
        sample: Sample,
        protocol: Protocol,
        watch: Stopwatch,
    ) -> list[Record]:
        """Prompt a segmenter for the objects of one image, and record what scoring needs."""

    @abstractmethod
    def score(self, records: pa.Table, protocol: Protocol) -> Scores:
        """Compute metrics (those declared), intervals, counts and evidence of all records of a cell."""

    def score_all(self, records: Records, protocol: Protocol) -> Scores:
        """Do what `score` does, of records that need not be held all at once; a run calls this.

        A suite whose records are many, or long, reads them here one shard after the other.
        """
        return self.score(records.table(self.scored), protocol)

    def export(self, records: Records, folder: Path) -> None:
        """Write what else a finished cell's records are good for, such as a submission."""
        del records, folder

    def left_out(self, sample: Sample, protocol: Protocol) -> list[str]:
        """Return why parts of an image are not scored, for the counts of the result."""
        del protocol
        return list(sample.unscored)


class InstanceSuite(Suite):
    """A suite that scores each annotated object once."""

    def left_out(self, sample: Sample, protocol: Protocol) -> list[str]:
        """Return why objects of an image are not scored, one reason an object."""
        reasons = (left_out(target, protocol) for target in sample.targets)
        return [*sample.unscored, *(reason for reason in reasons if reason)]


class MeansSuite(InstanceSuite):
    """A suite whose numbers are means over objects: a shard's are put behind those of the one before."""

    @abstractmethod
    def scored_objects(self, records: pa.Table, protocol: Protocol) -> Objects:
        """Return what records give to the means; the groups of objects begin with the sizes."""

    def score(self, records: pa.Table, protocol: Protocol) -> Scores:
        """Average over objects."""
        return scores_of(self.scored_objects(records, protocol))

    def score_all(self, records: Records, protocol: Protocol) -> Scores:
        """Average over objects of which a few numbers each are all that is held.

        A suite with a `score` of its own has all records at once.
        """
        if type(self).score is not MeansSuite.score:
            return super().score_all(records, protocol)
        parts = (self.scored_objects(table, protocol) for table in records.each(self.scored))
        return scores_of(Objects.together(parts))


def kept(targets: tuple[Target, ...], protocol: Protocol) -> list[Target]:
    """Return the objects that a protocol scores."""
    return [t for t in targets if left_out(t, protocol) is None]


def left_out(target: Target, protocol: Protocol) -> str | None:
    """Say why a protocol does not score an object (a key of `CellResult.counts`), or return ``None``."""
    if target.iscrowd and protocol.crowd == "drop":
        return "crowd_dropped"
    if protocol.leave_out == "area_below_1":
        return "area_below_1_dropped" if target.area < 1 else None
    return "empty_dropped" if target.mask.area == 0 else None


def objects_of(
    iou: Mapping[str, np.ndarray],
    records: pa.Table,
    protocol: Protocol,
    *,
    others: Mapping[str, np.ndarray] | None = None,
    scales: Mapping[str, float] | None = None,
) -> Objects:
    """Return what is averaged over the objects that n records describe.

    Args:
        iou: IoUs (n,) by metric name, averaged over objects, over those of each size, images and categories.
        records: with the columns `SCORED`.
        protocol: says what decides a size.
        others: averaged over objects alone, (n,) each.
        scales: what the mean of some is multiplied by, where that is not 100.
    """
    image_id, ann_id, category_id = (
        records[name].to_numpy() for name in ("image_id", "ann_id", "category_id")
    )
    area = records[area_column(protocol)].to_numpy()
    return objects_by_size(
        iou,
        image_id,
        area,
        protocol,
        ann_id=ann_id,
        category_id=category_id,
        others=others,
        scales=scales,
    )


def area_column(protocol: Protocol) -> str:
    """Name the column of the records that decides an object's size."""
    return "area" if protocol.area_source == "ann" else "mask_area"


def describe_image(sample: Sample) -> Record:
    """Fill the columns that all tables share."""
    return {"image_id": sample.image_id, "file_name": sample.file_name}


def describe(sample: Sample, target: Target) -> Record:
    """Fill the columns that all instance tables share, for an object of an image."""
    return describe_image(sample) | {
        "ann_id": target.ann_id,
        "category_id": target.category_id,
        "category": sample.categories.get(target.category_id),
        "area": target.area,
        "size": size_of(target.area),
        "mask_area": target.mask.area,
        "iscrowd": target.iscrowd,
    }
