"""A report of everything measured: a page, Markdown, tables and figures."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
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


def write_report(
    runs: Sequence[Path], out: Path, *, forms: Sequence[str] = (), gallery: int = 0
) -> ReportFiles:
    """Write ``report.html`` (one self-contained page), ``report.md``, ``tables/`` and ``figures/``.

    The same runs give the same bytes. Each file appears whole or not at all. Of two commands that end at once
    the later one reads what both have found.

    Args:
        runs: folders of runs.
        out: where to write.
        forms: in which figures are files too, of `reports.pieces.FORMS`.
        gallery: how many objects the page shows with their masks, of each kind; the images go into it.

    Raises:
        SambenchError: no run was given, a run cannot be read, or ``out`` cannot be written.
        MissingExtraError: the extra ``report`` is not installed.
    """
    if not runs:
        raise SambenchError("report: no run was given; name the --out folder of a run.")
    check_extra()
    from sambench.reports import markdown, page, pieces
    from sambench.reports.content import content_of
    from sambench.reports.gallery import choose
    from sambench.reports.page_pairs import compared

    files = ReportFiles(out / "report.html", out / "report.md", ())
    read_runs(runs)  # what cannot be read is said before anything is made
    with locked(files.html):
        content = content_of(read_runs(runs))
        found = {out / path: made for path, made in pieces.files(content, forms).items()}
        html = page.render(content, choose(content.entries, gallery), compared(content))
        found[files.html] = html.encode(errors="replace")
        found[files.markdown] = markdown.render(content).encode(errors="replace")
        for file, made in found.items():
            write_atomic(file, made)
    rest = (file for file in found if file not in (files.html, files.markdown))
    return ReportFiles(files.html, files.markdown, tuple(rest))


def check_extra() -> None:
    """See that a report can be made here, without loading what makes it.

    Raises:
        MissingExtraError: a library of the extra ``report`` is not installed.
    """
    absent = [library for library in ("jinja2", "matplotlib") if importlib.util.find_spec(library) is None]
    if absent:
        raise missing("report", " and ".join(absent), "report")
