"""Latency: how long a batch takes, and how much longer the slow ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sambench.reports.figures.figure import Drawing, Figure
from sambench.reports.figures.labels import name_rows, numbers_across, row_height, without_common
from sambench.reports.figures.style import WIDTH, Looks
from sambench.reports.model import Row, Table
from sambench.suites.throughput.statistics import PERCENTILES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def latency(table: Table, salt: str, looks: Looks) -> Figure | None:
    """Draw the percentiles of a table's latencies, a row a way of running; ``None`` where it has none."""
    here = any(column.metric.startswith("latency_ms_") for column in table.columns)
    rows, common = without_common([row for row in table.done if here and _percentiles(row)])
    if not rows:
        return None
    title = f"Latency of a batch ({table.title.partition(':')[2].partition(':')[0].strip().lower()})"
    caption = (
        "Marker: the median; ticks: 90% and 95% of the batches took no longer; end of the line: 99%. "
        f"On {table.device}{common}."
    )

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for y, row in enumerate(reversed(rows)):
            _range(axes, row, y, looks)
        name_rows(axes, rows)
        numbers_across(axes)
        axes.grid(axis="x")
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.margins(x=0.06)
        axes.set_xlabel("ms (logarithmic)")

    return Figure(title, caption, drawing=Drawing(paint, (WIDTH, 0.7 + row_height(rows) * len(rows)), salt))


def _range(axes: Axes, row: Row, y: float, looks: Looks) -> None:
    look, found = looks[row.model], _percentiles(row)
    axes.plot([min(found.values()), max(found.values())], [y, y], color=look.color, solid_capstyle="butt")
    for percent, ms in found.items():
        if percent == PERCENTILES[0]:
            axes.plot(ms, y, marker=look.marker, markersize=6, color=look.color)
        else:
            axes.plot([ms, ms], [y - 0.2, y + 0.2], color=look.color, linewidth=1.4)


def _percentiles(row: Row) -> dict[int, float]:
    """Return a row's latencies in milliseconds by percentile."""
    metrics = row.entry.cell.metrics if row.entry else {}
    found = {percent: metrics.get(f"latency_ms_p{percent}") for percent in PERCENTILES}
    return {percent: ms for percent, ms in found.items() if ms is not None and ms > 0}
