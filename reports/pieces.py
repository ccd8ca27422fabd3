"""The tables and figures of a report as files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sambench.adapters.extras import MissingExtraError
from sambench.reports.cells import read_runs
from sambench.reports.content import Content, content_of
from sambench.reports.renderers import csv_file, latex
from sambench.reports.report import check_extra

FORMS = ("pdf", "svg", "png")
"""In which figures can be had."""


def pieces(runs: Sequence[Path]) -> dict[str, bytes]:
    """Return ``tables/*.csv`` and ``figures/*.svg`` of one or several runs, by path.

    Nothing where the extra ``report`` is not installed.

    Raises:
        SambenchError: a run cannot be read.
    """
    try:
        check_extra()
    except MissingExtraError:
        return {}
    content = content_of(read_runs(runs))
    return {path: file for path, file in files(content, ("svg",)).items() if not path.endswith(".tex")}


def files(content: Content, forms: Sequence[str]) -> dict[str, bytes]:
    """Return ``tables/*.csv``, ``tables/*.tex`` and ``figures/*`` in some of `FORMS`, by path."""
    found: dict[str, bytes] = {}
    for section in content.sections:
        stem = section.table.name
        found[f"tables/{stem}.csv"] = csv_file.render(section.table).encode()
        found[f"tables/{stem}.tex"] = latex.render(section.table).encode()
        for n, figure in enumerate((figure for figure in section.figures if figure.drawing), start=1):
            found |= {f"figures/{stem}-{n}.{form}": figure.file(form) for form in forms}
    return found
