"""``sambench throughput``: how fast models are, with everything that makes a speed believable."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sambench.harness.throughput.plan import Plan
    from sambench.suites.results import CellResult

out_console = Console(markup=False, highlight=False)
err_console = Console(stderr=True, markup=False, highlight=False)


def throughput(
    config: Annotated[
        Path | None, typer.Argument(help="YAML file with the same keys as the flags; flags win over it.")
    ] = None,
    models: Annotated[str | None, typer.Option(help="Model names, comma-separated.")] = None,
    adapter: Annotated[
        list[str] | None, typer.Option(metavar="FILE.py:CLASS", help="A model of your own; repeatable.")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH|NAME=random", help="Checkpoint of a model; repeatable."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu (default), cuda or cuda:1.")] = None,
    engine: Annotated[str | None, typer.Option(help="Engines, comma-separated (default eager).")] = None,
    precision: Annotated[str | None, typer.Option(help="Precisions, comma-separated (default fp32).")] = None,
    scopes: Annotated[
        str | None, typer.Option(help="E, D1, D16, D64, E2E, APP, comma-separated, or all (default E,E2E).")
    ] = None,
    modes: Annotated[
        str | None, typer.Option(help="pipelined, serial, compute, comma-separated (default all).")
    ] = None,
    batch_sizes: Annotated[
        str | None, typer.Option(help="Comma-separated (default 1 on a CPU, 1,16 on a GPU).")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="'paper' is the full protocol (default on a GPU), 'quick' takes seconds (on a CPU)."
        ),
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Fresh processes a measurement.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Measure at least so long ...")] = None,
    min_batches: Annotated[int | None, typer.Option(help="... and at least so many batches.")] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME|FILE.yaml", help="Real images; or what to call those given.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images.")] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Their annotations, JSON in COCO's format.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of images, shifts and orders (default 0).")] = None,
    audit: Annotated[
        bool | None, typer.Option("--audit", help="Also repeat one batch, to see if anything remembers it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for samples, results.json and the report.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the cells as JSON.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show the plan, run nothing.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say in words what is measured; run nothing.")
    ] = False,
) -> None:
    """Measure how fast models are: encoder, decoder, end to end, application.

    Every measurement is a fresh process on real images, and comes after a check that its masks are right. Run
    the same command again and it goes on where it was.

    **Example**: sambench throughput --models sam_vit_h,efficientvit_sam_l0 --dataset coco --out runs/speed
    """
    from sambench.harness.config import parse_weights
    from sambench.harness.throughput.config import load_config

    flags = {
        "models": models,
        "adapters": adapter or None,
        "weights": parse_weights(weights) if weights else None,
        "device": device,
        "engines": engine,
        "precisions": precision,
        "scopes": scopes,
        "modes": modes,
        "batch_sizes": batch_sizes,
        "preset": preset,
        "rounds": rounds,
        "seconds": seconds,
        "min_batches": min_batches,
        "dataset": dataset,
        "images": images,
        "annotations": annotations,
        "seed": seed,
        "audit": audit,
        "out": out,
    }
    loaded = load_config(config, flags)
    if explain:
        from sambench.harness.throughput.explain import explain as in_words

        for paragraph in in_words(loaded):
            out_console.print(paragraph + "\n")
        return
    from sambench.harness.throughput.plan import make_plan

    with err_console.status("Reading data and weights"):
        name, uuid = _device(loaded.device)
        plan = make_plan(loaded, name)
    if dry_run:
        _show_plan(plan)
        return
    cells = _run(plan, uuid)
    files = _report(plan)
    if as_json:
        print(json.dumps([cell.to_json() for cell in cells], indent=1))
    else:
        _show(cells)
        for title, path in files.items():
            out_console.print(f"{title:9}{path}", soft_wrap=True)
    if any(cell.status in ("failed", "invalid") for cell in cells):
        raise typer.Exit(1)


def _device(device: str) -> tuple[str, str | None]:
    """Name the hardware, and a GPU's identity; a GPU is asked by a process that ends again."""
    from sambench.adapters.registry import check_device
    from sambench.harness.provenance import device_name
    from sambench.harness.throughput.worker_process import ask_device

    if check_device(device).type == "cpu":
        return device_name(device), None
    found = ask_device(device)
    return found["device"], found["uuid"]


