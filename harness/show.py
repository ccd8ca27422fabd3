"""Plans and results as tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from harness.plan import Plan
from suites.results import CellResult


def show_plan(plan: Plan, console: Console) -> None:
    """Print what a run would do, and what of it is done."""
    table = Table(title="Plan", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("model", "weights", "suite", "data set", "images", "objects", "shards done"):
        table.add_column(
            column, justify="right" if column in ("images", "objects", "shards done") else "left"
        )
    for group in plan.groups:
        source = group.weights.source if group.weights else "missing"
        objects = sum(len(e.annotations) for e in group.data.entries)
        for cell in group.cells:
            table.add_row(
                group.model,
                source,
                cell.suite.name,
                group.data.config.name,
                str(len(group.data.entries)),
                str(objects),
                f"{cell.store.finished()}/{cell.store.shards}",
            )
    console.print(table)
    config = plan.config
    console.print(
        f"protocol {config.protocol.preset}, {config.engine}, {config.precision}, {config.device}, "
        f"out {config.out}",
        soft_wrap=True,
    )
    for group in plan.groups:
        if group.reason:
            console.print(f"{group.model} will fail: {group.reason}", soft_wrap=True)


def show_results(cells: Sequence[CellResult], console: Console) -> None:
    """Print the overall metrics of each cell."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("model", "suite", "data set", "objects", "mIoU, %"):
        table.add_column(column, justify="right" if column == "objects" else "left")
    for cell in cells:
        table.add_row(
            cell.model,
            cell.suite,
            cell.dataset,
            str(cell.n_instances),
            _headline(cell) or cell.reason or cell.status,
        )
    console.print(table)


def _headline(cell: CellResult) -> str:
    """Metrics over all sizes, with their intervals: names without a size at their end."""
    parts = []
    for name, value in cell.metrics.items():
        if name.endswith(("_small", "_medium", "_large")) or value is None:
            continue
        low, high = cell.intervals.get(name, [value, value])
        label = name.removeprefix("miou").lstrip("_")
        parts.append(f"{label + ': ' if label else ''}{value:.1f} ({low:.1f}-{high:.1f})")
    return "  ".join(parts)
