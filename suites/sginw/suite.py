"""Segmentation in the Wild (SGinW): 25 small data sets, a detector's boxes, one mean (paper, section 4.4).

The benchmark of X-Decoder (github.com/microsoft/X-Decoder, branch seginw), as the Grounded-SAM script of
SAM-HQ runs it (``seginw/test_ap_on_seginw.py``): the single mask of each box, ranked by the box's score,
COCO's AP on each ``valid`` split, and the unweighted mean over the data sets.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import ClassVar, Literal, Self

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from sambench.adapters.base import Capabilities, Embedding, Segmenter
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Record, Setting, Stopwatch, Suite
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.detections import Detections
from sambench.suites.data.sample import Sample
from sambench.suites.det_box import SCHEMA, average_precision, check_detections, masks_of_boxes
from sambench.suites.files import write_atomic
from sambench.suites.metrics.scores import Metric, Scores
from sambench.suites.protocol import Protocol
from sambench.suites.sginw.registry import registry

ANNOTATIONS = "_annotations_min1cat.coco.json"
SPLIT = "valid"

STRIDE = 10_000_000
"""An image's id here is its own plus this times its data set's place in the registry, so ids are unique."""


class SginwData:
    """Those of the 25 data sets that are there, as one (see `suites.data.coco.CocoDataset`).

    Args:
        root: the folder ``seginw``, with ``<data set>/valid/*.jpg`` and its annotation file.

    Attributes:
        parts: name to data set, in the official order.
        missing: names of those that are not there.
        entries: all their images, under ids that are unique.

    Raises:
        SambenchError: none is there, one is damaged, or has other categories than the registry.
    """

    style: Literal["coco"] = "coco"

    def __init__(self, root: Path) -> None:
        self.annotations = root
        self.parts: dict[str, CocoDataset] = {}
        for name, categories in registry().items():
            folder = root / name / SPLIT
            if folder.is_dir():
                self.parts[name] = CocoDataset(folder, folder / ANNOTATIONS)
                _check_categories(self.parts[name], categories)
        self.missing = [name for name in registry() if name not in self.parts]
        if not self.parts:
            raise SambenchError(
                f"{root}: has none of the 25 data sets, such as {self.missing[0]}/{SPLIT}. Give the folder "
                "'seginw' of the release with --images."
            )
        self.entries = [
            replace(entry, record=msgspec.structs.replace(entry.record, id=_global(name, entry.record.id)))
            for name, part in self.parts.items()
            for entry in part.entries
        ]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def annotations_sha256(self) -> str:
        """Over the names and annotation files of the parts."""
        lines = "".join(f"{name} {part.annotations_sha256}\n" for name, part in self.parts.items())
        return hashlib.sha256(lines.encode()).hexdigest()

    def check_files(self, entries: Sequence[Entry]) -> None:
        """See that each entry has its image file (see `CocoDataset.check_files`)."""
        next(iter(self.parts.values())).check_files(entries)


def _check_categories(data: CocoDataset, categories: list[str]) -> None:
    if [data.categories.get(i) for i in range(len(categories))] != categories:
        raise SambenchError(
            f"{data.annotations}: its categories are {data.categories}, in the registry {categories}. "
            f"Is it {ANNOTATIONS} of the release, with Roboflow's placeholder category removed?"
        )


def _global(name: str, image_id: int) -> int:
    return list(registry()).index(name) * STRIDE + image_id


def _split(image_id: int) -> tuple[str, int]:
    """Return the data set of an image, and its own id there."""
    place, own = divmod(image_id, STRIDE)
    return list(registry())[place], own


@dataclass(frozen=True)
class Sginw(Suite):
    """One box a prompt, one mask a box; metrics ``ap`` (the mean), ``ap_median``, and ``ap_<data set>``.

    The mean is of all 25, so it is not there where one is missing; ``ap_of_those_there`` is.
    """

    setting: Setting
    detections: dict[str, Detections]

    needs_detections: ClassVar[bool] = True
    title: ClassVar[str] = "Segmentation in the Wild, AP"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("ap", "Mean of 25", brief=True),
        Metric("ap_median", "Median", brief=True),
        Metric("ap_of_those_there", "Mean of those there", brief=True),
        *(Metric(f"ap_{name}", name) for name in registry()),
    )

    @classmethod
    def check(cls, setting: Setting) -> None:
        """See that each data set has a detector's boxes, and that AP can be computed."""
        suite = cls.on(setting)
        for name, detections in suite.detections.items():
            check_detections(suite._part(name), detections)

    @classmethod
    def on(cls, setting: Setting) -> Self:
        """Read the detections of each data set: ``seginw_<data set>_val.json`` in a folder.

        Raises:
            SambenchError: one is not there or is damaged.
        """
        assert setting.detections is not None
        names = dict.fromkeys(_split(i)[0] for i in setting.image_ids)
        found = {name: Detections(_detection_file(setting.detections, name)) for name in names}
        return cls("sginw", SCHEMA, setting, found)

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
        """Prompt with all boxes of the image; a record a box."""
        name, own = _split(sample.image_id)
        found = self.detections[name].of(own)
        return masks_of_boxes(segmenter, embedding, sample, found, protocol, watch)

    def score(self, records: pa.Table, protocol: Protocol) -> Scores:
        """Compute AP on each data set, and their mean and median."""
        each: dict[str, float | None] = dict.fromkeys(registry())
        intervals: dict[str, list[float]] = {}
        counts = {}
        for name in self.detections:
            setting = self._part(name)
            metrics, spread = average_precision(_own(records, name), setting, protocol)
            each[name] = metrics["ap"]
            if "ap" in spread:
                intervals[f"ap_{name}"] = spread["ap"]
            counts[f"images_{name}"] = len(setting.image_ids)
        there = [ap for ap in each.values() if ap is not None]
        whole = len(there) == len(each)
        overall = {
            "ap": fmean(there) if whole else None,
            "ap_median": median(there) if whole else None,
            "ap_of_those_there": fmean(there) if there else None,
        }
        return Scores(
            overall | {f"ap_{name}": ap for name, ap in each.items()},
            intervals,
            {"data_sets": len(there)} | counts,
        )

    def export(self, records: pa.Table, folder: Path) -> None:
        """Write ``submission.zip``, one result file a data set in the naming of the official scorer."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in self.detections:
                rows = _own(records, name).select(["image_id", "category_id", "segmentation", "score"])
                results = [
                    row | {"segmentation": json.loads(row["segmentation"])} for row in rows.to_pylist()
                ]
                entry = zipfile.ZipInfo(f"seginw_{name}_val.json")  # without a date: same records, same bytes
                archive.writestr(entry, json.dumps(results), zipfile.ZIP_DEFLATED)
        write_atomic(folder / "submission.zip", buffer.getvalue())

    def _part(self, name: str) -> Setting:
        """The setting of one data set."""
        ids = tuple(own for part, own in map(_split, self.setting.image_ids) if part == name)
        annotations = self.setting.annotations / name / SPLIT / ANNOTATIONS
        return replace(self.setting, annotations=annotations, image_ids=ids)


def _own(records: pa.Table, name: str) -> pa.Table:
    """Return the records of one data set, under the images' own ids."""
    first = _global(name, 0)
    ids = records["image_id"]
    mine = records.filter(pc.and_(pc.greater_equal(ids, first), pc.less(ids, first + STRIDE)))
    return mine.set_column(0, "image_id", pc.subtract(mine["image_id"], first))


def _detection_file(folder: Path, name: str) -> Path:
    """Find a data set's detections, under the scorer's name or that of SAM-HQ's script."""
    for file in (folder / f"seginw_{name}_val.json", folder / f"seginw-{name}_val.json"):
        if file.is_file():
            return file
    raise SambenchError(
        f"{folder}: no detections of {name}. Put a detector's boxes there as seginw_{name}_val.json."
    )