def _run(plan: Plan, uuid: str | None) -> list[CellResult]:
    from sambench.harness.cli.throughput_progress import ThroughputProgress
    from sambench.harness.throughput.cooling import cooling
    from sambench.harness.throughput.schedule import run

    command = shlex.join(["sambench", *sys.argv[1:]])
    try:
        with ThroughputProgress(err_console) as progress:
            return run(plan, progress, command, cooling(uuid))
    except KeyboardInterrupt:
        err_console.print("Stopped; run the same command again to go on.")
        raise typer.Exit(130) from None


def _report(plan: Plan) -> dict[str, Path]:
    from sambench.reports.report import write_report

    files = write_report([plan.config.out], plan.config.out)
    return {"results": plan.config.out / "results.json", "report": files.html, "": files.markdown}


def _show_plan(plan: Plan) -> None:
    from sambench.harness.throughput.schedule import finished

    table = Table(title="Plan", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("model", "engine", "precision", "scope", "batch", "modes", "rounds done"):
        table.add_column(column, overflow="fold")
    rounds = plan.config.rule.rounds
    for m in plan.measurements:
        v = m.variant
        done = f"{finished(m, rounds)}/{rounds}"
        table.add_row(v.model, v.engine, v.precision, m.scope.name, str(m.batch), ", ".join(m.modes), done)
    out_console.print(table)
    out_console.print(f"{plan.device}; a process a line and round, {plan.config.out}", soft_wrap=True)
    for variant in plan.variants:
        if variant.reason:
            out_console.print(f"will have no number: {variant.reason}", soft_wrap=True)


NAMES = ("model", "engine", "marks")
COLUMNS = (*NAMES[:2], "img/s", "low-high", "p50 ms", "p99 ms", "of ceiling", NAMES[2])


def _show(cells: Sequence[CellResult]) -> None:
    """Print a table for each scope, mode and batch size, models beneath each other; then what went wrong."""
    places: dict[tuple[str, str, int], list[CellResult]] = {}
    for cell in cells:
        protocol = cell.protocol
        places.setdefault((protocol["scope"], protocol["mode"], protocol["batch"]), []).append(cell)
    for (scope, mode, batch), its in places.items():
        title = f"{scope}, {mode}, batch {batch}"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
        for column in COLUMNS:
            name = column in NAMES
            table.add_column(column, justify="left" if name else "right", no_wrap=not name, overflow="fold")
        for cell in its:
            marks = dict.fromkeys(mark.partition(":")[0] for mark in cell.provenance.get("marks", []))
            table.add_row(cell.model, f"{cell.engine} {cell.precision}", *_values(cell), ", ".join(marks))
        out_console.print(table)
        out_console.print()
    reasons = (f"{c.model}, {c.engine} {c.precision}: {c.reason}" for c in cells if c.reason)
    for text in dict.fromkeys(reasons):
        out_console.print(text, soft_wrap=True)


def _values(cell: CellResult) -> list[str]:
    from sambench.reports.words import figures

    if cell.status != "done":
        return ["n/a" if cell.status == "not_applicable" else cell.status, "", "", "", ""]
    metrics: dict[str, Any] = cell.metrics
    low, high = cell.intervals["img_s"]
    share = metrics.get("ceiling_share")
    return [
        figures(metrics["img_s"]),
        f"{figures(low)}-{figures(high)}",
        figures(metrics["latency_ms_p50"]),
        figures(metrics["latency_ms_p99"]),
        "-" if share is None else f"{share:.0f}%",
    ]
