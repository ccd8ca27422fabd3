"""A figure, drawn only where it is wanted: inline in a page, or as a file of its own."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sambench.reports.figures.style import SMALL, STYLE, VARIABLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

DPI = 200
"""Of PNG."""
READABLE = 10.0
"""Pixels of the smallest text that a screen may show."""
PIXELS = 96
"""CSS pixels of an inch."""

_FORMS: dict[str, dict[str, Any]] = {  # nothing that changes from day to day goes into a file
    "svg": {"metadata": dict.fromkeys(("Date", "Format", "Type", "Creator"))},
    "pdf": {"metadata": dict.fromkeys(("CreationDate", "Creator", "Producer"))},
    "png": {"metadata": {"Software": None}, "dpi": DPI, "facecolor": "white"},
}
_FONTS: Any = {"pdf.fonttype": 42, "svg.fonttype": "path"}
"""In files: PDF has the font within (TrueType, which journals take), SVG the outlines of its letters."""


@dataclass(frozen=True)
class Drawing:
    """What draws a figure, and how large."""

    paint: Callable[[Canvas], None]
    size: tuple[float, float]
    """Width and height in inches."""
    salt: str
    """Keeps the identifiers of one page apart."""


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption."""

    title: str
    caption: str
    missing: str = ""
    """What was left out, such as for want of records."""
    drawing: Drawing | None = None
    """``None`` where there is nothing to draw."""

    @cached_property
    def svg(self) -> str:
        """It as an element of a page, in the page's colours and font; empty where there is none.

        Its attribute ``data-min-width`` says how many pixels wide it must be to be read.
        """
        if self.drawing is None:
            return ""
        made = _render(self.drawing, "svg", {}).decode()
        return _themed(made, f"{self.title}. {self.caption}", self.min_width)

    @property
    def min_width(self) -> int:
        """Pixels below which its smallest text would be too small to read; 0 where there is no drawing."""
        if self.drawing is None:
            return 0
        return round(self.drawing.size[0] * PIXELS * READABLE / (SMALL * PIXELS / 72))

    def file(self, form: str) -> bytes:
        """Return it as a file that needs no page and no font; the same figure gives the same bytes.

        Args:
            form: ``pdf``, ``svg`` or ``png``.
        """
        assert self.drawing is not None
        return _render(self.drawing, form, _FONTS)


def _render(drawing: Drawing, form: str, changes: Any) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    out = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**STYLE, "svg.hashsalt": drawing.salt, **changes})
        canvas = Canvas(figsize=drawing.size, layout="constrained")
        drawing.paint(canvas)
        canvas.savefig(out, format=form, **_FORMS[form])
    return out.getvalue()


def _themed(svg: str, label: str, min_width: int) -> str:
    """Make matplotlib's file fit for a page: small, without fixed identifiers, colours as variables."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]*>", lambda tag: _small(tag[0]), svg)  # never what stands between: a name is as it is
    svg = re.sub(r">\s*\n\s*<", "><", svg)
    empty = re.compile(r"<(g|defs)>(?:</\1>)|<g/>|<defs/>")
    while empty.search(svg):
        svg = empty.sub("", svg)
    attributes = f'role="img" aria-label="{html.escape(label)}" data-min-width="{min_width}"'
    return svg.replace("<svg ", f'<svg {attributes} stroke-linejoin="round" ', 1)


def _small(tag: str) -> str:
    """Write one tag in the page's colours, its places to a hundredth of a point, finer than any screen."""
    tag = re.sub(r"^<g id=\"[^\"]*\"", "<g", tag)
    tag = re.sub(r" transform=\"rotate\(-?0 [^\"]*\"|font-family: [^;]*; ", "", tag)
    tag = re.sub(r"(\d\.\d\d)\d+", r"\1", tag)
    tag = re.sub(r"(\d)\.00(?!\d)", r"\1", tag)
    tag = re.sub(r'(?<= d=")[^"]*', lambda d: re.sub(r"\s*([MLCQz])\s*", r"\1", d[0].strip()), tag)
    for name, color in VARIABLES.items():
        tag = tag.replace(color, f"var(--{name})")
    return tag
