"""Accuracy against speed, the paper's figure 1: whatever was measured of both, of the same artifact."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sambench.reports import published
from sambench.reports.figures.figure import Drawing, Figure
from sambench.reports.figures.labels import Name, label, name_points, numbers_across, without_common
from sambench.reports.figures.style import INK, MUTED, PUBLISHED, SMALL, WIDTH, Looks
from sambench.reports.model import Table
from sambench.reports.speed import PAPER
from sambench.reports.speed_points import Point, Points
from sambench.reports.wanted import Wanted
from sambench.suites import naming

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True)
class Mark:
    """One point of the figure with its name."""

    label: str
    speed: float
    accuracy: float


def draw_against(table: Table, points: Points, salt: str, looks: Looks) -> Figure:
    """Draw accuracy against speed.

    Args:
        table: of the speeds.
        points: what is shown (`reports.speed_points`).
        salt: keeps the identifiers of one page apart.
        looks: of the models.
    """
    what = "throughput" if points.wanted.x == "img_s" else points.wanted.x_words
    accuracy = "Accuracy" if points.of_paper else points.axis.removesuffix(", percent")
    title = f"{accuracy} against {what} ({table.title.lower()})"
    paper = _paper_marks(points.wanted) if points.of_paper else []
    caption = _caption(table, points, paper)
    if not points.shown:
        return Figure(title, "", f"No accuracy is of an artifact whose speed stands here. {caption}")

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        numbers_across(axes)
        for mark in paper:
            axes.plot(mark.speed, mark.accuracy, PUBLISHED, markersize=4.5, mfc="none", mec=MUTED, mew=0.9)
        for point in points.shown:
            _mark(axes, point, looks)
        _draw_front(axes, points)
        axes.set_xlabel(f"{points.wanted.x_words} (logarithmic)")
        axes.set_ylabel(points.axis)
        axes.grid(which="major")
        axes.margins(x=0.1, y=0.12)
        canvas.draw_without_rendering()  # lays the axes out, so that places on the page are known
        names = [Name(m.label, m.speed, m.accuracy, INK, 8.5) for m in _marks(points.shown)]
        names += [Name(mark.label, mark.speed, mark.accuracy, MUTED, SMALL) for mark in paper]
        name_points(axes, names, _bars(points.shown))

    return Figure(title, caption, drawing=Drawing(paint, (WIDTH, 4.6), salt))


def _mark(axes: Axes, point: Point, looks: Looks) -> None:
    look = looks[point.row.model]
    bar: dict[str, Any] = {"color": look.color, "linewidth": 1.4, "solid_capstyle": "butt"}
    if point.rounds:
        axes.plot(point.rounds, [point.accuracy] * 2, **bar)
    if point.interval:
        axes.plot([point.speed] * 2, point.interval, **bar)
    fill = look.color if point.source else "none"
    axes.plot(point.speed, point.accuracy, marker=look.marker, ms=7, color=look.color, mfc=fill, mew=1.3)


def _draw_front(axes: Axes, points: Points) -> None:
    """Draw the front as steps: at each place across, the best that is to be had there."""
    front = points.front
    if len(front) < 2:
        return
    steps = "steps-pre" if points.wanted.x_up else "steps-post"
    axes.plot(
        [p.speed for p in front],
        [p.accuracy for p in front],
        color=MUTED,
        linewidth=0.9,
        linestyle=(0, (4, 2)),
        drawstyle=steps,
        zorder=1,
    )


def _bars(points: Sequence[Point]) -> list[tuple[float, float, float, float]]:
    """Return what the intervals cover, x0, y0, x1, y1 in the units of the axes."""
    across = [(p.rounds[0], p.accuracy, p.rounds[1], p.accuracy) for p in points if p.rounds]
    return across + [(p.speed, p.interval[0], p.speed, p.interval[1]) for p in points if p.interval]


def _marks(points: Sequence[Point]) -> list[Mark]:
    """Name the points; what is said of all of them stands in the caption."""
    rows, _ = without_common([point.row for point in points])
    return [
        Mark(label(dataclasses.replace(row, name=_short(row.name))), point.speed, point.accuracy)
        for point, row in zip(points, rows, strict=True)
    ]


def _paper_marks(wanted: Wanted) -> list[Mark]:
    """Return the models of which the paper prints both numbers."""
    marks = []
    for model in published.models_of(*PAPER):
        costs, scores = published.lookup(*PAPER, model), published.lookup(wanted.suite, wanted.dataset, model)
        x = costs.values.get(wanted.x) if costs else None
        y = scores.values.get(wanted.metric) if scores else None
        if x is not None and y is not None:
            marks.append(Mark(_short(naming.title(model)), x, y))
    return marks


def _short(name: str) -> str:
    return name.removeprefix("EfficientViT-SAM-")


def _caption(table: Table, points: Points, paper: Sequence[Mark]) -> str:
    _, how = without_common([point.row for point in points.shown])
    best = "fastest way" if points.wanted.x == "img_s" else f"best way by {points.wanted.x_words}"
    parts = [f"Each checkpoint's {best}{how} on {table.device}."] if points.shown else []
    if any(point.rounds or point.interval for point in points.shown):
        parts.append("Bars: across, its rounds; up, the 95% interval.")
    if any(point.source for point in points.shown):
        parts.append(_measured_words(points))
    if any(point.source is None for point in points.shown):
        parts.append("Open markers: speed measured, accuracy the paper's, of another artifact.")
    if len(points.front) > 1:
        parts.append("Dashed: the Pareto front of what was measured.")
    if points.unmatched:
        parts.append(f"Accuracies of another artifact or of other data: {'; '.join(points.unmatched)}.")
    if points.left_out:
        nor = " nor the paper's" if points.of_paper else " of the same artifact"
        neither = "neither " if points.of_paper else "not "
        parts.append(f"Left out, accuracy {neither}measured{nor}: {'; '.join(points.left_out)}.")
    if paper:
        parts.append("Grey diamonds: both the paper's, one A100, TensorRT fp16, batch 16.")
    return " ".join(parts)


def _measured_words(points: Points) -> str:
    """Say of what data the measured accuracies are, and by which protocol."""
    cells = [point.source.cell for point in points.shown if point.source]
    which = " and ".join(dict.fromkeys(str(cell.protocol.get("preset") or "not recorded") for cell in cells))
    data = "all of COCO" if points.of_paper else f"{cells[0].n_images:,} images of {points.wanted.dataset}"
    return f"Filled: accuracy measured too, of the same artifact on {data}, protocol {which}."
