"""Accuracy beside speed: which measured accuracy is of the very artifact whose speed stands in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sambench.reports import published
from sambench.reports.artifacts import artifact, checkpoint, unknown_weights, unlike_paper, unlike_peers
from sambench.reports.cells import Entry, provenance
from sambench.reports.model import Row, Table
from sambench.reports.speed import PAPER
from sambench.reports.wanted import PAPERS, Wanted, described, first_metrics
from sambench.suites import naming

Interval = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A row of speeds with an accuracy."""

    row: Row
    speed: float
    """What goes across: images per second, or another number of the row."""
    accuracy: float
    source: Entry | None
    """The cell where the accuracy was measured, of the same artifact; else it is the paper's."""
    rounds: Interval | None
    """The slowest and the fastest round."""
    interval: Interval | None
    """The accuracy's, of 95%."""


@dataclass(frozen=True)
class Points:
    """What a figure of accuracy against speed shows, and what it does not."""

    wanted: Wanted
    axis: str
    """The words of the axis that goes up."""
    y_up: bool | None
    """Whether more is better there; ``None`` where neither is."""
    of_paper: bool
    """Whether it answers the paper's question, so that the paper's own numbers may stand beside it."""
    shown: tuple[Point, ...]
    unmatched: tuple[str, ...]
    """Accuracies of the same models that are of another artifact or of other data, with the reason."""
    left_out: tuple[str, ...]
    """Rows of speeds that have no accuracy."""

    @property
    def front(self) -> list[Point]:
        """Those measured both ways which no other such point beats both ways, in the order across."""
        if self.y_up is None:
            return []
        both = [point for point in self.shown if point.source is not None]
        kept = pareto([(p.speed, p.accuracy) for p in both], self.wanted.x_up, self.y_up)
        return [both[place] for place in kept]


def pareto(points: Sequence[tuple[float, float]], x_up: bool, y_up: bool) -> list[int]:
    """Return the places of the points than which no other is better one way and at least as good the other.

    In rising order of x; equal points are all of them or none of them in.

    Args:
        points: (x, y) each.
        x_up: whether more of x is better.
        y_up: whether more of y is better.
    """
    signs = (1 if x_up else -1, 1 if y_up else -1)
    good = [(signs[0] * x, signs[1] * y) for x, y in points]
    kept = [
        place
        for place, (x, y) in enumerate(good)
        if not any((a >= x and b >= y) and (a, b) != (x, y) for a, b in good)
    ]
    return sorted(kept, key=lambda place: points[place])


def best_points(table: Table, entries: Sequence[Entry]) -> list[Points]:
    """Return what is worth a figure beneath a table of speeds where nobody asked for a certain one.

    The paper's question, if it was measured; else each suite and data set of which two points are there; else
    the paper's accuracies at the measured speeds. What would be a single point is left out.

    Args:
        table: of speeds on one device.
        entries: all cells of the report, those with accuracies among them.
    """
    for wanted, axis in PAPERS:
        if any(not unlike_paper(entry) for entry in _measured(wanted, entries)):
            points = _of_paper(table, entries, wanted, axis)
            if points.shown:
                return [points]
    own = [_of_ones_own(table, entries, wanted) for wanted in first_metrics(entries)]
    if worth := [points for points in own if len(points.shown) > 1]:
        return worth
    stand_in = _of_paper(table, entries, *PAPERS[0])
    return [stand_in] if stand_in.shown else []


def accuracy_against(table: Table, entries: Sequence[Entry], wanted: Wanted) -> Points:
    """Give the rows of a table their accuracy.

    Of each checkpoint the best row is shown that has one. What answers the paper's question is on the paper's
    data; any other question needs the same images, annotations and protocol of all, be they whose they may.

    Args:
        table: of speeds on one device.
        entries: all cells of the report, those with accuracies among them.
        wanted: what goes across and what goes up.
    """
    for paper, axis in PAPERS:
        same = (paper.suite, paper.dataset, paper.metric) == (wanted.suite, wanted.dataset, wanted.metric)
        if same and any(not unlike_paper(entry) for entry in _measured(wanted, entries)):
            return _of_paper(table, entries, wanted, axis)
    return _of_ones_own(table, entries, wanted)


def _of_paper(table: Table, entries: Sequence[Entry], wanted: Wanted, axis: str) -> Points:
    """Place each row at its accuracy on the paper's data, protocol paper first, or at the paper's own.

    Where none was measured so, all that were measured of the paper's questions are said to be of other data.
    """
    measured = sorted(_measured(wanted, entries), key=lambda e: e.cell.protocol.get("preset") != "paper")
    if all(unlike_paper(entry) for entry in measured):
        measured = [entry for one, _ in PAPERS for entry in _measured(one, entries)]
    sound = [entry for entry in measured if not unlike_paper(entry)]
    timed = _timed(table)
    unmatched = [_mismatch(entry, unlike_paper(entry), timed) for entry in measured]
    return _points(table, wanted, (axis, True, True), sound, unmatched)


