"""Segmentation in the Wild (SGinW): 25 small data sets, a detector's boxes, one mean (paper, section 4.4).

The benchmark of X-Decoder (github.com/microsoft/X-Decoder, branch seginw), as the Grounded-SAM script of
SAM-HQ runs it (``seginw/test_ap_on_seginw.py``): the single mask of each box, ranked by the box's score,
COCO's AP on each ``valid`` split, and the unweighted mean over the data sets.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, median
from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc

from sambench.adapters.files import refuse_changed, write_atomic
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Setting
from sambench.suites.data.detections import Detections, ImageDetections, detections_sha256
from sambench.suites.det_box import DetectedSuite, average_precision, changes, with_doubts
from sambench.suites.protocol import Protocol
from sambench.suites.records import Records, Shard
from sambench.suites.scoring.detector import check_detections, doubts, unusual_scores
from sambench.suites.scoring.ground_truth import GroundTruth, read_whole
from sambench.suites.scoring.matches import Matches
from sambench.suites.scoring.scores import Metric, Scores
from sambench.suites.scoring.sets import Sets
from sambench.suites.sginw.data import STRIDE, annotation_file, combined_sha256, global_id, split_id
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
    def detections_sha256(cls, setting: Setting) -> str:
        """Hash the files of the data sets that are evaluated, and no other that lies beside them."""
        files = _detection_files(setting)
        return combined_sha256({name: detections_sha256(file) for name, file in files.items()})

    @classmethod
    def on(cls, setting: Setting) -> Self:
        """Read the detections of each data set: ``seginw_<data set>_val.json`` in a folder.

        Raises:
            SambenchError: one is not there, is damaged, or is another than was planned with.
        """
        found = {name: Detections(file) for name, file in _detection_files(setting).items()}
        assert setting.detections is not None
        read = combined_sha256({name: detections.sha256 for name, detections in found.items()})
        refuse_changed(setting.detections, read, setting.detections_sha256)
        return cls(setting, found)

    def check(self) -> Sequence[str]:
        """See that each data set has a detector's boxes, and that AP can be computed."""
        for name, detections in self.detections.items():
            check_detections(self.truths[name], detections, self.setting.evaluator)
        scores = map(unusual_scores, self.detections.values())
        return [*self.doubts, *filter(None, scores)]

    @cached_property
    def doubts(self) -> list[str]:
        """What may be wrong with the boxes of each data set as a whole (see `scoring.detector.doubts`)."""
        return [
            doubt for name, found in self.detections.items() for doubt in doubts(self.truths[name], found)
        ]

    @cached_property
    def truths(self) -> dict[str, GroundTruth]:
        """The annotations of each data set that is evaluated, read the first time.

        Raises:
            SambenchError: one cannot be scored against, or is another than was planned with.
        """
        ids: dict[str, list[int]] = {name: [] for name in self.detections}
        for name, own in map(split_id, self.setting.image_ids):
            ids[name].append(own)
        given = self.setting
        contents = {
            name: given.contents.get(name) or read_whole(annotation_file(given.annotations, name))
            for name in ids
        }
        read = combined_sha256({name: content.sha256 for name, content in contents.items()})
        refuse_changed(given.annotations, read, given.annotations_sha256)
        return {
            name: GroundTruth(contents[name], style=given.style, image_ids=own, ids="from_one")
            for name, own in ids.items()
        }

    def found(self, image_id: int) -> ImageDetections:
        """Look the image up in its own data set."""
        name, own = split_id(image_id)
        return self.detections[name].of(own)

    def score_all(self, records: Records, protocol: Protocol) -> Scores:
        """Compute AP on each data set, and their mean and median."""
        own = _by_set(records, self.truths)
        each: dict[str, float | None] = dict.fromkeys(registry())
        counts, evaluators, notes, parts = {}, set(), [], {}
        for name, truth in self.truths.items():
            scores = average_precision(own[name], truth, protocol, self.setting.evaluator)
            each[name] = scores.metrics["ap"]
            counts[f"images_{name}"] = len(truth.sizes)
            evaluators.add(scores.evaluator)
            notes += [scores.note] if scores.note else []
            if each[name] is not None and isinstance(scores.evidence, Matches):
                parts[name] = scores.evidence.only("ap").numbered_from(global_id(name, 0))
        there = [ap for ap in each.values() if ap is not None]
        whole = len(there) == len(each)
        overall = {
            "ap": fmean(there) if whole else None,
            "ap_median": median(there) if whole else None,
            "ap_of_those_there": fmean(there) if there else None,
        }
        evidence = Sets(parts, len(each)) if parts else None
        return Scores(
            overall | {f"ap_{name}": ap for name, ap in each.items()},
            evidence.intervals() if evidence else {},
            {"data_sets": len(there)} | counts | self._changes(),
            ", ".join(sorted(filter(None, evaluators))),
            with_doubts(" ".join(notes), self.doubts, self.detections.values(), protocol),
            evidence,
        )

    def _changes(self) -> dict[str, int]:
        """Count what was changed to read the detections of all data sets."""
        total: Counter[str] = Counter()
        for found in self.detections.values():
            total.update(changes(found))
        return dict(total)

    def export(self, records: Records, folder: Path) -> None:
        """Write ``_submission.zip``, one result file a data set in the naming of the official scorer.

        Its own name begins so for those who open the folder as one table, and skip such files.
        """
        buffer, own = io.BytesIO(), _by_set(records, self.detections)
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in self.detections:
                rows = own[name].table(("image_id", "category_id", "segmentation", "score"))
                results = [
                    row | {"segmentation": json.loads(row["segmentation"])} for row in rows.to_pylist()
                ]
                entry = zipfile.ZipInfo(f"seginw_{name}_val.json")  # without a date: same records, same bytes
                archive.writestr(entry, json.dumps(results), zipfile.ZIP_DEFLATED)
        write_atomic(folder / "_submission.zip", buffer.getvalue())


