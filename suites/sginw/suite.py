"""Segmentation in the Wild (SGinW): 25 small data sets, a detector's boxes, one mean (paper, section 4.4).

The benchmark of X-Decoder (github.com/microsoft/X-Decoder, branch seginw), as the Grounded-SAM script of
SAM-HQ runs it (``seginw/test_ap_on_seginw.py``): the single mask of each box, ranked by the box's score,
COCO's AP on each ``valid`` split, and the unweighted mean over the data sets.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

from sambench.adapters.files import refuse_changed
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Setting
from sambench.suites.data.detections import Detections, ImageDetections, detections_sha256
from sambench.suites.data.fingerprints import combined_sha256
from sambench.suites.det_box import DetectedSuite, average_precision, changes, with_doubts
from sambench.suites.protocol import Protocol
from sambench.suites.records import Records
from sambench.suites.scoring.detector import check_detections, doubts, unusual_scores
from sambench.suites.scoring.ground_truth import GroundTruth
from sambench.suites.scoring.scores import Metric, Scores
from sambench.suites.sginw.data import split_id
from sambench.suites.sginw.means import means_over_sets, truths_of, write_submission
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
        return truths_of(self.setting, self.detections)

    def found(self, image_id: int) -> ImageDetections:
        """Look the image up in its own data set."""
        name, own = split_id(image_id)
        return self.detections[name].of(own)

    def score_all(self, records: Records, protocol: Protocol) -> Scores:
        """Compute AP on each data set, and their mean and median."""
        scores = means_over_sets(
            records,
            self.truths,
            lambda own, truth: average_precision(own, truth, protocol, self.setting.evaluator),
        )
        note = with_doubts(scores.note, self.doubts, self.detections.values(), protocol)
        return dataclasses.replace(scores, counts=scores.counts | self._changes(), note=note)

    def _changes(self) -> dict[str, int]:
        """Count what was changed to read the detections of all data sets."""
        total: Counter[str] = Counter()
        for found in self.detections.values():
            total.update(changes(found))
        return dict(total)

    def export(self, records: Records, folder: Path) -> None:
        """Write ``_submission.zip`` (see `means.write_submission`)."""
        write_submission(records, self.detections, folder)


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
