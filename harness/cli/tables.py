"""Plans and results as tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from sambench.harness.cli.console import plain_table, print_table, stacked, table_width
from sambench.harness.executors.names import ALONE
from sambench.harness.plan import Plan
from sambench.harness.terminal import watched
from sambench.suites.naming import checkpoint, departures, failures_named, with_departures
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
    for row in plan_rows(plan):
        words = (row["model"], f"{row['engine']} {row['precision']}", row["weights"] or "missing")
        counts = (
            str(row["images"]),
            "unread" if row["objects"] is None else str(row["objects"]),
            f"{row['shards_done']}/{row['shards']}",
        )
        table.add_row(*words, row["suite"], row["dataset"], *counts)
    print_table(table, console)
    config = plan.config
    by = "" if config.executor == ALONE else f", {config.workers} by {config.executor}"
    console.print(f"protocol {config.protocol.preset}, {config.device}{by}, out {config.out}", soft_wrap=True)
    for reason in dict.fromkeys(group.variant.reason for group in plan.groups):
        if reason:
            console.print(f"will have no number: {reason}", soft_wrap=True)
    for said in dict.fromkeys(group.variant.note for group in plan.groups):
        if said:
            console.print(said, soft_wrap=True)
    for line in times:
        console.print(line, soft_wrap=True)


def plan_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return the cells of a plan as JSON has them: what is asked, of how much, and how much of it is done."""
    rows = []
    for group in plan.groups:
        variant, weights = group.variant, group.variant.weights
        source = (checkpoint(variant.model, asdict(weights)) or weights.source) if weights else None
        rows += [
            {
                "model": variant.model,
                "engine": variant.engine,
                "precision": variant.precision,
                "device": plan.config.device,
                "weights": source,
                "suite": cell.suite.name,
                "dataset": cell.dataset,
                "protocol": cell.protocol.to_json(),
                "images": len(group.data.entries),
                "objects": group.data.objects,
                "shards": cell.store.shards,
                "shards_done": cell.store.finished(),
                "reason": variant.reason,
                "executor": plan.config.executor,
                "workers": plan.config.workers,
                "out": str(plan.config.out),
            }
            for cell in group.cells
        ]
    return rows


def show_results(cells: Sequence[CellResult], console: Console) -> None:
    """Print the overall metrics of each cell, intervals beneath them, a table a suite; as many as fit."""
    for suite in dict.fromkeys(cell.suite for cell in cells):
        mine = [cell for cell in cells if cell.suite == suite]
        metrics = _shown(mine)
        while _is_wide(_table(mine, metrics, console), console) and len(metrics) > 1:
            metrics.pop()  # rather than to fold names letter by letter
        console.print(_title(mine, metrics), style="italic", soft_wrap=True)
        print_table(_table(mine, metrics, console), console)
        said = [reason(cell) for cell in mine if cell.reason]
        said += [f"{cell.model}; {suite}: {failures_named(cell)}" for cell in mine if cell.n_failed_images]
        said += [cell.note for cell in mine if cell.note]
        for line in dict.fromkeys(said):
            console.print(line, soft_wrap=True)


def _is_wide(table: Table, console: Console) -> bool:
    return watched(console) and table_width(table, console) > console.width


def _table(cells: Sequence[CellResult], metrics: Sequence[Metric], console: Console) -> Table:
    table = Table(box=None, pad_edge=watched(console))
    for column in ("model", "data set"):
        table.add_column(column, overflow="fold")
    for column in ("scored", *(metric.title for metric in metrics)):
        table.add_column(column, justify="right", no_wrap=True)
    for cell in cells:
        values = [_value(cell, m, console) for m in metrics] if cell.status == "done" else [_status(cell)]
        name = stacked([cell.model, *departures(cell)], console)
        table.add_row(name, cell.dataset, str(cell.n_instances), *values)
    return table


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


def _value(cell: CellResult, metric: Metric, console: Console) -> str:
    value = cell.metrics.get(metric.name)
    if value is None:
        return "-"
    digits = decimals(metric)
    if metric.name not in cell.intervals:
        return f"{value:.{digits}f}"
    low, high = cell.intervals[metric.name]
    interval = f"{low:.{digits}f}-{high:.{digits}f}"
    return f"{value:.{digits}f}\n{interval}" if watched(console) else f"{value:.{digits}f} ({interval})"


def decimals(metric: Metric) -> int:
    """Return how many decimals a terminal shows: two of a correlation, which is from -1 to 1."""
    return 2 if metric.unit == "mcc" else 1
