"""Plans and results as tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from sambench.harness.plan import Plan
from sambench.suites.results import CellResult


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
                cell.dataset,
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
            console.print(f"will fail: {group.reason}", soft_wrap=True)


def show_results(cells: Sequence[CellResult], console: Console) -> None:
    """Print the overall metrics of each cell, their intervals beneath them, a table a suite."""
    for suite in dict.fromkeys(cell.suite for cell in cells):
        mine = [cell for cell in cells if cell.suite == suite]
        names = _shown(mine)
        title = f"{suite}: {_UNITS.get(suite, 'in percent')}"
        table = Table(title=title, title_justify="left", box=None)
        counted = "boxes" if "ap" in names else "objects"
        for column in ("model", "data set", counted, *(_title(name) for name in names)):
            name = column in ("model", "data set")
            table.add_column(column, justify="left" if name else "right", no_wrap=not name, overflow="fold")
        for cell in mine:
            values = [_value(cell, name) for name in names] if cell.status == "done" else [_status(cell)]
            table.add_row(cell.model, cell.dataset, str(cell.n_instances), *values)
        console.print(table)
        for cell in mine:
            if cell.reason:
                console.print(f"{cell.model}, {suite}: {cell.reason}", soft_wrap=True)


def _shown(cells: Sequence[CellResult]) -> list[str]:
    """The metrics that a terminal has room for; the report has all."""
    names = dict.fromkeys(n for cell in cells for n in cell.metrics if n.islower())
    if "box_ap" in names:
        return ["ap", "box_ap", *(("ap_r", "ap_c", "ap_f") if "ap_r" in names else ("ap50", "ap75"))]
    return [name for name in names if not name.endswith(_SIZES)]


_UNITS = {
    "gt_box": "mIoU in percent, 95% interval",
    "click": "mIoU in percent, 95% interval",
    "det_box": "AP in percent",
    "sginw": "AP in percent; the mean needs all 25 data sets",
    "everything": "average recall of 1,000 masks in percent, 95% interval",
}
_SIZES = ("_small", "_medium", "_large")


def _status(cell: CellResult) -> str:
    return "n/a" if cell.status == "not_applicable" else cell.status


def _title(metric: str) -> str:
    if not metric.startswith("miou"):
        return metric.replace("_", " ").replace("ap", "AP")
    clicks = metric.removeprefix("miou").lstrip("_")
    return f"{clicks} click{'s' * (clicks != '1')}" if clicks else "mIoU"


def _value(cell: CellResult, name: str) -> str:
    value = cell.metrics.get(name)
    if value is None:
        return "no objects" if name.startswith("miou") else "-"
    if name not in cell.intervals:
        return f"{value:.1f}"
    low, high = cell.intervals[name]
    return f"{value:.1f}\n{low:.1f}-{high:.1f}"
