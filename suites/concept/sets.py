"""Concepts on Segmentation in the Wild: the names of each of its 25 data sets, and the mean of their AP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sambench.suites.concept.suite import Concept, precision
from sambench.suites.protocol import Protocol
from sambench.suites.records import Records
from sambench.suites.scoring.average_precision import used_evaluator
from sambench.suites.scoring.ground_truth import GroundTruth
from sambench.suites.scoring.scores import Scores
from sambench.suites.sginw.data import split_id
from sambench.suites.sginw.means import means_over_sets, truths_of, write_submission


@dataclass(frozen=True)
class ConceptOnSets(Concept):
    """Metrics ``ap`` (the mean of 25), ``ap_median``, ``ap_of_those_there``, and ``ap_<data set>``."""

    @cached_property
    def truths(self) -> dict[str, GroundTruth]:
        """The annotations of each data set that is evaluated (see `means.truths_of`)."""
        names = dict.fromkeys(split_id(i)[0] for i in sorted(self.setting.image_ids))
        return truths_of(self.setting, names)

    def check(self) -> Sequence[str]:
        """See that AP can be computed."""
        for truth in self.truths.values():
            used_evaluator(truth, self.setting.evaluator)
        return ()

    def score_all(self, records: Records, protocol: Protocol) -> Scores:
        """Compute AP on each data set, and their mean and median."""
        return means_over_sets(
            records, self.truths, lambda own, truth: precision(own, truth, protocol, self.setting)
        )

    def export(self, records: Records, folder: Path) -> None:
        """Write ``_submission.zip`` as the suite ``sginw`` does."""
        write_submission(records, self.truths, folder)
