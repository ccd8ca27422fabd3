"""``sambench throughput``: how fast models are, with everything that makes a speed believable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sambench.harness.cli import complete, console, options
from sambench.harness.cli.bars import status
from sambench.harness.cli.ending import (
    foresee_report,
    interruptible,
    show_files,
    write_report,
)

if TYPE_CHECKING:
    from sambench.harness.throughput.config import ThroughputConfig
    from sambench.harness.throughput.plan import Plan
    from sambench.suites.results import CellResult


Scopes = Annotated[
    str | None,
    typer.Option(
        "--scopes",
        "--scope",
        autocompletion=complete.several(complete.given(*complete.SCOPES)),
        help="E, D1, D16, D64, E2E, APP, comma-separated, or all (default E,E2E).",
    ),
]
Modes = Annotated[
    str | None,
    typer.Option(
        "--modes",
        "--mode",
        autocompletion=complete.several(complete.given(*complete.MODES)),
        help="pipelined, serial, compute, comma-separated (default all).",
    ),
]
BatchSizes = Annotated[
    str | None,
    typer.Option(
        "--batch-sizes", "--batch-size", help="Comma-separated (default 1 on a CPU, 1,16 on a GPU)."
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        autocompletion=complete.one(complete.given(*complete.PRESETS)),
        help="'paper' is the full protocol (default on a GPU), 'quick' takes seconds (on a CPU).",
    ),
]


def throughput(
    context: typer.Context,
    config: options.Config = None,
    models: options.Models = None,
    adapter: options.Adapters = None,
    weights: options.Weights = None,
    device: options.Device = None,
    engine: options.Engines = None,
    precision: options.Precisions = None,
    scopes: Scopes = None,
    modes: Modes = None,
    batch_sizes: BatchSizes = None,
    preset: Preset = None,
    rounds: Annotated[int | None, typer.Option(help="Fresh processes a measurement.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Measure at least so long ...")] = None,
    min_batches: Annotated[int | None, typer.Option(help="... and at least so many batches.")] = None,
    dataset: options.Dataset = None,
    images: options.Images = None,
    annotations: options.Annotations = None,
    match: options.Match = None,
    seed: options.Seed = None,
    audit: Annotated[
        bool | None, typer.Option("--audit", help="Also repeat one batch, to see if anything remembers it.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds that a process may take (default half an hour and a minute an image)."),
    ] = None,
    track: options.Track = None,
    out: options.Out = None,
    as_json: options.Json = False,
    dry_run: options.DryRun = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say in words what is measured; run nothing.")
    ] = False,
) -> None:
    """Measure how fast models are: encoder, decoder, end to end, application.

    Every measurement is a fresh process on real images, and comes after a check that its masks are right. Run
    the same command again and it goes on where it was.

    **Example**: sambench throughput --models sam_vit_h,efficientvit_sam_l0 --dataset coco --out runs/speed
    """
    from sambench.harness.remote.places import open_place
    from sambench.harness.throughput.config import load_throughput

    loaded, content = load_throughput(config, context.params)
    console.note_unread(content, "throughput")
    console.note_out(content, loaded.out)
    console.warn_emulated(loaded.engines, loaded.precisions, loaded.device)
    if explain:
        _explain(loaded)
        return
    open_place(loaded.out, loaded.remote, console.note, writes=not dry_run)
    plan, uuid = _plan(loaded)
    if dry_run:
        _show_plan(plan, as_json)
        return
    _do(plan, uuid, as_json)


def _explain(config: ThroughputConfig) -> None:
    from sambench.harness.throughput.explain import explain

    for paragraph in explain(config):
        console.say(paragraph + "\n")


def _plan(config: ThroughputConfig) -> tuple[Plan, str | None]:
    from sambench.harness.throughput.plan import make_plan

    with status("Reading data and weights"):
        name, uuid = _device(config.device)
        return make_plan(config, name), uuid


def _do(plan: Plan, uuid: str | None, as_json: bool) -> None:
    """Measure, show and report; exit with 1 where there is no number that should be."""
    from sambench.adapters.files import locked
    from sambench.harness.events import Events
    from sambench.harness.provenance import command_line
    from sambench.harness.remote.sending import sending
    from sambench.harness.results import ResultsFile
    from sambench.harness.throughput.cooling import cooling
    from sambench.harness.throughput.progress import ThroughputProgress
    from sambench.harness.throughput.schedule import run
    from sambench.harness.tracking.live import tracked

    out, command = plan.config.out, command_line()
    foresee_report(out)
    results = ResultsFile(out)
    with (
        sending(plan.config.remote, out, console.warn, console.note, meanwhile=False) as sender,
        tracked(plan.config.track, out, command, console.warn, console.note, meanwhile=False),
    ):
        events = Events([results, sender], console.warn)
        measured = out / "records" / "throughput"
        with interruptible(), locked(measured), ThroughputProgress(console.err) as progress:
            cells = run(plan, progress, events, command, cooling(uuid))
        files = write_report(out, results)
    if as_json:
        console.print_json([cell.to_json() for cell in cells])
    else:
        _show(cells)
        show_files(files)
    if any(cell.status in ("failed", "invalid") for cell in cells):
        raise typer.Exit(1)


def _device(device: str) -> tuple[str, str | None]:
    """Name the hardware, and a GPU's identity; a GPU is asked by a process that ends again."""
    from sambench.adapters.devices import check_device
    from sambench.harness.provenance import device_name
    from sambench.harness.throughput.worker_process import ask_device

    if check_device(device).type == "cpu":
        return device_name(device), None
    found = ask_device(device)
    return found["device"], found["uuid"]