def _of_ones_own(table: Table, entries: Sequence[Entry], wanted: Wanted) -> Points:
    """Place each row at its accuracy as most of the artifacts in the table had it measured."""
    timed = _timed(table)
    artifacts = {artifact(entry) for entry in timed}
    measured = _measured(wanted, entries)
    known = [entry for entry in measured if not unknown_weights(entry)]
    joined = [entry for entry in known if artifact(entry) in artifacts]
    unlike = unlike_peers(joined)
    why = {id(joined[place]): reasons for place, reasons in unlike.items()}
    sound = [entry for place, entry in enumerate(joined) if place not in unlike]
    kept = {artifact(entry) for entry in sound}
    unmatched = [
        _mismatch(entry, unknown_weights(entry) or why.get(id(entry), []), timed)
        for entry in measured
        if id(entry) not in why or artifact(entry) not in kept
    ]
    return _points(table, wanted, (*described(wanted, entries), False), sound, unmatched)


def _measured(wanted: Wanted, entries: Sequence[Entry]) -> list[Entry]:
    place = (wanted.suite, wanted.dataset, "done")
    return [
        entry
        for entry in entries
        if (entry.cell.suite, entry.cell.dataset, entry.cell.status) == place
        and entry.cell.metrics.get(wanted.metric) is not None
    ]


def _timed(table: Table) -> list[Entry]:
    return [row.entry for row in table.done if row.entry]


def _points(
    table: Table,
    wanted: Wanted,
    asked: tuple[str, bool | None, bool],
    sound: Sequence[Entry],
    unmatched: Sequence[str],
) -> Points:
    """Join rows of speeds with accuracies; of several accuracies of an artifact the first is kept."""
    accuracies = {artifact(entry): entry for entry in reversed(sound)}
    best: dict[str, Point] = {}
    absent: dict[str, str] = {}
    for row, entry in zip(table.done, _timed(table), strict=True):
        own = checkpoint(entry)
        point = _point(row, entry, accuracies.get(artifact(entry)), wanted, of_paper=asked[2])
        if point is None:
            absent.setdefault(own, ", ".join([row.name, *row.said]))
        elif own not in best or _rank(point, wanted) > _rank(best[own], wanted):
            best[own] = point
    left_out = tuple(name for own, name in absent.items() if own not in best)
    return Points(
        wanted, *asked, tuple(best.values()), tuple(dict.fromkeys(filter(None, unmatched))), left_out
    )


def _mismatch(accuracy: Entry, reasons: Sequence[str], timed: Sequence[Entry]) -> str:
    """Say why an accuracy of a model whose speed was measured is not beside it."""
    if accuracy.cell.model not in {entry.cell.model for entry in timed}:
        return ""
    if reasons:
        news = [reason for reason in reasons if reason not in naming.departures(accuracy.cell)]
        return accuracy.label + (f" ({'; '.join(news)})" if news else "")
    if artifact(accuracy) not in map(artifact, timed):
        return f"{accuracy.label} (weights, engine, precision or input size of no speed here)"
    return ""


def _point(row: Row, entry: Entry, accuracy: Entry | None, wanted: Wanted, *, of_paper: bool) -> Point | None:
    """Place a row at its measured accuracy, or at the paper's where that may stand for it."""
    cell = entry.cell
    speed = cell.metrics.get(wanted.x)
    value = _stand_in(entry, wanted.metric) if of_paper else None
    if accuracy is not None:
        value = accuracy.cell.metrics[wanted.metric]
    if speed is None or value is None or speed <= 0:
        return None
    ends = _interval(accuracy, wanted.metric) if accuracy else None
    return Point(row, speed, value, accuracy, _interval(entry, wanted.x), ends)


def _interval(entry: Entry, metric: str) -> Interval | None:
    low, high = entry.cell.intervals.get(metric) or (None, None)
    return None if low is None or high is None else (low, high)


def _stand_in(entry: Entry, metric: str) -> float | None:
    """Return the paper's AP: for official or random weights, but not for int8 or another checkpoint."""
    paper = published.lookup(*PAPER, entry.cell.model)
    official = naming.is_official(entry.cell.model, provenance(entry.cell, "weights"))
    other = entry.weights == "file" and official is False
    if paper is None or metric != "ap" or entry.cell.precision == "int8" or other:
        return None
    return paper.values["ap"]


def _rank(point: Point, wanted: Wanted) -> tuple[bool, float]:
    return point.source is not None, point.speed if wanted.x_up else -point.speed
