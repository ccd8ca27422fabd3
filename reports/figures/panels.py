"""Lines of many rows: all in one panel where few are, else a panel a row with the others in grey behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sambench.reports.figures.labels import label
from sambench.reports.figures.style import SMALL, WIDTH
from sambench.reports.model import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

ACROSS = 4
"""Panels beside each other."""
LETTERS = 24
"""Of a panel's heading on a line."""


def grid_size(rows: Sequence[Row], extra: int = 0) -> tuple[float, float]:
    """Return inches of a figure with a panel a row, whose heading has ``extra`` lines beneath the name."""
    across, down = _shape(len(rows))
    heading = max(1 + label(row, width=LETTERS).count("\n") for row in rows) + extra
    width = WIDTH if across > 2 else 2.6 * across + 0.6
    return width, 0.45 + down * (1.35 + 0.17 * heading)


def _shape(panels: int) -> tuple[int, int]:
    """Return how many panels are side by side, and how many rows of them there are, filled evenly."""
    down = math.ceil(panels / ACROSS)
    return math.ceil(panels / down), down


def paint_grid(canvas: Canvas, rows: Sequence[Row], paint: Callable[[Axes, int], str]) -> list[Axes]:
    """Draw a panel a row, headed by its name and by what ``paint`` returns of it, and return the panels."""
    across, down = _shape(len(rows))
    every = canvas.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in every[len(rows) :]:
        axes.set_visible(False)
    for place, (axes, row) in enumerate(zip(every, rows, strict=False)):
        told = paint(axes, place)
        heading = "\n".join(filter(None, [label(row, width=LETTERS), told]))
        axes.set_title(heading, loc="left", fontsize=SMALL, linespacing=1.15)
        axes.grid()
        if place + across >= len(rows):  # nothing below it: the numbers stand here
            axes.xaxis.set_tick_params(labelbottom=True)
    return list(every[: len(rows)])
