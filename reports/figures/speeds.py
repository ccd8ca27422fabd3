"""Which figures stand beneath tables of speeds."""

from __future__ import annotations

from collections.abc import Sequence

from sambench.reports.cells import Entry
from sambench.reports.figures.against import draw_against
from sambench.reports.figures.figure import Figure
from sambench.reports.figures.latency import latency
from sambench.reports.figures.style import Looks
from sambench.reports.model import Table
from sambench.reports.speed_points import accuracy_against, best_points
from sambench.reports.wanted import Wanted


def draw_speed(
    table: Table, entries: Sequence[Entry], salt: str, looks: Looks, wanted: Sequence[Wanted] = ()
) -> list[Figure]:
    """Return the figures of a table of speeds: accuracy against it where it is a headline; latencies.

    Args:
        table: of one device.
        entries: all cells of the report, those with accuracies among them.
        salt: keeps the identifiers of one page apart.
        looks: of the models (`style.model_looks`).
        wanted: what was asked for beside what is drawn anyway.
    """
    if table.headline:
        points = best_points(table, entries)
        known = [one.wanted for one in points]
        points += [accuracy_against(table, entries, one) for one in wanted if one not in known]
        return [draw_against(table, one, f"{salt}-{n}", looks) for n, one in enumerate(points)]
    return list(filter(None, [latency(table, f"{salt}-ms", looks)]))


def is_figure_1(table: Table, entries: Sequence[Entry]) -> bool:
    """Tell whether the first figure of a table is the paper's: whole models on the paper's data."""
    scopes = {row.entry.cell.protocol["scope"] for row in table.done if row.entry}
    return table.headline and scopes == {"E2E"} and any(p.of_paper for p in best_points(table, entries))
