"""How figures look: colours, markers and lines that tell thirteen models apart, without colour too."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# Drawn in these colours, which become CSS variables on the page (see `figure`).
INK, MUTED, GRID = "#1f2328", "#656d76", "#d8dee4"
SERIES = ("#026aff", "#e37818", "#02563e", "#a11b88", "#6f4c07", "#1d96e2", "#0a0a0a", "#949494")
"""The hues of Okabe and Ito, their lightness moved until any two are 28 apart (CIE76) for readers without red
or green cones too (Machado et al. 2009) and each stands out from white by 3 to 1."""
VARIABLES = {"ink": INK, "muted": MUTED, "grid": GRID} | {f"series-{n}": c for n, c in enumerate(SERIES)}
"""The page's names for them."""

MARKERS: tuple[Any, ...] = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", (4, 1, 0), "h")
PUBLISHED = "d"
"""The marker of published numbers, which no model has."""
LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)), (0, (2.5, 1)))

SMALL = 8.0
"""Points of the smallest text: 10.7 pixels on a screen, and 7 where print makes it a tenth smaller."""
WIDTH = 6.6
"""Inches of a figure: as wide as the text of a page, so that print need not make it smaller."""

STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a model's name may hold a dollar sign
    "font.family": "DejaVu Sans",  # for the layout; the page sets its own
    "font.size": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 9,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Look:
    """How one model, or one row of it, is drawn."""

    color: str
    marker: Any
    line: Any = "-"


Looks = dict[str, Look]
"""Model to its look."""


def model_looks(models: Iterable[str]) -> Looks:
    """Return the look of each model, the same on the whole page; no two of thirteen have the same marker."""
    return {
        model: Look(SERIES[n % len(SERIES)], MARKERS[n % len(MARKERS)], LINES[n // len(SERIES) % len(LINES)])
        for n, model in enumerate(dict.fromkeys(models))
    }


def row_looks(models: Sequence[str], looks: Looks) -> list[Look]:
    """Return the look of each row of a figure: those of one model differ by their lines."""
    seen: collections.Counter[str] = collections.Counter()
    found = []
    for model in models:
        own = looks[model]
        line = LINES[(LINES.index(own.line) + seen[model]) % len(LINES)]
        seen[model] += 1
        found.append(Look(own.color, own.marker, line))
    return found