def _show_plan(plan: Plan, as_json: bool) -> None:
    from sambench.harness.throughput.verdict import before

    rows = _plan_rows(plan)
    if as_json:
        console.print_json(rows)
        return
    columns = ("model", "engine", "precision", "scope", "batch", "modes", "rounds done")
    table = console.plain_table(*columns, title="Plan")
    for row in rows:
        modes, done = ", ".join(row["modes"]), f"{row['rounds_done']}/{row['rounds']}"
        table.add_row(*(str(row[key]) for key in columns[:-2]), modes, done)
    console.print_table(table)
    console.out.print(f"{plan.device}; a process a line and round, {plan.config.out}", soft_wrap=True)
    verdicts = (before(variant, scope) for variant in plan.variants for scope in plan.config.scopes)
    for reason in dict.fromkeys(verdict[1] for verdict in verdicts if verdict):
        console.out.print(f"will have no number: {reason}", soft_wrap=True)


def _plan_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return what a plan measures as JSON has it: a row for each variant, scope and batch size."""
    from sambench.harness.throughput.schedule import finished

    rounds = plan.config.rule.rounds
    return [
        {
            "model": m.variant.model,
            "engine": m.variant.engine,
            "precision": m.variant.precision,
            "device": plan.device,
            "scope": m.scope.name,
            "batch": m.batch,
            "modes": list(m.modes),
            "rounds": rounds,
            "rounds_done": len(finished(m, rounds)),
            "out": str(plan.config.out),
        }
        for m in plan.measurements
    ]


COLUMNS = ("model", "img/s", "low-high", "p50 ms", "p99 ms", "of ceiling", "marks")


def _show(cells: Sequence[CellResult]) -> None:
    """Print a table for each scope, mode and batch size, models beneath each other; then what went wrong."""
    from sambench.harness.cli.tables import reason
    from sambench.suites.naming import beside_speed

    places: dict[tuple[str, str, int], list[CellResult]] = {}
    for cell in cells:
        protocol = cell.protocol
        places.setdefault((protocol["scope"], protocol["mode"], protocol["batch"]), []).append(cell)
    for (scope, mode, batch), its in places.items():
        title = f"{scope}, {mode}, batch {batch}"
        table = console.plain_table(*COLUMNS, title=title, right=COLUMNS[1:-1])
        for cell in its:
            marks = dict.fromkeys(mark.partition(":")[0] for mark in cell.provenance.get("marks", []))
            name = console.stacked([cell.model, *beside_speed(cell)])
            table.add_row(name, *_values(cell), ", ".join(marks))
        console.print_table(table)
        console.out.print()
    for text in dict.fromkeys(reason(cell) for cell in cells if cell.reason):
        console.out.print(text, soft_wrap=True)


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
