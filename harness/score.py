"""Scoring predictions of anybody by a suite's rules: no model, no images, the same numbers as a run's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.suites.base import Setting, Suite
from sambench.suites.concept.suite import Concept
from sambench.suites.concept.truth import annotator_names
from sambench.suites.data.annotations import Annotations
from sambench.suites.data.checks.lvis import looks_like_lvis
from sambench.suites.data.predicted import Predictions, read_predictions
from sambench.suites.det_box import DetBox, masks_and_boxes
from sambench.suites.protocol import Protocol, for_suite
from sambench.suites.scoring.average_precision import Evaluator
from sambench.suites.scoring.ground_truth import GroundTruth, Style, read_whole
from sambench.suites.scoring.scores import About, Scores

SUITES: dict[str, type[Suite]] = {"concept": Concept, "det_box": DetBox}
"""Whose records predictions stand for."""


@dataclass(frozen=True)
class Scored:
    """Scores, and all that they are of."""

    suite: str
    about: About
    scores: Scores
    protocol: Protocol
    annotations: tuple[Annotations, ...]
    predictions: Predictions

    @property
    def warnings(self) -> list[str]:
        """What users should know of their files, a sentence each."""
        said = [f"{one.path}: {text}" for one in self.annotations for text in one.problems.sentences()]
        if elsewhere := self.predictions.elsewhere:
            said.append(
                f"{self.predictions.path}: {elsewhere:,} entries are of no image or pair of "
                f"{self.annotations[0].path}, and were left out."
            )
        return [*said, *([self.scores.note] if self.scores.note else [])]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "suite": self.suite,
            "metrics": self.scores.metrics,
            "intervals": self.scores.intervals,
            "counts": self.scores.counts,
            "evaluator": self.scores.evaluator,
            "note": self.scores.note,
            "protocol": self.protocol.to_json(),
            "annotations": [{"path": str(one.path), "sha256": one.sha256} for one in self.annotations],
            "predictions": {
                "path": str(self.predictions.path),
                "sha256": self.predictions.sha256,
                "count": len(self.predictions.table),
                "elsewhere": self.predictions.elsewhere,
            },
        }


def score(
    suite: str,
    annotations: Sequence[Path],
    predictions: Path,
    *,
    protocol: Protocol,
    evaluator: Evaluator = "hotcoco",
    style: Style | None = None,
) -> Scored:
    """Score a result file with masks against annotations.

    Args:
        suite: one of `SUITES`.
        annotations: a file, and for pairs of image and phrase those of further annotators.
        predictions: JSON in COCO's result format; of pairs, ``image_id`` is the pair's.
        protocol: its axes of scoring count.
        evaluator: what computes AP.
        style: whose rules AP follows; ``None`` to see it from the annotations.

    Raises:
        SambenchError: no such suite, or a file is missing, damaged or does not fit.
    """
    if suite not in SUITES:
        raise SambenchError(
            f"no scoring of predictions by suite {suite!r}; there is {', '.join(SUITES)}."
            + did_you_mean(suite, SUITES)
        )
    contents = tuple(read_whole(path) for path in annotations)
    first = contents[0]
    if first.pairs is None and not first.categories:
        raise SambenchError(
            f"{first.path}: has no categories, which results are scored by. Is it the right file?"
        )
    if len(contents) > 1 and (suite != "concept" or first.pairs is None):
        raise SambenchError(
            f"{annotations[1]}: several annotators are scored by the suite concept, on pairs of image and "
            "phrase (text_input). Give one file of annotations."
        )
    found = read_predictions(predictions, first)
    setting = Setting(
        annotations[0],
        tuple(sorted(image.id for image in first.images)),
        style=style or ("lvis" if looks_like_lvis(first) else "coco"),
        evaluator=evaluator,
        contents=dict(zip(annotator_names(annotations[0], annotations[1:]), contents, strict=True)),
        annotators=tuple(annotations[1:]),
        pairs=first.pairs is not None,
    )
    chosen = for_suite(protocol, suite, pairs=setting.pairs)
    scores = (_concept if suite == "concept" else _boxes)(setting, found.table, chosen)
    return Scored(suite, SUITES[suite].about(), scores, chosen, contents, found)


def _concept(setting: Setting, table: pa.Table, protocol: Protocol) -> Scores:
    """Score as the suite scores records of all images."""
    suite = Concept(setting)
    suite.check()
    ids = np.array(setting.image_ids, np.int64)
    images = pa.table({"image_id": ids, "kind": pa.array(["image"] * len(ids), pa.string())})
    instances = table.append_column("kind", pa.array(["instance"] * len(table), pa.string()))
    return suite.score(pa.concat_tables([images, instances], promote_options="default"), protocol)


def _boxes(setting: Setting, table: pa.Table, protocol: Protocol) -> Scores:
    """Compute AP of the masks by their scores, and of the boxes where each has one."""
    if setting.pairs:
        raise SambenchError(
            f"{setting.annotations}: has pairs of image and phrase, not categories, which AP is the mean "
            "over. Take --suite concept."
        )
    content = setting.contents[""]
    truth = GroundTruth(content, style=setting.style, image_ids=setting.image_ids, ids="from_one")
    boxes = None if table["bbox"].null_count else [table.drop_columns("segmentation")]
    truth, masks = truth.numbered(protocol.gt_ids), [table.drop_columns("bbox")]
    scores = masks_and_boxes(truth, masks, boxes, setting.evaluator, in_order=True)
    counts = {"detections": len(table), "all": len(content.annotations)}
    intervals = scores.evidence.intervals() if scores.evidence else {}
    return dataclasses.replace(scores, intervals=intervals, counts=counts)
