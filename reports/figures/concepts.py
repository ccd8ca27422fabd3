"""The two factors of cgF1: does a model know whether a phrase is in the image, and how good are its masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sambench.reports.figures.figure import Drawing, Figure
from sambench.reports.figures.labels import Name, label, name_points, without_common
from sambench.reports.figures.style import GRID, INK, MUTED, PUBLISHED, SMALL, WIDTH, Look, Looks
from sambench.reports.model import Row, Table, Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PARTS = ("cgf1", "il_mcc", "pmf1")
"""What a table must have: the product, and its factors across and up."""
LEAST = (0.2, 20.0)
"""What the axes span at least, so that models which are alike look alike."""
MARGIN = 0.12
"""Beside the outermost points, as a share of what the points span."""
STEPS = (10, 5, 2, 1)
"""Percent of cgF1 from one line to the next: the first that gives so many:"""
LINES = 5
HEIGHT = 4.4


@dataclass(frozen=True)
class Point:
    """A row's two numbers."""

    row: Row
    across: Value
    up: Value
    what: Literal["measured", "published"]

    @property
    def x(self) -> float:
        """Its IL_MCC."""
        return float(getattr(self.across, self.what))

    @property
    def y(self) -> float:
        """Its pmF1, percent."""
        return float(getattr(self.up, self.what))


def factors(table: Table, salt: str, looks: Looks) -> Figure | None:
    """Draw pmF1 against IL_MCC, a point a row, with lines of equal cgF1; ``None`` where nothing was measured.

    Args:
        table: with `PARTS` among its columns.
        salt: keeps the identifiers of one page apart.
        looks: of the models.
    """
    measured, printed = _points(table, "measured"), _points(table, "published")
    if not measured:
        return None
    rows, common = without_common([point.row for point in measured])
    caption = (
        f"Across: does a model know whether a phrase is in the image; up: its masks where it is{common}. "
        "Lines: equal cgF1, the product of both."
    )

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for point in printed:
            axes.plot(point.x, point.y, PUBLISHED, markersize=4.5, mfc="none", mec=MUTED, mew=0.9)
        for point in measured:
            _mark(axes, point, looks[point.row.model])
        axes.set_xlim(*_span([point.x for point in (*printed, *measured)], LEAST[0], most=1.0))
        axes.set_ylim(*_span([point.y for point in (*printed, *measured)], LEAST[1], most=100.0))
        _equal(axes)
        axes.set_xlabel("IL_MCC")
        axes.set_ylabel("pmF1, percent")
        canvas.draw_without_rendering()  # lays the axes out, so that places on the page are known
        names = [Name(label(row), p.x, p.y, INK, 8.5) for row, p in zip(rows, measured, strict=True)]
        names += [Name(_printed_name(p.row), p.x, p.y, MUTED, SMALL) for p in printed]
        name_points(axes, names, [bar for point in measured for bar in _bars(point)])

    caption += " Grey diamonds: published." if printed else ""
    return Figure("The two factors of cgF1", caption, drawing=Drawing(paint, (WIDTH, HEIGHT), salt))


def _points(table: Table, what: Literal["measured", "published"]) -> list[Point]:
    """Return the rows that have both numbers."""
    metrics = [column.metric for column in table.columns]
    across, up = (metrics.index(name) for name in PARTS[1:])
    every = [Point(row, row.values[across], row.values[up], what) for row in table.rows if row.values]
    return [p for p in every if None not in (getattr(p.across, what), getattr(p.up, what))]


def _printed_name(row: Row) -> str:
    return f"{row.name}, published" if row.measured else row.name


def _mark(axes: Axes, point: Point, look: Look) -> None:
    for x0, y0, x1, y1 in _bars(point):
        axes.plot([x0, x1], [y0, y1], color=look.color, linewidth=1.4, solid_capstyle="butt")
    axes.plot(point.x, point.y, marker=look.marker, color=look.color, markersize=7)


def _bars(point: Point) -> list[tuple[float, float, float, float]]:
    """Return what its intervals cover, x0, y0, x1, y1."""
    across, up = point.across.interval, point.up.interval
    bars = [(across[0], point.y, across[1], point.y)] if across else []
    return bars + ([(point.x, up[0], point.x, up[1])] if up else [])


def _span(values: Sequence[float], least: float, most: float) -> tuple[float, float]:
    """Return both ends of an axis, which shows no more than there can be."""
    wide = max(least, (max(values) - min(values)) * (1 + 2 * MARGIN))
    middle = (max(values) + min(values)) / 2
    high = min(middle + wide / 2, most)
    return min(high - wide, *values), high


def _equal(axes: Axes) -> None:
    """Draw lines on which cgF1 is the same, each with its number where it leaves the frame."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    seen = max(left, 0) * max(low, 0), right * high
    shown = [[n for n in range(step, 100, step) if seen[0] < n < seen[1]] for step in STEPS]
    for cgf1 in next((some for some in shown if len(some) >= LINES), shown[-1]):
        begin, end = max(left, cgf1 / high), min(right, cgf1 / max(low, 1e-9))
        if begin >= end:
            continue
        across = [begin + (end - begin) * step / 50 for step in range(51)]
        axes.plot(across, [cgf1 / x for x in across], color=GRID, linewidth=0.8, zorder=0)
        at, away = ((right, cgf1 / right), (3, 0)) if end == right else ((end, low), (2, 6))
        axes.annotate(
            f"{cgf1}",
            at,
            away,
            textcoords="offset points",
            fontsize=SMALL,
            color=MUTED,
            va="center",
            annotation_clip=False,
        )
