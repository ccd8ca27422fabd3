"""Accuracy beside speed: which measured accuracy is of the very artifact whose speed stands in a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sambench.reports import comparable, published
from sambench.reports.cells import Entry, provenance
from sambench.reports.model import Row, Table
from sambench.reports.speed import PAPER
from sambench.suites import naming
from sambench.suites.protocol import PRESETS

ACCURACY = (
    ("det_box", "coco/vitdet", "ap", "AP of masks from ViTDet's boxes on COCO, percent"),
    ("gt_box", "coco", "miou", "mIoU from ground-truth boxes on COCO, percent"),
)
"""Which measured accuracy goes up the figure, the first that is there: suite, data set, metric, axis."""


@dataclass(frozen=True)
class Point:
    """A row of speeds with an accuracy."""

    row: Row
    speed: float
    """Images per second."""
    interval: tuple[float, float]
    """Of the slowest and the fastest round."""
    accuracy: float
    source: Entry | None
    """The cell where the accuracy was measured, of the same artifact; else it is the paper's."""


@dataclass(frozen=True)
class Points:
    """What a figure of accuracy against speed shows, and what it does not."""

    metric: str
    axis: str
    shown: tuple[Point, ...]
    unmatched: tuple[str, ...]
    """Accuracies of the same models that are of another artifact or of other data, with the reason."""
    left_out: tuple[str, ...]
    """Rows of speeds whose accuracy is neither measured nor the paper's."""


def find_points(table: Table, entries: Sequence[Entry]) -> Points:
    """Give the rows of a table their accuracy.

    Of each checkpoint the fastest is shown that has one; a measured accuracy comes before the paper's.

    Args:
        table: of one device.
        entries: all cells of the report, those with accuracies among them.
    """
    metric, axis, measured = _accuracies(entries)
    sound = {_artifact(e): e for e in reversed(measured) if not _unsound(e)}  # of several the first is kept
    best: dict[str, Point] = {}
    absent: dict[str, str] = {}
    timed = [row.entry for row in table.done if row.entry]
    for row, entry in zip(table.done, timed, strict=True):
        checkpoint = _checkpoint(entry)
        point = _point(row, entry, sound.get(_artifact(entry)), metric)
        if point is None:
            absent.setdefault(checkpoint, ", ".join([row.name, *row.said]))
        elif checkpoint not in best or _rank(point) > _rank(best[checkpoint]):
            best[checkpoint] = point
    return Points(
        metric,
        axis,
        tuple(best.values()),
        tuple(dict.fromkeys(text for e in measured if (text := _mismatch(e, timed)))),
        tuple(name for checkpoint, name in absent.items() if checkpoint not in best),
    )


def _accuracies(entries: Sequence[Entry]) -> tuple[str, str, list[Entry]]:
    """Return the metric that goes up, the axis's words, and the cells that have it, protocol paper first.

    Where none could stand beside a speed, the cells are all that were measured, for the caption.
    """
    every = []
    for suite, dataset, metric, axis in ACCURACY:
        found = [
            e
            for e in entries
            if (e.cell.suite, e.cell.dataset, e.cell.status) == (suite, dataset, "done")
            and e.cell.metrics.get(metric) is not None
        ]
        if not all(_unsound(e) for e in found):
            return metric, axis, sorted(found, key=lambda e: e.cell.protocol.get("preset") != "paper")
        every += found
    return ACCURACY[0][2], ACCURACY[0][3], every


def _unsound(entry: Entry) -> list[str]:
    """Return why an accuracy stands beside no speed; empty if it may."""
    found = [*comparable.other_data(entry.cell)]
    if entry.weights not in ("file", "none"):
        found.append("random weights" if entry.weights == "random" else "weights not recorded")
    elif entry.weights == "file" and not provenance(entry.cell, "weights").get("sha256"):
        found.append("weights without a checksum")
    if entry.cell.protocol.get("preset") not in PRESETS:
        found.append(f"protocol {entry.protocol}")
    return found


def _mismatch(accuracy: Entry, timed: Sequence[Entry]) -> str:
    """Say why an accuracy of a model whose speed was measured is not beside it."""
    if accuracy.cell.model not in {entry.cell.model for entry in timed}:
        return ""
    if reasons := _unsound(accuracy):
        news = [reason for reason in reasons if reason not in naming.departures(accuracy.cell)]
        return accuracy.label + (f" ({'; '.join(news)})" if news else "")
    if _artifact(accuracy) not in map(_artifact, timed):
        return f"{accuracy.label} (weights, engine, precision or input size of no speed here)"
    return ""


def _artifact(entry: Entry) -> str:
    """Identify what decides both an accuracy and a speed: the checkpoint, and what runs it."""
    return f"{_checkpoint(entry)} {naming.run_by(entry.cell)}"


def _checkpoint(entry: Entry) -> str:
    """Identify a model with its weights, what else it was made of, and the size of its input.

    One that takes images of several shapes has none: which ones it met is the data's.
    """
    weights, adapter = provenance(entry.cell, "weights"), provenance(entry.cell, "adapter")
    parts = [entry.cell.model, weights.get("source"), weights.get("sha256")]
    files = provenance(entry.cell, "loaded").get("files") or None
    shapes = provenance(entry.cell, "inputs").get("shapes") or ()
    made = [adapter.get("class"), adapter.get("options"), files, shapes if len(shapes) == 1 else None]
    return json.dumps([*parts, *made], sort_keys=True)


def _point(row: Row, entry: Entry, accuracy: Entry | None, metric: str) -> Point | None:
    """Place a row at its measured accuracy, or at the paper's where that may stand for it."""
    cell = entry.cell
    speed = cell.metrics.get("img_s")
    value = accuracy.cell.metrics[metric] if accuracy else _stand_in(entry, metric)
    if speed is None or value is None:
        return None
    low, high = cell.intervals["img_s"]
    return Point(row, speed, (low, high), value, accuracy)


def _stand_in(entry: Entry, metric: str) -> float | None:
    """Return the paper's AP: for official or random weights, but not for int8 or another checkpoint."""
    paper = published.lookup(*PAPER, entry.cell.model)
    official = naming.is_official(entry.cell.model, provenance(entry.cell, "weights"))
    other = entry.weights == "file" and official is False
    if paper is None or metric != "ap" or entry.cell.precision == "int8" or other:
        return None
    return paper.values["ap"]


def _rank(point: Point) -> tuple[bool, float]:
    return point.source is not None, point.speed
