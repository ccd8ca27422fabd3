"""A report of everything measured: a page, Markdown, tables and figures."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sambench.adapters.extras import missing
from sambench.adapters.files import locked, write_atomic
from sambench.evsam.errors import SambenchError
from sambench.reports.cells import read_runs


@dataclass(frozen=True)
class ReportFiles:
    """What `write_report` wrote."""

    html: Path
    markdown: Path
    pieces: tuple[Path, ...]
    """Tables and figures."""


@dataclass(frozen=True)
class Asked:
    """What a report has beside its tables.

    Attributes:
        forms: in which figures are files too, of `reports.pieces.FORMS`.
        gallery: how many objects the page shows with their masks, of each kind; the images go into it.
        figures: of accuracy against speed, ``X,SUITE:DATASET.METRIC`` each, beside the usual ones.
    """

    forms: tuple[str, ...] = ()
    gallery: int = 0
    figures: tuple[str, ...] = ()


def write_report(runs: Sequence[Path], out: Path, asked: Asked | None = None) -> ReportFiles:
    """Write ``report.html`` (one self-contained page), ``report.md``, ``tables/`` and ``figures/``.

    The same runs give the same bytes. Each file appears whole or not at all. Of two commands that end at once
    the later one reads what both have found. Tables and figures of an earlier report that are no longer made
    are removed, those alone that it wrote.

    Raises:
        SambenchError: no run was given, a run cannot be read, what is asked for was not measured, or ``out``
            cannot be written.
        MissingExtraError: the extra ``report`` is not installed.
    """
    if not runs:
        raise SambenchError("report: no run was given; name the --out folder of a run.")
    check_extra()
    files = ReportFiles(out / "report.html", out / "report.md", ())
    read_runs(runs)  # what cannot be read is said before anything is made
    with locked(files.html):
        made = _made(runs, asked or Asked())
        for path, content in made.items():
            write_atomic(out / path, content)
        _remove_others(out, made)
    pieces = (out / path for path in made if path.startswith(("tables/", "figures/")))
    return ReportFiles(files.html, files.markdown, tuple(pieces))


def _made(runs: Sequence[Path], asked: Asked) -> dict[str, bytes]:
    """Return all files of a report, by path."""
    from sambench.reports import compare, gallery, markdown, page, pieces, three_ways
    from sambench.reports.content import content_of
    from sambench.reports.page_pairs import compared_metrics
    from sambench.reports.wanted import parse_figure

    content = content_of(read_runs(runs), [parse_figure(text) for text in asked.figures])
    entries = content.entries
    found = pieces.files(content, asked.forms)
    shown = gallery.choose(entries, asked.gallery)
    three = three_ways.draw_three_ways(entries) if asked.gallery else None
    if three is not None:
        found["figures/figure-3.png"] = three
    pairs = compare.compare(entries, metrics=compared_metrics(content))
    any_pair = pairs.rows or pairs.refused or pairs.unpaired
    html = page.render(content, shown, pairs if any_pair else None, three)
    found["report.html"] = html.encode(errors="replace")
    found["report.md"] = markdown.render(content).encode(errors="replace")
    return found


def _remove_others(out: Path, made: Collection[str]) -> None:
    """Remove the tables and figures that an earlier report wrote and this one did not."""
    listing = out / "tables" / "_files.json"
    try:
        before = [str(path) for path in json.loads(listing.read_bytes())]
    except (OSError, ValueError, TypeError):
        before = []
    pieces = sorted(path for path in made if path.startswith(("tables/", "figures/")))
    for path in set(before) - set(pieces):
        if path.startswith(("tables/", "figures/")) and ".." not in path:
            (out / path).unlink(missing_ok=True)
    write_atomic(listing, json.dumps(pieces, indent=1).encode())


def check_extra() -> None:
    """See that a report can be made here, without loading what makes it.

    Raises:
        MissingExtraError: a library of the extra ``report`` is not installed.
    """
    absent = [library for library in ("jinja2", "matplotlib") if importlib.util.find_spec(library) is None]
    if absent:
        raise missing("report", " and ".join(absent), "report")
