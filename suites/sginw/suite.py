"""Segmentation in the Wild (SGinW): 25 small data sets, a detector's boxes, one mean (paper, section 4.4).

The benchmark of X-Decoder (github.com/microsoft/X-Decoder, branch seginw), as the Grounded-SAM script of
SAM-HQ runs it (``seginw/test_ap_on_seginw.py``): the single mask of each box, ranked by the box's score,
COCO's AP on each ``valid`` split, and the unweighted mean over the data sets.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc

from sambench.adapters.files import write_atomic
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Setting
from sambench.suites.data.detections import Detections, ImageDetections
from sambench.suites.det_box import DetectedSuite, average_precision, check_detections
from sambench.suites.protocol import Protocol
from sambench.suites.scoring.scores import Metric, Scores
from sambench.suites.sginw.data import ANNOTATIONS, SPLIT, STRIDE, global_id, split_id
from sambench.suites.sginw.registry import registry


@dataclass(frozen=True)
class Sginw(DetectedSuite):
    """One box a prompt, one mask a box; metrics ``ap`` (the mean), ``ap_median``, and ``ap_<data set>``.

    The mean is of all 25, so it is not there where one is missing; ``ap_of_those_there`` is.
    """

    detections: dict[str, Detections]

    name: ClassVar[str] = "sginw"
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
        names = dict.fromkeys(split_id(i)[0] for i in setting.image_ids)
        found = {name: Detections(_detection_file(setting.detections, name)) for name in names}
        return cls(setting, found)

    def found(self, image_id: int) -> ImageDetections:
        """Look the image up in its own data set."""
        name, own = split_id(image_id)
        return self.detections[name].of(own)

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
        """Write ``_submission.zip``, one result file a data set in the naming of the official scorer.

        Its own name begins so for those who open the folder as one table, and skip such files.
        """
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in self.detections:
                rows = _own(records, name).select(["image_id", "category_id", "segmentation", "score"])
                results = [
                    row | {"segmentation": json.loads(row["segmentation"])} for row in rows.to_pylist()
                ]
                entry = zipfile.ZipInfo(f"seginw_{name}_val.json")  # without a date: same records, same bytes
                archive.writestr(entry, json.dumps(results), zipfile.ZIP_DEFLATED)
        write_atomic(folder / "_submission.zip", buffer.getvalue())

    def _part(self, name: str) -> Setting:
        """The setting of one data set."""
        ids = tuple(own for part, own in map(split_id, self.setting.image_ids) if part == name)
        annotations = self.setting.annotations / name / SPLIT / ANNOTATIONS
        return replace(self.setting, annotations=annotations, image_ids=ids)


def _own(records: pa.Table, name: str) -> pa.Table:
    """Return the records of one data set, under the images' own ids."""
    first = global_id(name, 0)
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
