"""Figures of single objects: how their IoUs are distributed, and how well a model knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sambench.reports.figures.figure import Drawing, Figure
from sambench.reports.figures.labels import name_rows, row_height
from sambench.reports.figures.panels import grid_size, paint_grid
from sambench.reports.figures.series import LEAST, Series, left_out, with_records
from sambench.reports.figures.style import GRID, INK, LINES, MUTED, WIDTH, Looks
from sambench.reports.model import Table
from sambench.suites.metrics.calibration import BINS, Reliability, reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

CLICKS = (1, 3, 5)
"""After which predicted IoU is held beside the true one, as in the tables."""


def distribution(table: Table, salt: str, looks: Looks) -> Figure:
    """Draw how many objects have which IoU."""
    title = "IoU of single objects"
    caption = "Objects by IoU, in steps of 0.04, each model to its own scale; tick and number: the median."
    series, missing = with_records(table, looks, clicks=False)
    rows = [one.row for one in series]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for base, one in enumerate(reversed(series)):
            iou = np.clip(one.scored.iou, 0, 1)
            height = np.histogram(iou, bins=25, range=(0, 1))[0]
            bars = base + 0.74 * height / height.max()
            axes.stairs(bars, np.linspace(0, 1, 26), baseline=base, fill=True, color=one.look.color)
            axes.axhline(base, color=GRID, linewidth=0.8)
            median = float(np.median(iou))
            axes.plot([median, median], [base - 0.14, base], color=INK, linewidth=1.6)
            axes.text(1.02, base + 0.3, f"{median:.2f}", va="center", clip_on=False)
        name_rows(axes, rows, shift=0.3)
        axes.set_xlim(0, 1)
        axes.set_ylim(-0.2, len(rows) - 0.1)
        axes.set_xlabel("IoU")
        axes.spines["bottom"].set_visible(False)

    if not series:
        return Figure(title, caption, missing)
    drawing = Drawing(paint, (WIDTH, 0.7 + max(0.4, row_height(rows)) * len(rows)), salt)
    return Figure(title, caption, missing, drawing)


def calibration(table: Table, salt: str, looks: Looks) -> Figure:
    """Draw the true IoU against what the models took it to be, a panel a row."""
    title = "IoU against predicted IoU"
    every, missing = with_records(table, looks)
    found = [(one, _reliabilities(one)) for one in every]
    drawn = [(one, its) for one, its in found if its]
    none = left_out((one.row for one, its in found if not its), "no predicted IoU was recorded")
    missing = " ".join(filter(None, [missing, none]))
    clicks = [k for k in CLICKS if any(k in its for _, its in drawn)]
    caption = (
        f"Mean IoU of the objects in each of {BINS} bins of predicted IoU; on the diagonal a model knows its "
        f"masks, below it thinks too well of them. Bins of fewer than {LEAST} objects are not drawn. Error: "
        "the mean over objects of how far their bin is from the diagonal."
    )
    if clicks:
        lines = ("solid", "dashed", "dotted")
        named = ", ".join(f"{k} ({line})" for k, line in zip(CLICKS, lines, strict=True) if k in clicks)
        caption += f" After clicks: {named}."
    rows = [one.row for one, _ in drawn]

    def paint(canvas: Canvas) -> None:
        def panel(axes: Axes, place: int) -> str:
            one, its = drawn[place]
            axes.axline((0, 0), slope=1, color=MUTED, linewidth=0.8)
            for line, found in zip(LINES, its.values(), strict=False):
                shown = found.objects >= LEAST
                style = {"color": one.look.color, "marker": one.look.marker, "linestyle": line}
                axes.plot(found.predicted[shown], found.actual[shown], linewidth=1.2, markersize=3.5, **style)
            return "error " + ", ".join(f"{found.error:.3f}" for found in its.values())

        for axes in paint_grid(canvas, rows, panel):
            axes.set_xlim(0, 1.02)
            axes.set_ylim(0, 1.02)
            axes.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
            axes.set_yticks((0, 0.5, 1), ("0", "0.5", "1"))
        canvas.supxlabel("predicted IoU", fontsize=9, color=MUTED)
        canvas.supylabel("IoU", fontsize=9, color=MUTED)

    drawing = Drawing(paint, grid_size(rows, extra=1), salt) if drawn else None
    return Figure(title, caption, missing, drawing)


def _reliabilities(one: Series) -> dict[int, Reliability]:
    """Return the bins of a row by number of clicks, by 0 where each object had one prompt."""
    predicted, iou = one.scored.predicted, one.scored.iou
    if predicted is None:
        return {}
    if iou.ndim == 1:
        pairs = {0: (predicted, iou)}
    else:
        pairs = {k: (predicted[:, k - 1], iou[:, k - 1]) for k in CLICKS if k <= iou.shape[1]}
    known = {k: (own[there], true[there]) for k, (own, true) in pairs.items() for there in [np.isfinite(own)]}
    return {k: reliability(own, true) for k, (own, true) in known.items() if len(own)}
