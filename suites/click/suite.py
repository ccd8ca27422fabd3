"""Clicks (the paper's Table 2): click where the mask is most wrong, five times, score after each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sambench.adapters.base import Capabilities, Embedding, Prompts, Segmenter
from sambench.suites.base import (
    INSTANCE_COLUMNS,
    SCORED,
    MeansSuite,
    Record,
    Stopwatch,
    describe,
    kept,
    objects_of,
)
from sambench.suites.click.clicker import Clicker
from sambench.suites.data.masks import WindowMask
from sambench.suites.data.reading import BoxUse
from sambench.suites.data.rle import encode_text
from sambench.suites.data.sample import Sample, Target
from sambench.suites.further import averages, boundaries, calibration, calibrations
from sambench.suites.metrics.boundary import boundary, boundary_iou
from sambench.suites.metrics.clicks import QUALITIES, number_of_clicks
from sambench.suites.metrics.iou import mask_iou
from sambench.suites.metrics.sizes import SIZES, sized
from sambench.suites.metrics.void import without_void
from sambench.suites.predict import ChosenMasks, predict
from sambench.suites.protocol import Protocol
from sambench.suites.scoring.objects import Objects
from sambench.suites.scoring.scores import Metric

CLICKS = 5
QUALITY = f"Clicks to a quality, of {CLICKS}"
BRIEF = 85
"""The quality that a terminal shows."""
REPORTED = {1: "1 click", 3: "3 clicks", 5: "5 clicks"}  # the rounds that the paper's Table 2 prints

SCHEMA = pa.schema(
    [
        *INSTANCE_COLUMNS,
        pa.field("points", pa.list_(pa.list_(pa.int32(), 2)), nullable=False),
        pa.field("labels", pa.list_(pa.int8()), nullable=False),
        pa.field("segmentation", pa.list_(pa.string()), nullable=False),
        pa.field("iou", pa.list_(pa.float64()), nullable=False),
        pa.field("boundary_iou", pa.list_(pa.float64()), nullable=False),
        pa.field("pred_iou", pa.list_(pa.float32()), nullable=False),
        pa.field("choice", pa.list_(pa.int8()), nullable=False),
    ]
)
"""A row an object: the clicks that were made, and of each round the mask (COCO's RLE in JSON) and its IoU."""


@dataclass
class _Session:
    """One object being clicked on."""

    target: Target
    clicker: Clicker
    boundary: WindowMask
    """Of the object's mask."""
    rounds: list[Record] = field(default_factory=list)
    """The mask of each round, and what it is worth."""
    logits: Tensor | None = None
    """Low-resolution mask of the last round, (h, w); kept only where the protocol sends it back."""
    done: bool = False


class Click(MeansSuite):
    """Five rounds of clicks; metrics ``miou_1``, ``miou_3``, ``miou_5`` and the same by size, and further.

    All clicks so far go into each prompt. The objects of an image take each round together.
    """

    name: ClassVar[str] = "click"
    boxes: ClassVar[BoxUse] = "unused"
    schema: ClassVar[pa.Schema] = SCHEMA
    record_axes: ClassVar[tuple[str, ...]] = (
        *("crowd", "leave_out", "select", "threshold"),
        *("perfect", "mask_feedback", "click_rule"),
    )
    scored: ClassVar[tuple[str, ...]] = (*SCORED, "iou", "boundary_iou", "pred_iou")
    title: ClassVar[str] = "Clicks, mIoU"
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(
            Metric(sized(f"miou_{k}", size), clicks, group=objects, brief=size == "all")
            for size, objects in SIZES.items()
            for k, clicks in REPORTED.items()
        ),
        *(
            Metric(
                name.format(q), title.format(q), unit, higher_is_better=False, brief=q == BRIEF, part=QUALITY
            )
            for name, title, unit in (
                ("noc_{}", "NoC@{}", "clicks"),
                ("never_{}", "Never {}%", "percent"),
            )
            for q in QUALITIES
        ),
        *(metric for k, clicks in REPORTED.items() for metric in averages(f"miou_{k}", clicks)),
        *boundaries({f"boundary_iou_{k}": clicks for k, clicks in REPORTED.items()}),
        *calibrations({f"_{k}": clicks for k, clicks in REPORTED.items()}),
    )

    def refusal(self, capabilities: Capabilities, protocol: Protocol) -> str | None:
        """Need five points of both kinds, and mask input where masks are fed back."""
        if not capabilities.points:
            return "it takes no points"
        if capabilities.max_points is not None and capabilities.max_points < CLICKS:
            return f"it takes at most {capabilities.max_points} points, the suite gives {CLICKS}"
        if not capabilities.background_points:
            return "it takes no background points"
        if protocol.mask_feedback == "previous" and not capabilities.mask_input:
            return "it takes no mask of an earlier round, which mask_feedback 'previous' sends"
        return None

    def evaluate(
        self,
        segmenter: Segmenter,
        embedding: Embedding,
        sample: Sample,
        protocol: Protocol,
        watch: Stopwatch,
    ) -> list[Record]:
        """Click on all objects of the image, round by round; a record an object."""
        sessions = [_Session(t, Clicker(t.mask), boundary(t.mask)) for t in kept(sample.targets, protocol)]
        with watch("click"):
            for session in sessions:
                session.clicker.click()
        for round_ in range(1, CLICKS + 1):
            active = [s for s in sessions if not s.done]
            if not active:
                break
            start = 0
            for chosen in predict(segmenter, embedding, _prompts(active), protocol, watch):
                batch = active[start : start + len(chosen.masks)]
                start += len(batch)
                _take_round(batch, chosen, sample.void, protocol, watch, last=round_ == CLICKS)
        return [_record(sample, s) for s in sessions]

    def scored_objects(self, records: pa.Table, protocol: Protocol) -> Objects:
        """Return the IoUs of each object after 1, 3 and 5 clicks, and its clicks to a quality."""
        iou, near, own = (_rounds(records[name]) for name in ("iou", "boundary_iou", "pred_iou"))
        shares = {f"miou_{k}": iou[:, k - 1] for k in REPORTED}
        shares |= {f"boundary_iou_{k}": near[:, k - 1] for k in REPORTED}
        others: dict[str, np.ndarray] = {}
        for quality in QUALITIES:
            others[f"noc_{quality}"], others[f"never_{quality}"] = number_of_clicks(iou, quality / 100)
        for k in REPORTED:
            others |= calibration(f"_{k}", own[:, k - 1], iou[:, k - 1])
        scales = {f"noc_{quality}": 1.0 for quality in QUALITIES}
        return objects_of(shares, records, protocol, others=others, scales=scales)


