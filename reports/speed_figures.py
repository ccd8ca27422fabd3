"""The paper's figure 1: accuracy against throughput, both as far as they were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sambench.reports import published
from sambench.reports.cells import Entry
from sambench.reports.figures import INK, MUTED, Colors, Figure, render
from sambench.reports.speed import PAPER, SpeedTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

ACCURACY = (
    ("det_box", "coco/vitdet", "ap", "AP of masks from ViTDet's boxes on COCO, percent"),
    ("gt_box", "coco", "miou", "mIoU from ground-truth boxes on COCO, percent"),
)
"""Which measured accuracy goes up the figure, the first that is there: suite, data set, metric, axis."""


@dataclass(frozen=True)
class Point:
    """One model in the figure."""

    model: str
    label: str
    speed: float
    interval: tuple[float, float] | None
    accuracy: float
    measured: bool
    """Whether the accuracy was measured; else it is the paper's."""
    how: str = ""
    """Engine, precision and batch."""


def draw_speed(table: SpeedTable, entries: Sequence[Entry], salt: str, colors: Colors) -> list[Figure]:
    """Draw accuracy against the throughput of a headline table.

    Args:
        table: of one device.
        entries: all cells of the report, those with accuracies among them.
        salt: keeps the identifiers of one page apart.
        colors: of the models.

    Raises:
        SambenchError: matplotlib is not installed.
    """
    if not table.headline:
        return []
    metric, axis, found = _accuracies(entries)
    points = _points(table, metric, found)
    if not points:
        return []
    paper = _paper_points() if metric == "ap" else []
    title = f"Accuracy against throughput ({table.title.lower()})"
    caption = _caption(table, points, paper)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        for point in paper:
            axes.plot(point.speed, point.accuracy, "D", markersize=4.5, mfc="none", mec=MUTED, mew=0.9)
        for point in points:
            color = colors[point.model]
            if point.interval:
                axes.plot(point.interval, [point.accuracy] * 2, color=color, solid_capstyle="butt")
            axes.plot(
                point.speed,
                point.accuracy,
                "o",
                markersize=7,
                color=color,
                mfc=color if point.measured else "none",
                mew=1.5,
            )
        axes.set_xlabel("images per second, logarithmic")
        axes.set_ylabel(axis)
        axes.grid(which="major")
        axes.margins(x=0.12, y=0.14)
        canvas.draw_without_rendering()  # lays the axes out, so that places on the page are known
        _name_points(axes, [(p, INK, 8.5) for p in points] + [(p, MUTED, 7.5) for p in paper])

    svg = render(draw, (8.2, 4.8), salt, f"{title}. {caption}")
    return [Figure(title, caption, svg)]


Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in points of the page."""

_SIDES = (
    ("center", "bottom", 0, 7),
    ("center", "top", 0, -7),
    ("left", "center", 8, 0),
    ("right", "center", -8, 0),
)
"""Where a name may stand beside its mark: alignments, and the way there in points."""


def _name_points(axes: Axes, points: Sequence[tuple[Point, str, float]]) -> None:
    """Write each point's name where it covers the least of other names and marks."""
    scale = 72 / axes.figure.dpi  # to points, 72 to the inch
    places = [axes.transData.transform((p.speed, p.accuracy)) * scale for p, _, _ in points]
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in places]
    for (point, color, size), (x, y) in zip(points, places, strict=True):
        boxes = [_box(x + dx, y + dy, ha, va, len(point.label), size) for ha, va, dx, dy in _SIDES]
        best = min(range(len(_SIDES)), key=lambda i: sum(_overlap(boxes[i], other) for other in taken))
        taken.append(boxes[best])
        ha, va, dx, dy = _SIDES[best]
        axes.annotate(
            point.label,
            (point.speed, point.accuracy),
            xytext=(dx, dy),
            textcoords="offset points",
            ha=ha,
            va=va,
            fontsize=size,
            color=color,
        )


def _box(x: float, y: float, ha: str, va: str, letters: int, size: float) -> Box:
    """Return about what a name covers; a letter is some 0.58 of its size wide."""
    width, height = 0.58 * size * letters, 1.2 * size
    left = x - {"left": 0.0, "center": 0.5, "right": 1.0}[ha] * width
    low = y - {"bottom": 0.0, "center": 0.5, "top": 1.0}[va] * height
    return left, low, left + width, low + height


def _overlap(a: Box, b: Box) -> float:
    """Return the area that two boxes share."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def _accuracies(entries: Sequence[Entry]) -> tuple[str, str, dict[str, float]]:
    """Return the metric that goes up, the axis's words, and what was measured of it by model."""
    for suite, dataset, metric, axis in ACCURACY:
        found = {
            e.cell.model: value
            for e in entries
            if (e.cell.suite, e.cell.dataset, e.cell.status) == (suite, dataset, "done")
            and (value := e.cell.metrics.get(metric)) is not None
            and e.weights != "random"
        }
        if found:
            return metric, axis, found
    return "ap", ACCURACY[0][3], {}


def _points(table: SpeedTable, metric: str, found: dict[str, float]) -> list[Point]:
    """Return each model's fastest row, for which there is an accuracy, measured or the paper's."""
    best: dict[str, Point] = {}
    for row in table.done:
        assert row.entry is not None
        cell = row.entry.cell
        paper = published.lookup(*PAPER, row.model)
        accuracy = found.get(row.model)
        shown = (
            accuracy if accuracy is not None else (paper.values["ap"] if paper and metric == "ap" else None)
        )
        speed = cell.metrics.get("img_s")
        if shown is None or speed is None or (row.model in best and best[row.model].speed >= speed):
            continue
        low, high = cell.intervals["img_s"]
        how = ", ".join(row.tags)
        best[row.model] = Point(row.model, row.name, speed, (low, high), shown, accuracy is not None, how)
    ways = {point.how for point in best.values()}
    return [
        replace(p, label=_short(p.label) + (f", {p.how}" if len(ways) > 1 else "")) for p in best.values()
    ]


def _paper_points() -> list[Point]:
    points = []
    for model in published.models_of(*PAPER):
        paper = published.lookup(*PAPER, model)
        if paper is not None:
            name = _short(naming.title(model))
            points.append(Point(model, name, paper.values["img_s"], None, paper.values["ap"], False))
    return points


def _short(name: str) -> str:
    return name.removeprefix("EfficientViT-SAM-")


def _caption(table: SpeedTable, points: Sequence[Point], paper: Sequence[Point]) -> str:
    ways = dict.fromkeys(point.how for point in points)
    only = f" ({next(iter(ways))})" if len(ways) == 1 else ""
    parts = [f"Each model's fastest measured way{only} on {table.device}; bars span its rounds."]
    if any(point.measured for point in points):
        parts.append("Filled: accuracy measured too.")
    if not all(point.measured for point in points):
        parts.append("Open circles: speed measured, accuracy the paper's.")
    if paper:
        parts.append("Grey diamonds: both the paper's, one A100, TensorRT fp16, batch 16.")
    return " ".join(parts)
