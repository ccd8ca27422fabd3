"""Plans and results as tables on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from sambench.harness.cli.console import plain_table
from sambench.harness.plan import Plan
from sambench.suites.naming import checkpoint, departures, with_departures
from sambench.suites.results import CellResult
from sambench.suites.scoring.scores import About, Metric

MOST_METRICS = 5
"""On a terminal; the report has all."""


def show_plan(plan: Plan, times: Sequence[str], console: Console) -> None:
    """Print what a run would do, what of it is done, and about how long the rest takes."""
    numbers = ("images", "objects", "shards done")
    table = plain_table(
        "model", "engine", "weights", "suite", "data set", *numbers, title="Plan", right=numbers
    )
    for group in plan.groups:
        variant = group.variant
        weights = variant.weights
        source = (checkpoint(variant.model, asdict(weights)) or weights.source) if weights else "missing"
        objects = sum(len(e.annotations) for e in group.data.entries)
        for cell in group.cells:
            table.add_row(
                variant.model,
                f"{variant.engine} {variant.precision}",
                source,
                cell.suite.name,
                cell.dataset,
                str(len(group.data.entries)),
                str(objects),
                f"{cell.store.finished()}/{cell.store.shards}",
            )
    console.print(table)
    config = plan.config
    console.print(f"protocol {config.protocol.preset}, {config.device}, out {config.out}", soft_wrap=True)
    for reason in dict.fromkeys(group.variant.reason for group in plan.groups):
        if reason:
            console.print(f"will have no number: {reason}", soft_wrap=True)
    for line in times:
        console.print(line, soft_wrap=True)


def show_results(cells: Sequence[CellResult], console: Console) -> None:
    """Print the overall metrics of each cell, intervals beneath them, a table a suite; as many as fit."""
    for suite in dict.fromkeys(cell.suite for cell in cells):
        mine = [cell for cell in cells if cell.suite == suite]
        metrics = _shown(mine)
        while len(metrics) > 1 and _width(_table(mine, metrics), console) > console.width:
            metrics.pop()  # rather than to fold names letter by letter
        console.print(_title(mine, metrics), style="italic", soft_wrap=True)
        console.print(_table(mine, metrics))
        said = [reason(cell) for cell in mine if cell.reason] + [cell.note for cell in mine if cell.note]
        for line in dict.fromkeys(said):
            console.print(line, soft_wrap=True)


def _width(table: Table, console: Console) -> int:
    """Return how wide a table would be that nothing confines."""
    return console.measure(table, options=console.options.update_width(sys.maxsize)).maximum


def _table(cells: Sequence[CellResult], metrics: Sequence[Metric]) -> Table:
    table = Table(box=None)
    for column in ("model", "data set"):
        table.add_column(column, overflow="fold")
    for column in ("scored", *(metric.title for metric in metrics)):
        table.add_column(column, justify="right", no_wrap=True)
    for cell in cells:
        values = [_value(cell, m.name) for m in metrics] if cell.status == "done" else [_status(cell)]
        name = under_each_other(cell.model, departures(cell))
        table.add_row(name, cell.dataset, str(cell.n_instances), *values)
    return table


def under_each_other(model: str, departures: Sequence[str]) -> str:
    """Return a model's name with what departs from the plain case beneath it, a line each."""
    return "\n ".join([model, *departures])


def reason(cell: CellResult) -> str:
    """Return why a cell has no number, on one line."""
    return f"{with_departures(cell.model, cell)}; {cell.suite}: {cell.reason}"


def _about(cells: Sequence[CellResult]) -> About:
    return next((cell.about for cell in cells if cell.about is not None), About("", ()))


def _shown(cells: Sequence[CellResult]) -> list[Metric]:
    measured = {name for cell in cells for name in cell.metrics}
    return [m for m in _about(cells).metrics if m.brief and m.name in measured][:MOST_METRICS]


def _title(cells: Sequence[CellResult], metrics: Sequence[Metric]) -> str:
    units = "".join(f", {unit}" for unit in dict.fromkeys(m.unit for m in metrics))
    interval = ", 95% interval" if any(m.name in c.intervals for c in cells for m in metrics) else ""
    return f"{cells[0].suite}: {_about(cells).title}{units}{interval}"


def _status(cell: CellResult) -> str:
    return "n/a" if cell.status == "not_applicable" else cell.status


def _value(cell: CellResult, name: str) -> str:
    value = cell.metrics.get(name)
    if value is None:
        return "-"
    if name not in cell.intervals:
        return f"{value:.1f}"
    low, high = cell.intervals[name]
    return f"{value:.1f}\n{low:.1f}-{high:.1f}"
