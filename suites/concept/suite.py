"""Concepts: ask a phrase of an image, and find every instance that it names (SAM 3's task, arXiv 2511.16719).

On SA-Co's pairs the metric is cgF1 (`suites.metrics.concepts`). On data with categories every category's name
is asked, each alone; there it is average precision too, of masks and of boxes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from sambench.adapters.base import Capabilities, Embedding, Segmenter
from sambench.adapters.concepts import Instances, Wanted, cleaned
from sambench.evsam.errors import SambenchError
from sambench.suites.base import IMAGE_COLUMNS, Record, Setting, Stopwatch, Suite, describe_image
from sambench.suites.concept.export import predictions
from sambench.suites.concept.metrics import METRICS, NEED_ABSENT
from sambench.suites.concept.tally import COLUMNS, tally
from sambench.suites.concept.truth import Truth, contents_of, of_categories, of_pairs
from sambench.suites.data.annotations import Annotations
from sambench.suites.data.reading import BoxUse
from sambench.suites.data.rle import encode_text
from sambench.suites.data.sample import Sample
from sambench.suites.det_box import REPORTED, masks_and_boxes
from sambench.suites.metrics.concepts import CONFIDENT
from sambench.suites.predict import upsampled
from sambench.suites.protocol import Protocol
from sambench.suites.records import Records
from sambench.suites.scoring.average_precision import used_evaluator
from sambench.suites.scoring.ground_truth import GroundTruth
from sambench.suites.scoring.matches import Matches
from sambench.suites.scoring.matching import MOST_OF_COCO, MOST_OF_LVIS
from sambench.suites.scoring.scores import Metric, Scores
from sambench.suites.scoring.together import Together

ABOVE = 0.3
"""Of a score: what SAM 3's evaluation writes down (``detection_threshold`` of its configurations)."""

PIXELS_AT_ONCE = 2**23
"""Of masks that are drawn together, 32 MB as floats: 27 of 640 x 480."""