def _rounds(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of lists, a number a round, as (n, `CLICKS`)."""
    return column.combine_chunks().flatten().to_numpy().reshape(-1, CLICKS)


def _prompts(sessions: list[_Session]) -> Prompts:
    """All clicks so far of each session; the sessions of a round have as many."""
    clicks = [s.clicker.clicks for s in sessions]
    points = torch.tensor([[(c.x, c.y) for c in row] for row in clicks], dtype=torch.float32)
    labels = torch.tensor([[int(c.positive) for c in row] for row in clicks])
    back = [s.logits for s in sessions if s.logits is not None]
    return Prompts(points=points, labels=labels, masks=torch.stack(back)[:, None] if back else None)


def _take_round(
    sessions: list[_Session],
    chosen: ChosenMasks,
    void: WindowMask | None,
    protocol: Protocol,
    watch: Stopwatch,
    *,
    last: bool,
) -> None:
    """Score a round of some sessions, and click again on what is still wrong; void pixels never are."""
    with watch("score", chosen.masks.device):
        counted = without_void(chosen.masks, void)
        iou = mask_iou(counted, [s.target.mask for s in sessions])
        masks = np.asarray(counted.cpu())
        near = boundary_iou(masks, [s.boundary for s in sessions])
        texts = encode_text(masks if counted is chosen.masks else np.asarray(chosen.masks.cpu()))
    pred_iou, choice = chosen.pred_iou.tolist(), chosen.choice.tolist()
    for i, session in enumerate(sessions):
        answer = {"iou": float(iou[i]), "boundary_iou": float(near[i])}
        answer |= {"pred_iou": pred_iou[i], "choice": choice[i]}
        session.rounds.append({"segmentation": texts[i]} | answer)
        if protocol.mask_feedback == "previous":
            session.logits = chosen.logits[i]
        session.done = last or (iou[i] == 1 and protocol.perfect == "stop")
        if not session.done:
            with watch("click"):
                session.clicker.click(masks[i])


def _record(sample: Sample, session: _Session) -> Record:
    """Describe a session; where it stopped early, the last mask stands for the rounds not needed."""
    clicks = session.clicker.clicks
    rounds = session.rounds + session.rounds[-1:] * (CLICKS - len(session.rounds))
    return describe(sample, session.target) | {
        "points": [[c.x, c.y] for c in clicks],
        "labels": [int(c.positive) for c in clicks],
        **{name: [answer[name] for answer in rounds] for name in rounds[0]},
    }
