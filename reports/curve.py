"""The curve of a training: its loss step by step, and what the suites said of it on the way."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sambench.reports.figures.style import SERIES, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOW = 0.01  # share of the steps that the loss is averaged over
SIZE = (9.0, 3.2)  # inches
TITLES = {
    "box": "boxes, mIoU %",
    "click_1": "1 click, mIoU %",
    "click_3": "3 clicks, mIoU %",
    "click_5": "5 clicks, mIoU %",
    "embedding": "embedding, mean squared error",
}


def draw_curve(lines: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """Draw the lines of a ``metrics.jsonl`` as PNG: the loss at the left, validations at the right.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.figure import Figure

    steps = [line for line in lines if line.get("loss") is not None]
    scores = [line for line in lines if "validation" in line]
    with matplotlib.rc_context(STYLE | {"figure.facecolor": "white", "savefig.facecolor": "white"}):
        figure = Figure(figsize=SIZE, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        left, right = figure.subplots(1, 2)
        _loss(left, steps)
        _scores(right, scores)
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()


def _loss(axes: Axes, steps: Sequence[Mapping[str, Any]]) -> None:
    """The loss, averaged; its scale is logarithmic, for it falls by tens."""
    x, y = (np.array([line[key] for line in steps], float) for key in ("step", "loss"))
    axes.set_title("loss of a step", loc="left")
    axes.set_xlabel("step")
    axes.grid(axis="y")
    if len(x) == 0:
        return
    width = max(int(WINDOW * len(x)), 1)
    smooth = np.convolve(y, np.ones(width) / width, mode="valid")
    axes.plot(x, y, color=SERIES[0], alpha=0.2, linewidth=0.6)
    axes.plot(x[width - 1 :], smooth, color=SERIES[0])
    if y.min() > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _scores(axes: Axes, scores: Sequence[Mapping[str, Any]]) -> None:
    """Each metric, named at the end of its line."""
    axes.set_title("validation", loc="left")
    axes.set_xlabel("step")
    axes.grid(axis="y")
    names = list(dict.fromkeys(name for line in scores for name in line["validation"]))
    for name, color in zip(names, SERIES, strict=False):
        points = [(line["step"], line["validation"][name]) for line in scores if name in line["validation"]]
        axes.plot(
            *zip(*points, strict=True), color=color, marker="o", markersize=3, label=TITLES.get(name, name)
        )
    if names:
        axes.legend(frameon=False, fontsize=8, labelcolor="linecolor")
