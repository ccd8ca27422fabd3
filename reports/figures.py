"""Figures as inline SVG, coloured by the page's CSS so that they read in light and in dark."""

from __future__ import annotations

import html
import io
import itertools
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sambench.reports.model import Row, Table, Value
from sambench.reports.records import read_iou

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

# Drawn in these colours, which become CSS variables of the page (see `_themed`).
INK, MUTED, GRID = "#1f2328", "#656d76", "#d8dee4"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#a6478f", "#b07d00", "#2a9fd6", "#6b5b95", "#7a7a7a")
VARIABLES = {"ink": INK, "muted": MUTED, "grid": GRID} | {f"series-{n}": c for n, c in enumerate(SERIES)}
"""The page's names for them."""
Colors = dict[str, str]
"""Model to colour."""

LINES = ("-", "--", ":", "-.")
"""Of rows in one colour, which are of one model."""

LABEL = 34  # most characters on a line of a label
LINE = 0.2  # inches from one line of a label to the next
STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a model's name may hold a dollar sign
    "font.family": "DejaVu Sans",  # for the layout; the page sets its own
    "font.size": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
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
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption; ``svg`` is empty where it could not be drawn."""

    title: str
    caption: str
    svg: str = ""
    missing: str = ""
    """What was left out for want of records."""

    def file(self, form: str) -> bytes:
        """Return it as a file of its own."""
        assert form == "svg"
        return without_theme(self.svg).encode()


def draw_figures(table: Table, salt: str, colors: Colors) -> list[Figure]:
    """Draw the figures of a table. ``salt`` keeps the identifiers of one page apart."""
    if not table.done or table.part or table.suite not in ("gt_box", "click"):
        return []
    if table.suite == "click":
        return [_clicks_figure(table, f"{salt}-clicks", colors)]
    return [
        _sizes_figure(table, f"{salt}-sizes", colors),
        _distribution_figure(table, f"{salt}-iou", colors),
    ]


def _clicks_figure(table: Table, salt: str, colors: Colors) -> Figure:
    title = "mIoU by number of clicks"
    series, missing = _with_records(table, colors)
    caption = "Mean IoU over objects after each click, percent." + _key(row for _, row, _ in series)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        ends: list[tuple[int, float, str, Row]] = []
        for color, row, iou in series:
            miou = 100 * iou.mean(axis=0)
            line = LINES[[end[2] for end in ends].count(color) % len(LINES)]
            axes.plot(
                range(1, 1 + len(miou)), miou, line, color=color, marker="o", markersize=4, clip_on=False
            )
            ends.append((len(miou), float(miou[-1]), color, row))
            for clicks in (1, 3, 5):
                _ring(axes, clicks, _value(table, row, f"miou_{clicks}").compared, color)
        axes.set_xticks(range(1, 1 + max(end[0] for end in ends)))
        axes.set_xlabel("clicks")
        axes.grid(axis="y")
        axes.margins(x=0.03, y=0.08)
        _label_ends(axes, ends, share=LINE / height)

    height = max(3.6, 0.8 + LINE * sum(1 + _label(row).count("\n") for _, row, _ in series))
    svg = render(draw, (8.2, height), salt, f"{title}. {caption}") if series else ""
    return Figure(title, caption, svg, missing)


def _label_ends(axes: Axes, ends: Sequence[tuple[int, float, str, Row]], share: float) -> None:
    """Name each line at its right end, apart by the ``share`` of the height that a line of text takes."""
    low, high = axes.get_ylim()
    line = (high - low) * share
    rising = sorted(ends, key=lambda end: end[1])
    places: list[float] = []
    for _, y, _, row in rising:
        need = line * 1.1 * (1 + _label(row).count("\n"))
        places.append(max(y, places[-1] + need) if places else y)
    excess = max(0.0, places[-1] - high)
    for (x, y, color, row), place in zip(rising, places, strict=True):
        axes.annotate(
            _label(row, f" {y:.1f}"),
            xy=(x, y),
            xytext=(20, place - excess),
            textcoords=("offset points", "data"),
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.8,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 5,
            },
        )


def _distribution_figure(table: Table, salt: str, colors: Colors) -> Figure:
    title = "IoU of single objects"
    caption = "Objects by IoU, in steps of 0.04, each model to its own scale; tick and number: the median."
    series, missing = _with_records(table, colors)

    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        heights = [np.histogram(iou, bins=25, range=(0, 1))[0] for _, _, iou in series]
        for base, ((color, _, iou), height) in enumerate(reversed([*zip(series, heights, strict=True)])):
            bars = base + 0.74 * height / height.max()
            axes.stairs(bars, np.linspace(0, 1, 26), baseline=base, fill=True, color=color)
            axes.axhline(base, color=GRID, linewidth=0.8)
            median = float(np.median(iou))
            axes.plot([median, median], [base - 0.14, base], color=INK, linewidth=1.6)
            axes.text(1.02, base + 0.3, f"{median:.2f}", va="center", clip_on=False)
        _name_rows(axes, [row for _, row, _ in series], shift=0.3)
        axes.set_xlim(0, 1)
        axes.set_ylim(-0.2, len(series) - 0.1)
        axes.set_xlabel("IoU")
        axes.spines["bottom"].set_visible(False)

    svg = render(draw, _size([row for _, row, _ in series]), salt, f"{title}. {caption}") if series else ""
    return Figure(title, caption, svg, missing)


def _sizes_figure(table: Table, salt: str, colors: Colors) -> Figure:
    title = "mIoU by size of the object"
    rows = table.done
    caption = "Mean IoU over objects, percent, with its 95% interval." + _key(rows)

    def draw(canvas: Canvas) -> None:
        panels = canvas.subplots(1, len(table.columns), sharex=True, sharey=True)
        for place, (axes, column) in enumerate(zip(panels, table.columns, strict=True)):
            for y, row in enumerate(reversed(rows)):
                _dot(axes, row.values[place], y, colors[row.model])
            axes.set_title(column.title, loc="left", pad=8)
            axes.grid(axis="x")
            axes.locator_params(axis="x", nbins=3)
        _name_rows(panels[0], rows, shift=0)
        panels[0].margins(x=0.15)
        panels[0].set_ylim(-0.6, len(rows) - 0.4)

    return Figure(title, caption, render(draw, _size(rows), salt, f"{title}. {caption}"))


def _dot(axes: Axes, value: Value, y: float, color: str) -> None:
    if value.measured is None:
        return
    if value.interval:
        axes.plot(value.interval, [y, y], color=color, linewidth=1.4, solid_capstyle="butt")
    axes.plot(value.measured, y, "o", color=color, markersize=4)
    _ring(axes, value.compared, y, color)


def _ring(axes: Axes, x: float | None, y: float | None, color: str) -> None:
    """Mark a published number, where there is one to compare with."""
    if x is not None and y is not None:
        axes.plot(x, y, "o", markersize=9, mfc="none", mec=color, mew=1.2, clip_on=False)


def _key(rows: Iterable[Row]) -> str:
    compared = any(value.compared is not None for row in rows for value in row.values)
    return " Hollow markers: published." if compared else ""


def _with_records(table: Table, colors: Colors) -> tuple[list[tuple[str, Row, np.ndarray]], str]:
    """Return (colour, row, IoUs) of the rows with records, and a note on those without."""
    found = [(colors[row.model], row, read_iou(row.entry)) for row in table.done if row.entry]
    absent = "; ".join(", ".join([row.name, *row.said]) for _, row, iou in found if iou is None)
    note = f"Left out, because their records were not found: {absent}." if absent else ""
    return [(color, row, iou) for color, row, iou in found if iou is not None], note


def _name_rows(axes: Axes, rows: Sequence[Row], shift: float) -> None:
    """Label the rows of a figure by model, the first on top."""
    axes.set_yticks([len(rows) - 1 - place + shift for place in range(len(rows))], [_label(r) for r in rows])
    axes.tick_params(axis="y", labelcolor=INK)


def _label(row: Row, suffix: str = "") -> str:
    """Return a row's name, and beneath it what tells it from others."""
    name = row.name if len(row.name) <= LABEL else row.name[: LABEL - 1] + "\u2026"
    return "\n".join([name + suffix, *textwrap.wrap(", ".join(row.said), LABEL)])


