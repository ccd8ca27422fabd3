"""Numbers of a table as dots with their intervals, beside the published ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sambench.reports.figures.figure import Drawing, Figure
from sambench.reports.figures.labels import name_rows, row_height
from sambench.reports.figures.style import MUTED, WIDTH, Look, Looks
from sambench.reports.model import Column, Row, Table
from sambench.suites.metrics.sizes import SIZES, sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def dots_by_size(
    table: Table, metric: str, title: str, caption: str, salt: str, looks: Looks
) -> Figure | None:
    """Draw a metric overall and by size: a row a model, a panel a size; ``None`` where it has but one number.

    Args:
        table: which may lack some of the sizes.
        metric: as it is called overall.
        title: of the figure.
        caption: what is averaged, without a stop.
        salt: keeps the identifiers of one page apart.
        looks: of the models.
    """
    names = {sized(metric, size) for size in SIZES}
    places = [
        place
        for place, column in enumerate(table.columns)
        if column.metric in names and any(row.values[place].measured is not None for row in table.done)
    ]
    rows = [row for row in table.done if any(row.values[place].measured is not None for place in places)]
    spans = any(row.values[place].interval for row in rows for place in places)
    other = "miou" if metric == "boundary_iou" and any(_metric(row, "miou") for row in rows) else ""
    words = caption + (", with its 95% interval." if spans else ".") + " Upright strokes: IoU." * bool(other)

    def paint(canvas: Canvas) -> None:
        panels = canvas.subplots(1, len(places), sharey=True, squeeze=False)[0]
        for axes, place in zip(panels, places, strict=True):
            column = table.columns[place]
            for y, row in enumerate(reversed(rows)):
                _dot(axes, row, place, y, looks[row.model])
                if other:
                    _stroke(axes, _metric(row, column.metric.replace(metric, other)), y, looks[row.model])
            _head(axes, column)
        name_rows(panels[0], rows)
        canvas.supxlabel("percent", fontsize=9, color=MUTED)
        panels[0].set_ylim(-0.6, len(rows) - 0.4)

    if len(places) < 2:
        return None
    drawing = Drawing(paint, (WIDTH, 0.7 + row_height(rows) * len(rows)), salt)
    return Figure(title, words + key(rows), drawing=drawing)


def _head(axes: Axes, column: Column) -> None:
    axes.set_title(column.title, loc="left", pad=8)
    axes.grid(axis="x")
    axes.margins(x=0.12)
    axes.locator_params(axis="x", nbins=3)


def _metric(row: Row, metric: str) -> float | None:
    """Return another number of a row's cell."""
    return row.entry.cell.metrics.get(metric) if row.entry else None


def _dot(axes: Axes, row: Row, place: int, y: float, look: Look) -> None:
    value = row.values[place]
    if value.measured is None:
        return
    if value.interval:
        axes.plot(value.interval, [y, y], color=look.color, linewidth=1.4, solid_capstyle="butt")
    axes.plot(value.measured, y, marker=look.marker, color=look.color, markersize=4.5)
    ring(axes, value.compared, y, look)


def _stroke(axes: Axes, x: float | None, y: float, look: Look) -> None:
    if x is not None:
        axes.plot([x, x], [y - 0.25, y + 0.25], color=look.color, linewidth=1.2)


def ring(axes: Axes, x: float | None, y: float | None, look: Look) -> None:
    """Mark a published number, where there is one to compare with."""
    if x is not None and y is not None:
        style = {"marker": look.marker, "markersize": 9.5, "mfc": "none", "mec": look.color, "mew": 1.1}
        axes.plot(x, y, clip_on=False, linestyle="none", **style)


def published(table: Table, row: Row, metric: str) -> float | None:
    """Return the published number that a row's may be held against."""
    for column, value in zip(table.columns, row.values, strict=True):
        if column.metric == metric:
            return value.compared
    return None


def key(rows: Iterable[Row]) -> str:
    """Say what hollow markers are, where there are any."""
    compared = any(value.compared is not None for row in rows for value in row.values)
    return " Hollow markers: published." if compared else ""
