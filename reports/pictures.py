"""Pictures of masks over their image: a row for each model, a column for each way of prompting it."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sambench.adapters.extras import missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PIXELS = 1200  # of an image's longer side; a larger one is drawn smaller
CELL_WIDTH = 4.2  # inches
DPI = 150
OPACITY = 0.5  # of a mask over its image
WHITE = 0.6  # share of white in an outline: a blue mask must stand out against the sky
COLOR_SEED = 0
LONE_MASK = (0.12, 0.47, 0.95)
PROMPT = "#ffd500"
STYLE: Any = {"font.family": "DejaVu Sans", "font.size": 9, "text.parse_math": False}

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Cell:
    """One way of prompting a model, and its answer."""

    title: str
    masks: Sequence[np.ndarray] = ()
    """Each (H, W) bool."""
    point: tuple[float, float] | None = None
    """x y of the click, to be drawn."""
    box: tuple[float, float, float, float] | None = None
    """x0 y0 x1 y1, to be drawn."""
    note: str = ""
    """What is said over the image where there is no answer."""


@dataclass(frozen=True)
class Row:
    """One model."""

    label: str
    cells: tuple[Cell, ...]


def draw(image: np.ndarray, rows: Sequence[Row]) -> bytes:
    """Draw the cells of all rows over an image (H, W, 3) uint8 and return the PNG; all rows are as long.

    Raises:
        SambenchError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing("show", error, "report") from None
    step = -(-max(image.shape[:2]) // MOST_PIXELS)
    small = np.asarray(Image.fromarray(image).reduce(step))
    height = CELL_WIDTH * image.shape[0] / image.shape[1] + 0.35  # with the line of its title
    out = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        columns = len(rows[0].cells)
        figure = Figure(
            figsize=(CELL_WIDTH * columns + 0.4, height * len(rows)), dpi=DPI, layout="constrained"
        )
        grid = figure.subplots(len(rows), columns, squeeze=False)
        for row, line in zip(rows, grid, strict=True):
            line[0].set_ylabel(row.label, fontsize=10)
            for cell, axes in zip(row.cells, line, strict=True):
                _draw_cell(axes, small, image.shape[:2], cell, step)
        figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _draw_cell(axes: Axes, small: np.ndarray, size: tuple[int, ...], cell: Cell, step: int) -> None:
    """Draw one cell in the frame of the original image, of ``size`` (H, W)."""
    masks = [mask[::step, ::step] for mask in cell.masks]
    colors = [LONE_MASK] if len(masks) == 1 else distinct_colors(len(masks))
    axes.imshow(paint(small, masks, colors), extent=(0, size[1], size[0], 0), interpolation="antialiased")
    axes.set_title(cell.title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    if cell.box is not None:
        x0, y0, x1, y1 = cell.box
        corners = [x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0]
        axes.plot(*corners, color="black", linewidth=3, alpha=0.6)
        axes.plot(*corners, color=PROMPT, linewidth=1.6)
    if cell.point is not None:
        x, y = (v + 0.5 for v in cell.point)  # a click names a pixel; its centre is half a pixel on
        axes.plot(x, y, "*", color=PROMPT, markersize=13, markeredgecolor="black")
    axes.set_xlim(0, size[1])
    axes.set_ylim(size[0], 0)
    if cell.note:
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "boxstyle": "round"}
        axes.text(
            0.5, 0.5, cell.note, transform=axes.transAxes, ha="center", va="center", wrap=True, bbox=box
        )


def paint(image: np.ndarray, masks: Sequence[np.ndarray], colors: Sequence[RGB]) -> np.ndarray:
    """Lay masks over an image, each in its colour with a bright outline, large ones beneath small ones.

    Args:
        image: (H, W, 3) uint8.
        masks: each (H, W) bool.
        colors: red, green and blue of each mask, 0 to 1.

    Returns:
        (H, W, 3) uint8.
    """
    painted = image.copy()
    width = max(1, round(max(image.shape[:2]) / 400))
    for i in sorted(range(len(masks)), key=lambda i: -np.count_nonzero(masks[i])):
        mask, color = masks[i], np.array(colors[i]) * 255
        painted[mask] = (1 - OPACITY) * image[mask] + OPACITY * color
        painted[mask & ~_shrunk(mask, width)] = (1 - WHITE) * color + WHITE * 255
    return painted


def _shrunk(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Return a mask (H, W) without its outermost pixels; the image's edge is none of its own."""
    for _ in range(pixels):
        wide = np.pad(mask, 1, mode="edge")
        mask = mask & wide[2:, 1:-1] & wide[:-2, 1:-1] & wide[1:-1, 2:] & wide[1:-1, :-2]
    return mask


def distinct_colors(n: int) -> list[RGB]:
    """Return n colours, evenly spaced hues in an order that is always the same."""
    rng = np.random.default_rng(COLOR_SEED)
    hues = rng.permutation(n) / max(n, 1)
    values = rng.uniform(0.7, 1.0, n)  # neighbours in hue differ in brightness
    return [colorsys.hsv_to_rgb(hue, 0.85, value) for hue, value in zip(hues, values, strict=True)]
