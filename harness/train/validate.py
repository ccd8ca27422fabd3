"""Scoring a model on the way, by the very suites that score it afterwards."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from torch import Tensor

from sambench.evsam.errors import SambenchError
from sambench.harness.train.config import Training, Validation
from sambench.harness.train.scored import as_segmenter
from sambench.harness.train.sources import open_source
from sambench.suites.base import Stopwatch, Suite
from sambench.suites.click.suite import Click
from sambench.suites.gt_box import GtBox
from sambench.suites.protocol import Protocol

METRICS = {"box": ("gt_box", "miou"), **{f"click_{k}": ("click", f"miou_{k}") for k in (1, 3, 5)}}
"""Of `gt_box` and `click`, in percent, by the protocol ``strict``."""


class Validator:
    """The suites on the validation's images.

    Args:
        config: of the training, which has a validation.
        validation: that one.
    """

    def __init__(self, config: Training, validation: Validation) -> None:
        self.config, self.validation = config, validation
        self.source = open_source(validation.data)

    def __call__(self, state: Mapping[str, Tensor], step: int) -> dict[str, float]:
        """Score weights after so many steps: metrics by name, the deciding one first.

        Raises:
            SambenchError: an image of the validation is damaged, or none has an object.
        """
        segmenter = as_segmenter(self.config, state)
        suites: dict[str, Suite] = {"gt_box": GtBox(), "click": Click()}
        protocol = Protocol()
        records: dict[str, list[dict[str, object]]] = {name: [] for name in suites}
        for index in range(len(self.source)):
            sample = self.source.load(index).for_suites()
            (embedding,) = segmenter.encode([sample.image])
            for name, suite in suites.items():
                records[name] += suite.evaluate(segmenter, embedding, sample, protocol, Stopwatch())
        found = {
            name: suite.score(pa.Table.from_pylist(records[name], schema=suite.schema), protocol).metrics
            for name, suite in suites.items()
            if records[name]
        }
        pairs = {name: found.get(suite, {}).get(metric) for name, (suite, metric) in METRICS.items()}
        scores = {name: value for name, value in pairs.items() if value is not None}
        first = self.validation.metric
        if first in METRICS and first not in scores:
            raise SambenchError("validation: none of its images has an object to score. Choose other data.")
        return {name: scores[name] for name in sorted(scores, key=lambda name: name != first)}