def _by_set(records: Records, names: Iterable[str]) -> dict[str, Records]:
    """Return the records of each of some data sets, under images' own ids: of the shards that have some."""
    shards: dict[str, list[Shard]] = {name: [] for name in names}
    for shard, table in zip(records.shards, records.each(["image_id"]), strict=True):
        for name in dict.fromkeys(split_id(i)[0] for i in table["image_id"].unique().to_pylist()):
            shards[name].append(shard)
    return {
        name: Records([functools.partial(_own, shard, name) for shard in its], records.columns)
        for name, its in ((name, its or records.shards[:1]) for name, its in shards.items())
    }


def _own(shard: Shard, name: str, columns: Sequence[str]) -> pa.Table:
    """Read the records of one data set, under the images' own ids; their columns begin with those."""
    first, table = global_id(name, 0), shard(columns)
    ids = table["image_id"]
    mine = table.filter(pc.and_(pc.greater_equal(ids, first), pc.less(ids, first + STRIDE)))
    place = mine.column_names.index("image_id")
    return mine.set_column(place, "image_id", pc.subtract(mine["image_id"], first))


def _detection_files(setting: Setting) -> dict[str, Path]:
    """Find the detections of each data set that is evaluated, by rising id of their images."""
    assert setting.detections is not None
    names = dict.fromkeys(split_id(i)[0] for i in sorted(setting.image_ids))
    return {name: _detection_file(setting.detections, name) for name in names}


def _detection_file(folder: Path, name: str) -> Path:
    """Find a data set's detections, under the scorer's name or that of SAM-HQ's script."""
    for file in (folder / f"seginw_{name}_val.json", folder / f"seginw-{name}_val.json"):
        if file.is_file():
            return file
    raise SambenchError(
        f"{folder}: no detections of {name}. Put a detector's boxes there as seginw_{name}_val.json."
    )
