"""What a report says, before it is drawn as a page, as Markdown, or as files of tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sambench.reports import made, speed, speed_made, warnings
from sambench.reports.cells import Entry
from sambench.reports.concepts import mean_tables
from sambench.reports.elsewhere import elsewhere
from sambench.reports.figures.figure import Figure
from sambench.reports.figures.speeds import draw_speed, is_figure_1
from sambench.reports.figures.style import model_looks
from sambench.reports.figures.suites import draw_figures
from sambench.reports.made import Grid
from sambench.reports.model import Table
from sambench.reports.paper import paper_tables, unmeasured
from sambench.reports.tables import build_tables
from sambench.reports.wanted import Wanted, check

FIGURE_1 = "table-1"
"""The table of the paper whose numbers its figure 1 shows."""


@dataclass(frozen=True)
class Section:
    """A table and its figures."""

    table: Table
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Content:
    """All of a report but pictures of the data."""

    entries: tuple[Entry, ...]
    sections: tuple[Section, ...]
    """The paper's tables first, then the suites', SA-Co as a whole before them, then speeds."""
    warnings: tuple[str, ...]
    """What a reader must know before any number."""
    facts: dict[str, list[str]]
    """The summary of the header: a word to its distinct values."""
    elsewhere: tuple[Grid, ...]
    """What other papers print of the same."""
    grids: tuple[Grid, ...]
    """How the numbers were made."""
    commands: tuple[str, ...]
    """That make the numbers again."""
    unmeasured: tuple[str, ...]
    """Tables of the paper of which nothing was measured."""


def content_of(entries: Sequence[Entry], wanted: Sequence[Wanted] = ()) -> Content:
    """Return what a report of some cells says.

    Args:
        entries: the cells.
        wanted: figures of accuracy against speed beside those that are drawn anyway (`reports.wanted`).

    Raises:
        SambenchError: something wanted was not measured.
    """
    check(wanted, entries)
    speeds = [entry for entry in entries if entry.cell.suite == speed.SUITE]
    others = [entry for entry in entries if entry.cell.suite != speed.SUITE]
    paper = paper_tables(entries)
    return Content(
        entries=tuple(entries),
        sections=tuple(_sections(paper, speeds, others, wanted)),
        warnings=(*warnings.warnings(others), *speed.warnings(speeds)),
        facts=_facts(entries),
        elsewhere=tuple(elsewhere(entries)),
        grids=(*made.describe(entries), *speed_made.describe(speeds)),
        commands=tuple(made.commands(entries)),
        unmeasured=tuple(unmeasured(paper)),
    )


def _sections(
    paper: Sequence[Table], speeds: Sequence[Entry], others: Sequence[Entry], wanted: Sequence[Wanted]
) -> list[Section]:
    names = {table.name for table in paper}
    suites = [*mean_tables(others, names), *build_tables(others, names)]
    fast = speed.speed_tables(speeds, names)
    looks = model_looks(row.model for table in (*suites, *fast) for row in table.done)
    drawn = {table.name: draw_speed(table, others, table.name, looks, wanted) for table in fast}
    moved = [drawn[table.name].pop(0) for table in fast if paper and is_figure_1(table, others)]
    sections = [Section(table, tuple(moved) if table.name == FIGURE_1 else ()) for table in paper]
    sections += [Section(table, tuple(draw_figures(table, table.name, looks))) for table in suites]
    sections += [Section(table, tuple(drawn[table.name])) for table in fast]
    return sections


def _facts(entries: Sequence[Entry]) -> dict[str, list[str]]:
    facts: dict[str, Callable[[Entry], str]] = {
        "Models": lambda entry: entry.name,
        "Suites": lambda entry: entry.cell.suite,
        "Data sets": lambda entry: entry.cell.dataset,
        "Protocol": lambda entry: entry.protocol,
        "Device": lambda entry: str(entry.cell.provenance.get("device") or entry.cell.device),
    }
    return {name: list(dict.fromkeys(map(value, entries))) for name, value in facts.items()}
