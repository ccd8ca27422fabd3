"""The paper's figure 1: accuracy against throughput, both as far as they were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sambench.reports import published
from sambench.reports.cells import Entry
from sambench.reports.figures import INK, MUTED, Colors, Figure, render
from sambench.reports.model import Table
from sambench.reports.speed import PAPER
from sambench.reports.speed_points import Point, Points, find_points
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


def draw_speed(table: Table, entries: Sequence[Entry], salt: str, colors: Colors) -> list[Figure]:
    """Draw accuracy against the throughput of a headline table.

    Args:
        table: of one device.
        entries: all cells of the report, those with accuracies among them.
        salt: keeps the identifiers of one page apart.
        colors: of the models.
    """
    if not table.headline:
        return []
    points = find_points(table, entries)
    if not points.shown:
        return []
    marks = _marks(points.shown)
    paper = _paper_marks() if points.metric == "ap" else []
    title = f"Accuracy against throughput ({table.title.lower()})"
    caption = _caption(table, points, paper)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        for mark in paper:
            axes.plot(mark.speed, mark.accuracy, "D", markersize=4.5, mfc="none", mec=MUTED, mew=0.9)
        for point in points.shown:
            color = colors[point.row.model]
            axes.plot(point.interval, [point.accuracy] * 2, color=color, solid_capstyle="butt")
            axes.plot(
                point.speed,
                point.accuracy,
                "o",
                markersize=7,
                color=color,
                mfc=color if point.source else "none",
                mew=1.5,
            )
        axes.set_xlabel("images per second, logarithmic")
        axes.set_ylabel(points.axis)
        axes.grid(which="major")
        axes.margins(x=0.12, y=0.14)
        canvas.draw_without_rendering()  # lays the axes out, so that places on the page are known
        _name_marks(axes, [(m, INK, 8.5) for m in marks] + [(m, MUTED, 7.5) for m in paper])

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


def _name_marks(axes: Axes, marks: Sequence[tuple[Mark, str, float]]) -> None:
    """Write each mark's name where it covers the least of other names and marks."""
    scale = 72 / axes.figure.dpi  # to points, 72 to the inch
    places = [axes.transData.transform((m.speed, m.accuracy)) * scale for m, _, _ in marks]
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in places]
    for (mark, color, size), (x, y) in zip(marks, places, strict=True):
        boxes = [_box(x + dx, y + dy, ha, va, len(mark.label), size) for ha, va, dx, dy in _SIDES]
        best = min(range(len(_SIDES)), key=lambda i: sum(_overlap(boxes[i], other) for other in taken))
        taken.append(boxes[best])
        ha, va, dx, dy = _SIDES[best]
        axes.annotate(
            mark.label,
            (mark.speed, mark.accuracy),
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


def _marks(points: Sequence[Point]) -> list[Mark]:
    """Name the points; what is said of all of them stands in the caption."""
    common = _common(points)
    own = [", ".join(words for words in point.row.said if words not in common) for point in points]
    return [
        Mark(", ".join(filter(None, [_short(point.row.name), words])), point.speed, point.accuracy)
        for point, words in zip(points, own, strict=True)
    ]


def _common(points: Sequence[Point]) -> list[str]:
    """Return what is said of every point."""
    return [words for words in points[0].row.said if all(words in point.row.said for point in points)]


def _paper_marks() -> list[Mark]:
    marks = []
    for model in published.models_of(*PAPER):
        paper = published.lookup(*PAPER, model)
        if paper is not None:
            marks.append(Mark(_short(naming.title(model)), paper.values["img_s"], paper.values["ap"]))
    return marks


def _short(name: str) -> str:
    return name.removeprefix("EfficientViT-SAM-")


def _caption(table: Table, points: Points, paper: Sequence[Mark]) -> str:
    common = _common(points.shown)
    how = f" ({', '.join(common)})" if common else ""
    parts = [f"Each checkpoint's fastest way{how} on {table.device}; bars span its rounds."]
    if presets := dict.fromkeys(str(p.source.cell.protocol["preset"]) for p in points.shown if p.source):
        which = " and ".join(presets)
        parts.append(f"Filled: accuracy measured too, of the same artifact on all of COCO, protocol {which}.")
    if any(point.source is None for point in points.shown):
        parts.append("Open circles: speed measured, accuracy the paper's, of another artifact.")
    if points.unmatched:
        parts.append(f"Accuracies of another artifact or of other data: {'; '.join(points.unmatched)}.")
    if points.left_out:
        parts.append(f"Left out, accuracy neither measured nor the paper's: {'; '.join(points.left_out)}.")
    if paper:
        parts.append("Grey diamonds: both the paper's, one A100, TensorRT fp16, batch 16.")
    return " ".join(parts)
