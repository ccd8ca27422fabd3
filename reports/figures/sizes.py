"""IoU against the size of the object, without the three bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sambench.reports.figures.figure import Drawing, Figure
from sambench.reports.figures.labels import LINE, End, label, lines_of, name_ends
from sambench.reports.figures.panels import grid_size, paint_grid
from sambench.reports.figures.series import LEAST, BySize, Series, by_size, with_records
from sambench.reports.figures.style import GRID, MUTED, WIDTH, Looks
from sambench.reports.model import Table
from sambench.suites.protocol import MEDIUM_AREA, SMALL_AREA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

TOGETHER = 4
"""Models whose intervals can be told apart in one panel."""
BOUNDS = (SMALL_AREA**0.5, MEDIUM_AREA**0.5)
"""Pixels where small objects end, and where large ones begin."""


def iou_by_size(table: Table, salt: str, looks: Looks) -> Figure:
    """Draw mean IoU against the square root of the object's area."""
    title = "IoU against the size of the object"
    series, missing = with_records(table, looks, clicks=False)
    curves = [by_size(one.scored) for one in series]
    drawn = [(one, curve) for one, curve in zip(series, curves, strict=True) if len(curve.size) > 1]
    caption = (
        "Mean IoU over objects, percent, in half octaves of the square root of their area; bands: 95% "
        f"interval (objects of an image together). Bins of fewer than {LEAST} objects are left out. Upright "
        f"lines: {BOUNDS[0]:.0f} and {BOUNDS[1]:.0f} pixels, where small objects end and large ones begin."
    )
    if not drawn:
        return Figure(title, caption, missing or f"No size has {LEAST} objects.")
    rows = [one.row for one, _ in drawn]
    few = len(drawn) <= TOGETHER
    behind = [_broken([getattr(curve, axis) for _, curve in drawn]) for axis in ("size", "mean")]
    height = max(3.2, 0.8 + LINE * lines_of(rows))

    def paint(canvas: Canvas) -> None:
        if few:
            axes = canvas.subplots()
            for one, curve in drawn:
                _curve(axes, one, curve)
            _scales(axes)
            axes.set_xlabel("square root of the area, pixels")
            axes.set_ylabel("mIoU, percent")
            ends = [
                End(curve.size[-1], curve.mean[-1], label(one.row), one.look.color) for one, curve in drawn
            ]
            name_ends(axes, ends, LINE / height)
            return

        def panel(axes: Axes, place: int) -> str:
            axes.plot(*behind, color=GRID, linewidth=0.9)
            _curve(axes, *drawn[place])
            return ""

        for axes in paint_grid(canvas, rows, panel):
            _scales(axes)
        canvas.supxlabel("square root of the area, pixels", fontsize=9, color=MUTED)
        canvas.supylabel("mIoU, percent", fontsize=9, color=MUTED)

    return Figure(
        title,
        caption + ("" if few else " Grey: the other models."),
        missing,
        Drawing(paint, (WIDTH, height) if few else grid_size(rows), salt),
    )


def _broken(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Put several lines into one, with gaps between them: a page is the smaller for it."""
    return np.concatenate([np.append(part, np.nan) for part in parts])


def _curve(axes: Axes, one: Series, curve: BySize) -> None:
    look = one.look
    axes.fill_between(curve.size, curve.low, curve.high, color=look.color, alpha=0.18, linewidth=0)
    style = {"color": look.color, "linestyle": look.line, "marker": look.marker}
    axes.plot(curve.size, curve.mean, markersize=4, **style)


def _scales(axes: Axes) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_axisbelow(True)
    axes.grid(axis="x", visible=False)
    axes.grid(axis="y")
    for bound in BOUNDS:
        axes.axvline(bound, color=GRID, linewidth=0.9, zorder=0)
