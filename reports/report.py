"""One page of everything measured: tables beside the published numbers, figures, provenance."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sambench.adapters.extras import missing
from sambench.adapters.files import locked, write_atomic
from sambench.evsam.errors import SambenchError
from sambench.reports import cells, made, speed, speed_made, warnings, words
from sambench.reports.cells import Entry
from sambench.reports.figures import Figure, draw_figures, model_colors
from sambench.reports.speed import SpeedTable
from sambench.reports.speed_figures import draw_speed
from sambench.reports.tables import Table, build_tables

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class ReportFiles:
    """What `write_report` wrote."""

    html: Path
    markdown: Path


def write_report(runs: Sequence[Path], out: Path) -> ReportFiles:
    """Write ``report.html`` (one self-contained page) and ``report.md`` of one or several runs.

    The same runs give the same bytes. Each file appears whole or not at all. Of two commands that end at once
    the later one reads what both have found.

    Raises:
        SambenchError: no run was given, a run cannot be read, or ``out`` cannot be written.
        MissingExtraError: the extra ``report`` is not installed.
    """
    if not runs:
        raise SambenchError("report: no run was given; name the --out folder of a run.")
    check_extra()
    environment = _environment()
    files = ReportFiles(out / "report.html", out / "report.md")
    cells.read_runs(runs)  # what cannot be read is said before anything is made
    with locked(files.html):
        content = _content(cells.read_runs(runs))
        for file in (files.html, files.markdown):
            page = environment.get_template(f"{file.name}.j2").render(content)
            write_atomic(file, page.encode("utf-8", errors="replace"))
    return files


def split(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Return the cells of throughputs, and the others."""
    speeds = [entry for entry in entries if entry.cell.suite == speed.SUITE]
    return speeds, [entry for entry in entries if entry.cell.suite != speed.SUITE]


def draw_tables(
    speeds: Sequence[Entry], others: Sequence[Entry]
) -> tuple[list[tuple[Table, list[Figure]]], list[tuple[SpeedTable, list[Figure]]]]:
    """Return the tables of what `split` gives, each with its figures: suites', and speeds'."""
    tables, speed_tables = build_tables(others), speed.speed_tables(speeds)
    shown = [row.model for table in tables for row in table.done]
    colors = model_colors(shown + [row.model for table in speed_tables for row in table.done])
    return (
        [(table, draw_figures(table, f"t{n}", colors)) for n, table in enumerate(tables, start=1)],
        [
            (table, draw_speed(table, others, f"s{n}", colors))
            for n, table in enumerate(speed_tables, start=1)
        ],
    )


def _content(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what the templates show."""
    speeds, others = split(entries)
    sections, fast = draw_tables(speeds, others)
    return {
        "facts": _facts(entries),
        "warnings": [*warnings.warnings(others), *speed.warnings(speeds)],
        "speeds": fast,
        "sections": sections,
        "grids": [*made.describe(entries), *speed_made.describe(speeds)],
        "commands": made.commands(entries),
    }


def _facts(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Return the summary of the header: a word to its distinct values."""
    facts: dict[str, Callable[[Entry], str]] = {
        "Models": lambda entry: entry.name,
        "Suites": lambda entry: entry.cell.suite,
        "Datasets": lambda entry: entry.cell.dataset,
        "Protocol": lambda entry: entry.protocol,
        "Device": lambda entry: str(entry.cell.provenance.get("device") or entry.cell.device),
    }
    return {name: list(dict.fromkeys(map(value, entries))) for name, value in facts.items()}


def check_extra() -> None:
    """See that a report can be made here, without loading what makes it.

    Raises:
        MissingExtraError: a library of the extra ``report`` is not installed.
    """
    absent = [library for library in ("jinja2", "matplotlib") if importlib.util.find_spec(library) is None]
    if absent:
        raise missing("report", " and ".join(absent), "report")


def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["zip"] = zip
    environment.filters.update(num=_number, signed=_signed, md=_markdown, figures=words.figures)
    return environment


def _number(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}"


def _signed(value: float, digits: int = 1) -> str:
    """Return a difference with its sign; one that rounds to nothing has none."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def _markdown(text: object) -> str:
    """Keep text from being read as Markdown or HTML, on one line of a table."""
    escaped = "".join(f"\\{c}" if c in "\\`*_[]|#" else c for c in " ".join(str(text).split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")