SCHEMA = pa.schema(
    [
        *IMAGE_COLUMNS,
        pa.field("kind", pa.string(), nullable=False),
        # An image: how many phrases it was asked.
        pa.field("asked", pa.int32()),
        # An instance: of which category, by which phrase it was found, its score, box (x, y, w, h), mask.
        pa.field("category_id", pa.int64()),
        pa.field("category", pa.string()),
        pa.field("phrase", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("bbox", pa.list_(pa.float64())),
        pa.field("segmentation", pa.string()),
    ]
)
"""Rows of two kinds: ``image`` and ``instance``; what says nothing of a kind is null."""


@dataclass(frozen=True)
class Concept(Suite):
    """Phrases to instances; on pairs cgF1 and its kin, with categories average precision beside them."""

    setting: Setting

    name: ClassVar[str] = "concept"
    title: ClassVar[str] = "Concepts by text"
    schema: ClassVar[pa.Schema] = SCHEMA
    record_axes: ClassVar[tuple[str, ...]] = ("names", "phrases", "instances", "threshold")
    boxes: ClassVar[BoxUse] = "scored"
    needs_categories: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    scored: ClassVar[tuple[str, ...]] = (*COLUMNS, "bbox")

    @classmethod
    def on(cls, setting: Setting) -> Self:
        """Return the suite for some data; on Segmentation in the Wild that for its 25 data sets."""
        if setting.annotations.is_dir():
            from sambench.suites.concept.sets import ConceptOnSets

            return ConceptOnSets(setting)  # type: ignore[return-value]
        return cls(setting)

    def check(self) -> Sequence[str]:
        """See that there is something to ask, and that AP can be computed."""
        if not self.setting.pairs:
            used_evaluator(self.ground_truth(self.setting.image_ids), self.setting.evaluator)
            return ()
        truth = self.truth("all")
        if not truth.scored.any():
            raise SambenchError(
                f"{self.setting.annotations}: no pair of these images has is_instance_exhaustive 1 in all "
                "files, and others are not scored: what is there is not known to be all."
            )
        return ()

    def refusal(self, capabilities: Capabilities, protocol: Protocol) -> str | None:
        """Need phrases."""
        del protocol
        return None if capabilities.concepts else "it takes no phrases"

    def evaluate(
        self,
        segmenter: Segmenter,
        embedding: Embedding,
        sample: Sample,
        protocol: Protocol,
        watch: Stopwatch,
    ) -> list[Record]:
        """Ask all phrases of the image: a record for the image, and one an instance."""
        asked = phrases(sample, protocol)
        keep = _Keep.of(protocol, self.setting)
        answers = segmenter.find(embedding, list(asked.values()), keep.wanted)
        records: list[Record] = [{"kind": "image", **describe_image(sample), "asked": len(asked)}]
        for category, phrase in asked.items():
            with watch("decode", segmenter.device), torch.inference_mode():
                found = keep.cut(next(answers))
            described = {
                "kind": "instance",
                **describe_image(sample),
                "category_id": category,
                "category": sample.categories[category],
                "phrase": phrase,
            }
            for parts in _drawn(segmenter, embedding, found, watch):
                records += [described | part for part in parts]
        return keep.of_image(records)

    def score(self, records: pa.Table, protocol: Protocol) -> Scores:
        """Compute what `score_all` does, of rows in any order."""
        return self.score_all(Records.of(records), protocol)

    def score_all(self, records: Records, protocol: Protocol) -> Scores:
        """Compute cgF1; and AP where there are categories; masks are read a shard at a time."""
        concepts = tally(self.truth(protocol.names), records.each(COLUMNS))
        hidden = NEED_ABSENT if protocol.names == "there" else ()
        metrics = {name: value for name, value in concepts.numbers().items() if name not in hidden}
        if self.setting.pairs:
            return Scores(metrics, _only(metrics, concepts.intervals()), concepts.counts(), evidence=concepts)
        own = precision(records, self.ground_truth(concepts.image_ids), protocol, self.setting)
        both = Together(concepts, own.evidence) if isinstance(own.evidence, Matches) else concepts
        metrics |= {name: value for name, value in own.metrics.items() if name in REPORTED}
        counts = concepts.counts()
        return dataclasses.replace(
            own, metrics=metrics, intervals=_only(metrics, both.intervals()), counts=counts, evidence=both
        )

    def export(self, records: Records, folder: Path) -> None:
        """Write ``_predictions.json``, which SA-Co's and COCO's own evaluators read, and `sambench score`."""
        predictions(records, self.contents[0], folder / "_predictions.json")

    @cached_property
    def contents(self) -> tuple[Annotations, ...]:
        """The annotations, and those of further annotators (`truth.contents_of`)."""
        return contents_of(self.setting)

    def truth(self, names: str) -> Truth:
        """Return the pairs, and what is to be found."""
        if self.setting.pairs:
            return of_pairs(self.contents, self.setting.image_ids)
        lvis, there = self.setting.style == "lvis", names == "there"
        return of_categories(self.contents[0], there=there, lvis=lvis, image_ids=self.setting.image_ids)

    def ground_truth(self, image_ids: Sequence[int] | np.ndarray) -> GroundTruth:
        """Return the annotations as AP is measured by them."""
        ids = [int(i) for i in image_ids]
        return GroundTruth(self.contents[0], style=self.setting.style, image_ids=ids, ids="from_one")


def phrases(sample: Sample, protocol: Protocol) -> dict[int, str]:
    """Return what is asked of an image: category to phrase.

    Raises:
        SambenchError: a name has no words.
    """
    there = {target.category_id for target in sample.targets if not target.iscrowd}
    asked = {}
    for category, name in sample.categories.items():
        if protocol.names == "all" or category in there:
            phrase = cleaned(name) if protocol.phrases == "cleaned" else name.strip()
            if not phrase:
                raise SambenchError(
                    f"category {category} is named {name!r}, which has no words to ask for. Rename it, or "
                    "say 'phrases: as_given' in the protocol."
                )
            asked[category] = phrase
    return asked


def precision(records: Records, truth: GroundTruth, protocol: Protocol, setting: Setting) -> Scores:
    """Compute AP of masks and, where each has one, of boxes (see `det_box.masks_and_boxes`)."""
    boxes = all(not table["bbox"].null_count for table in _instances(records, "bbox"))
    return masks_and_boxes(
        truth.numbered(protocol.gt_ids),
        _instances(records, "segmentation"),
        _instances(records, "bbox") if boxes else None,
        setting.evaluator,
        in_order=True,  # as in the result file that `export` writes
    )


def _instances(records: Records, region: str) -> Iterator[pa.Table]:
    """Read the instances of each shard as results, with their masks or their boxes."""
    columns = ("image_id", "category_id", "score", region)
    for table in records.each((*columns, "kind")):
        yield table.filter(pc.equal(table["kind"], "instance")).select(list(columns))


def _only(metrics: Mapping[str, object], intervals: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: ends for name, ends in intervals.items() if name in metrics}


@dataclass
class _Keep:
    """Which instances of an image are kept."""

    wanted: Wanted
    most: int | None
    """Of an image, over all phrases; more where scores are equal."""
    scores: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    """The highest so far, of all phrases."""

    @classmethod
    def of(cls, protocol: Protocol, setting: Setting) -> Self:
        if protocol.instances == "above_0.3":
            return cls(Wanted(above=ABOVE), None)
        if setting.style == "lvis":
            return cls(Wanted(most=MOST_OF_LVIS, sure=CONFIDENT), MOST_OF_LVIS)
        return cls(Wanted(most=MOST_OF_COCO, sure=CONFIDENT), None)

    @property
    def least(self) -> float:
        """The lowest score that an instance can still have; cgF1 counts all that are confident."""
        full = self.most is not None and len(self.scores) >= self.most
        return min(float(self.scores[-1]), CONFIDENT) if full else -np.inf

    def cut(self, found: Instances) -> Instances:
        """Return those of a phrase that can still be among the image's."""
        if self.most is None:
            return found
        scores = found.scores.double().cpu().numpy()
        self.scores = -np.sort(-np.concatenate([self.scores, scores]))[: self.most]
        kept = int((scores >= self.least).sum())  # the best come first
        return Instances(found.logits[:kept], found.scores[:kept], found.boxes[:kept])

    def of_image(self, records: list[Record]) -> list[Record]:
        """Return the records without the instances that others have pushed out."""
        return [one for one in records if one.get("score", np.inf) >= self.least]


@torch.inference_mode()
def _drawn(
    segmenter: Segmenter, embedding: Embedding, found: Instances, watch: Stopwatch
) -> Iterator[list[Record]]:
    """Draw instances at the image's size, `PIXELS_AT_ONCE`."""
    scores, corners = found.scores.double().tolist(), found.boxes.double().cpu()
    boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1).tolist()
    height, width = embedding.size
    step = max(1, PIXELS_AT_ONCE // (height * width))
    for start in range(0, len(found), step):
        part = slice(start, start + step)
        with watch("upsample", segmenter.device):
            shape = (len(scores[part]), *embedding.size)
            masks = upsampled(segmenter, found.logits[part], shape) > 0
        with watch("score", segmenter.device):
            texts = encode_text(np.asarray(masks.cpu()))
        rows = zip(scores[part], boxes[part], texts, strict=True)
        yield [{"score": score, "bbox": box, "segmentation": text} for score, box, text in rows]
