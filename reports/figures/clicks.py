"""Figures of clicks: mIoU after each, and how many objects have reached a quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sambench.reports.figures.dots import key, published, ring
from sambench.reports.figures.figure import Drawing, Figure
from sambench.reports.figures.labels import LINE, End, label, lines_of, name_ends
from sambench.reports.figures.series import shares_reached, with_records
from sambench.reports.figures.style import WIDTH, Look, Looks
from sambench.reports.model import Table
from sambench.suites.metrics.clicks import QUALITIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

HEIGHT = 3.4
"""Inches, where names do not need more."""


def miou_by_clicks(table: Table, salt: str, looks: Looks) -> Figure:
    """Draw mIoU after each click; published numbers are hollow."""
    title = "mIoU by number of clicks"
    series, missing = with_records(table, looks, clicks=True)
    caption = "Mean IoU over objects after each click, percent." + key(one.row for one in series)
    height = max(HEIGHT, 0.8 + LINE * lines_of([one.row for one in series]))

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        ends = []
        for one in series:
            miou = 100 * one.scored.iou.mean(axis=0)
            _line(axes, miou, one.look)
            ends.append(End(len(miou), miou[-1], label(one.row, f" {miou[-1]:.1f}"), one.look.color))
            for k in range(1, 1 + len(miou)):
                ring(axes, k, published(table, one.row, f"miou_{k}"), one.look)
        _clicks_axis(axes, max(end.x for end in ends))
        axes.set_ylabel("mIoU, percent")
        axes.margins(y=0.06)
        name_ends(axes, ends, LINE / height)

    drawing = Drawing(paint, (WIDTH, height), salt) if series else None
    return Figure(title, caption, missing, drawing)


def share_by_clicks(table: Table, salt: str, looks: Looks) -> Figure:
    """Draw, for each quality, the share of the objects that have reached it by each number of clicks."""
    title = "Objects that reached a quality, by number of clicks"
    series, missing = with_records(table, looks, clicks=True)
    caption = (
        "Share of the objects whose IoU was that quality or better after this many clicks or fewer, percent. "
        "Names stand in the order of the share at the right."
    )
    height = max(HEIGHT, 0.8 + LINE * lines_of([one.row for one in series]))

    def paint(canvas: Canvas) -> None:
        panels = canvas.subplots(1, len(QUALITIES), sharey=True)
        for axes, quality in zip(panels, QUALITIES, strict=True):
            ends = []
            for one in series:
                share = shares_reached(one.scored.iou, quality / 100)
                _line(axes, share, one.look)
                ends.append(End(len(share), share[-1], label(one.row, width=20), one.look.color))
            _clicks_axis(axes, max(end.x for end in ends))
            axes.set_title(f"IoU {quality}% or better", loc="left")
        panels[0].set_ylabel("objects, percent")
        axes.set_ylim(bottom=0)
        name_ends(axes, ends, LINE / height)

    drawing = Drawing(paint, (WIDTH, height), salt) if series else None
    return Figure(title, caption, missing, drawing)


def _line(axes: Axes, values: np.ndarray, look: Look) -> None:
    """Draw a number after each click."""
    style = {"color": look.color, "linestyle": look.line, "marker": look.marker}
    axes.plot(range(1, 1 + len(values)), values, markersize=5, clip_on=False, **style)


def _clicks_axis(axes: Axes, clicks: float) -> None:
    axes.set_xticks(range(1, 1 + int(clicks)))
    axes.set_xlabel("clicks")
    axes.grid(axis="y")
    axes.margins(x=0.04)