def model_colors(models: Iterable[str]) -> Colors:
    """Return the colour of each model, the same on the whole page."""
    return dict(zip(dict.fromkeys(models), itertools.cycle(SERIES), strict=False))


def _value(table: Table, row: Row, metric: str) -> Value:
    return row.values[[column.metric for column in table.columns].index(metric)]


def _size(rows: Sequence[Row]) -> tuple[float, float]:
    """Return width and height in inches: each row has room for the longest label."""
    lines = max(1 + _label(row).count("\n") for row in rows)
    return 5.6, 0.8 + max(0.42, 0.16 * lines) * len(rows)


def render(draw: Callable[[Canvas], None], size: tuple[float, float], salt: str, label: str) -> str:
    """Draw a figure of ``size`` inches as SVG; ``label`` is read out in its place."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    out = io.StringIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**STYLE, "svg.hashsalt": salt})
        canvas = Canvas(figsize=size, layout="constrained")
        draw(canvas)
        canvas.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Format", "Type", "Creator")))
    return _themed(out.getvalue(), label)


def _themed(svg: str, label: str) -> str:
    """Make matplotlib's file fit for a page: no header, no fixed identifiers, colours as variables."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for name, color in VARIABLES.items():
        svg = svg.replace(color, f"var(--{name})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1)


def without_theme(svg: str) -> str:
    """Return a figure of the page as a file of its own: with colours instead of the page's variables."""
    return re.sub(r"var\(--([\w-]+)\)", lambda found: VARIABLES.get(found[1], found[0]), svg)
