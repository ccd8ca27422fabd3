"""Names in figures: of rows, at the ends of lines, beside points."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sambench.reports.figures.style import INK
from sambench.reports.model import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

LONGEST = 28  # most characters on a line of a label
_GLUE = "\N{NO-BREAK SPACE}"
LINE = 0.19  # inches from one line of a label to the next


def label(row: Row, suffix: str = "", width: int = LONGEST) -> str:
    """Return a row's name, and beneath it what tells it from others."""
    whole = [words.replace(" ", _GLUE) for words in row.said]  # lines break between them
    said = textwrap.wrap(", ".join(whole), width)
    return "\n".join([shortened(row.name, width) + suffix, *(line.replace(_GLUE, " ") for line in said)])


def shortened(name: str, width: int = LONGEST) -> str:
    """Return a name that fits on a line."""
    return name if len(name) <= width else name[: width - 1] + "\u2026"


def without_common(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """Return rows without what is said of every one of them, and that in brackets, for the caption."""
    common = [words for words in (rows[0].said if rows else ()) if all(words in row.said for row in rows)]
    shorter = [
        dataclasses.replace(
            row,
            departures=tuple(words for words in row.departures if words not in common),
            tags=tuple(words for words in row.tags if words not in common),
        )
        for row in rows
    ]
    return shorter, f" ({', '.join(common)})" if common else ""


def lines_of(rows: Sequence[Row]) -> int:
    """Count the lines of the labels of some rows."""
    return sum(1 + label(row).count("\n") for row in rows)


def row_height(rows: Sequence[Row]) -> float:
    """Return how many inches a row takes which has room for the longest of the labels."""
    return max(0.34, 0.16 * max(1 + label(row).count("\n") for row in rows) + 0.06)


def name_rows(axes: Axes, rows: Sequence[Row], shift: float = 0.0) -> None:
    """Label the rows of a figure by model, the first on top."""
    axes.set_yticks([len(rows) - 1 - n + shift for n in range(len(rows))], [label(row) for row in rows])
    axes.tick_params(axis="y", labelcolor=INK)


@dataclass(frozen=True)
class End:
    """The right end of a line, in the units of its axes, with its name."""

    x: float
    y: float
    text: str
    color: str


def spread(wanted: Sequence[float], needs: Sequence[float], top: float) -> list[float]:
    """Move the middles of labels apart, upwards, and then all of those that went too far back down.

    Args:
        wanted: where each would stand, rising.
        needs: how much room each takes.
        top: that none should stand above, as far as there is room.
    """
    places: list[float] = []
    for n, (place, need) in enumerate(zip(wanted, needs, strict=True)):
        places.append(max(place, places[-1] + (needs[n - 1] + need) / 2) if places else place)
    for n in reversed(range(len(places))):
        limit = top if n == len(places) - 1 else places[n + 1] - (needs[n] + needs[n + 1]) / 2
        places[n] = min(places[n], limit)
    return places


def name_ends(axes: Axes, ends: Sequence[End], line: float) -> None:
    """Name each line at its right end; ``line`` is the share of the height that a line of text takes."""
    if not ends:
        return
    low, high = axes.get_ylim()
    rising = sorted(ends, key=lambda end: end.y)
    needs = [(high - low) * line * (1 + end.text.count("\n")) for end in rising]
    right = max(end.x for end in ends)
    for end, place in zip(rising, spread([end.y for end in rising], needs, high), strict=True):
        arrow = {"arrowstyle": "-", "color": end.color, "linewidth": 0.8, "relpos": (0, 0.5)}
        axes.annotate(
            end.text,
            xy=(end.x, end.y),
            xytext=(right, place),
            xycoords="data",
            textcoords=_beside(axes),
            va="center",
            annotation_clip=False,
            arrowprops=arrow | {"shrinkA": 2, "shrinkB": 5},
        )


def _beside(axes: Axes, points: float = 22) -> Transform:
    """Return coordinates that stand some points to the right of the data's."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transData + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


@dataclass(frozen=True)
class Name:
    """The name of a point, in the units of its axes."""

    text: str
    x: float
    y: float
    color: str
    size: float
    """Points."""


Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in points of the page."""

_SIDES = tuple(
    (across, up, dx * far, dy * far)
    for far in (1.0, 2.2, 3.6)
    for across, up, dx, dy in (
        ("center", "bottom", 0, 7),
        ("center", "top", 0, -7),
        ("left", "center", 8, 0),
        ("right", "center", -8, 0),
        ("left", "bottom", 6, 5),
        ("left", "top", 6, -5),
        ("right", "bottom", -6, 5),
        ("right", "top", -6, -5),
    )
)
"""Where a name may stand beside its point, the best first: alignments, and the way there in points."""
_NEAR = 10
"""Points of the way from which on a line leads to the name."""


def name_points(axes: Axes, names: Sequence[Name], avoid: Sequence[Box] = ()) -> None:
    """Write each point's name where it covers the least of other names and points.

    The figure must be laid out, so that places on the page are known.

    Args:
        axes: where the points are.
        names: the most important first.
        avoid: x0, y0, x1, y1 of what else should not be covered, in the units of the axes.
    """
    scale = 72 / axes.figure.dpi  # to points, 72 to the inch
    frame = axes.bbox
    inside = (frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)
    places = [axes.transData.transform((name.x, name.y)) * scale for name in names]
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in places]
    corners = [axes.transData.transform([box[:2], box[2:]]) * scale for box in avoid]
    taken += [(low[0] - 1, low[1] - 1, high[0] + 1, high[1] + 1) for low, high in corners]
    for name, (x, y) in zip(names, places, strict=True):
        boxes = [_box(x + dx, y + dy, ha, va, name) for ha, va, dx, dy in _SIDES]
        costs = [
            sum(_overlap(box, other) for other in taken) + 3 * (_area(box) - _overlap(box, inside)) + n / 2
            for n, box in enumerate(boxes)
        ]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        ha, va, dx, dy = _SIDES[best]
        line = {"arrowstyle": "-", "color": name.color, "linewidth": 0.5, "shrinkB": 4}
        axes.annotate(
            name.text,
            (name.x, name.y),
            xytext=(dx, dy),
            textcoords="offset points",
            ha=ha,
            va=va,
            fontsize=name.size,
            color=name.color,
            arrowprops=line if max(abs(dx), abs(dy)) > _NEAR else None,
        )


def _box(x: float, y: float, ha: str, va: str, name: Name) -> Box:
    """Return about what a name covers; a letter is some 0.6 of its size wide."""
    lines = name.text.split("\n")
    width, height = 0.6 * name.size * max(map(len, lines)), 1.2 * name.size * len(lines)
    left = x - {"left": 0.0, "center": 0.5, "right": 1.0}[ha] * width
    low = y - {"bottom": 0.0, "center": 0.5, "top": 1.0}[va] * height
    return left, low, left + width, low + height


def numbers_across(axes: Axes) -> None:
    """Write numbers at 1, 2 and 5 of each decade of a logarithmic scale, which may have but one."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=15))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")


def _area(a: Box) -> float:
    return (a[2] - a[0]) * (a[3] - a[1])


def _overlap(a: Box, b: Box) -> float:
    """Return the area that two boxes share."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0
