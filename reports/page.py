"""A report as one page: HTML with its style, script and data inside, which loads nothing from anywhere."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from sambench.reports import outlines, words
from sambench.reports.content import Content, Section
from sambench.reports.gallery import Shown
from sambench.reports.model import Column, Table, Value
from sambench.reports.page_data import VERDICTS, data_of
from sambench.reports.page_figures import slim
from sambench.reports.page_pairs import pairs_of
from sambench.reports.renderers import csv_file, latex, markdown

if TYPE_CHECKING:
    from jinja2 import Environment

    from sambench.reports.compare import Comparison

TEMPLATES = Path(__file__).with_name("templates")

GROUPS = {"paper": "The paper's tables", "suite": "Suites", "speed": "Throughput"}
"""Kinds of tables to the heading over them."""

MARKS = {"reproduced": "=", "differs": "\u2260", "not comparable": "\u2241"}
"""What stands for a verdict where there is no room for the word."""

COLOURED = ("reproduced", "differs")

ROOMY = 7
"""Most columns of a table whose cells have room for the verdict as a word."""

WIDEST = 1600
"""Pixels of a picture's width in the page."""

FINEST = 4
"""Decimals of a difference at most."""

KINDS = {
    "worst": "Worst objects",
    "best": "Best objects",
    "disagreement": "Objects that models disagree on most",
}
"""Of the gallery."""


def render(
    content: Content,
    shown: Sequence[Shown],
    comparison: Comparison | None = None,
    three_ways: bytes | None = None,
) -> str:
    """Return the whole page; the same content gives the same page.

    Args:
        content: what the report says.
        shown: objects with their images, which go into the page.
        comparison: paired differences of the models; without any the page has no such view.
        three_ways: the paper's figure 3 as PNG, where it was made.
    """
    if comparison and not (comparison.rows or comparison.refused):
        comparison = None
    environment = _environment()
    slimmed = slim(figure.svg for section in content.sections for figure in section.figures)
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        content=content,
        groups=_groups(content.sections),
        drawings=slimmed.drawings,
        data=data_of(content, shown),
        packed=packed(
            {"copies": copies(content), "pairs": pairs_of(content, comparison) if comparison else None}
        ),
        comparison=comparison,
        gallery=_gallery(shown, content),
        three_ways=None if three_ways is None else _address(three_ways),
        pictures=list(dict.fromkeys(one.picture for one in shown)),
        script=script,
        script_sha=_sha(script),
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8") + slimmed.style,
    )


def copies(content: Content) -> list[dict[str, str]]:
    """Return each table as LaTeX, Markdown and CSV."""
    tables = [section.table for section in content.sections]
    return [
        {"latex": latex.render(table), "markdown": markdown.render(table), "csv": csv_file.render(table)}
        for table in tables
    ]


def packed(found: dict[str, Any]) -> str:
    """Return what the page needs on demand as JSON, deflated, in base64: a tenth of its length."""
    text = json.dumps(found, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _groups(sections: Sequence[Section]) -> list[tuple[str, str, list[tuple[int, Section]]]]:
    """Return (kind, heading, numbered sections) of the kinds of tables that there are."""
    numbered = list(enumerate(sections))
    found = (
        (kind, heading, [(n, s) for n, s in numbered if s.table.kind == kind])
        for kind, heading in GROUPS.items()
    )
    return [group for group in found if group[2]]


def _gallery(shown: Sequence[Shown], content: Content) -> dict[str, list[Shown]]:
    """Return the objects by the heading over them."""
    titles = {s.table.suite: s.table.title for s in reversed(content.sections) if s.table.kind == "suite"}
    found: dict[str, list[Shown]] = {}
    for one in shown:
        heading = f"{KINDS.get(one.kind, one.kind)}: {titles.get(one.suite, one.suite)} on {one.dataset}"
        found.setdefault(heading, []).append(one)
    return found


def _address(png: bytes) -> str:
    """Return a picture as an address that has it whole: as a JPEG, a tenth as long."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.thumbnail((WIDEST, WIDEST * picture.height))
    return outlines.address(picture)


def _sha(script: str) -> str:
    """Return what the page's policy names its script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@functools.cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(zip=zip, MARKS=MARKS, COLOURED=COLOURED, ROOMY=ROOMY)
    environment.filters.update(
        anchor=_anchor,
        bound=words.bound,
        brief=_brief,
        difference=_difference,
        numbered=_numbered,
        spread=_spread,
        verdicts=_verdicts,
        figures=words.figures,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment


def _brief(table: Table) -> str:
    """Return a title for the list of contents; the paper's tables by their number, parts by their own."""
    if table.kind == "paper":
        return _numbered(table.title)
    return table.part or table.title.removeprefix("Throughput: ")


def _numbered(title: str) -> str:
    """Return a title of the paper's without what its table is about."""
    return title.partition(":")[0]


def _anchor(text: str) -> str:
    """Return a name for an address within the page."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _difference(value: Value, column: Column) -> str:
    """Write measured minus published: of two that differ, as exactly as shows it."""
    if value.measured is None or value.delta is None:
        return ""
    text = column.difference(value.delta)
    exact = value.delta if value.exact is None else value.measured - value.exact
    digits = 1
    while value.verdict == "differs" and not float(text) and digits < FINEST:
        digits += 1
        text = f"{exact:+.{digits}f}"
    return text.replace("-", "\u2212")


def _spread(interval: tuple[float, float] | None, column: Column) -> str:
    """Write an interval; nothing where both ends print the same."""
    ends = [column.write(end) for end in interval or ()]
    return "\u2013".join(ends) if len(set(ends)) > 1 else ""


def _verdicts(table: Table) -> dict[str, int]:
    """Count the verdicts of a table's measured numbers."""
    given = [v.verdict for row in table.rows for v in row.values if v.measured is not None]
    return {word: given.count(word) for word in VERDICTS if word in MARKS and word in given}
