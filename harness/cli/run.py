"""``sambench run``: models on data sets, scored by suites."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sambench.harness.cli import complete, console, options
from sambench.harness.cli.bars import status
from sambench.harness.cli.ending import (
    foresee_report,
    show_files,
    write_report,
)
from sambench.harness.cli.stopping import stoppable
from sambench.harness.executors import launch

if TYPE_CHECKING:
    from sambench.harness.plan import Plan


def run(
    context: typer.Context,
    config: options.Config = None,
    models: options.Models = None,
    adapter: options.Adapters = None,
    weights: options.Weights = None,
    suites: options.Suites = None,
    dataset: options.Dataset = None,
    images: options.Images = None,
    annotations: options.Annotations = None,
    annotators: options.Annotators = None,
    match: options.Match = None,
    detections: options.Detections = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete.one(complete.protocols),
            help="'paper' does what the authors' scripts do, 'strict' (default) what is right.",
        ),
    ] = None,
    evaluator: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete.one(complete.given(*complete.EVALUATORS)),
            help="What computes AP: hotcoco (default), pycocotools or lvis.",
        ),
    ] = None,
    device: options.Device = None,
    engine: options.Engines = None,
    precision: options.Precisions = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", "--batch-sizes", help="Images an encoder call (default 1 on a CPU, 8 on a GPU)."
        ),
    ] = None,
    executor: options.Executor = None,
    workers: options.Workers = None,
    threads: options.Threads = None,
    address: options.Address = None,
    max_failures: options.MaxFailures = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Evaluate a seeded sample of so many images; the result is marked partial."),
    ] = None,
    seed: options.Seed = None,
    track: options.Track = None,
    out: options.Out = None,
    as_json: options.Json = False,
    dry_run: options.DryRun = False,
) -> None:
    """Evaluate models on data sets, and write a report.

    Interrupt it anywhere and run the same command again: it goes on where it was.

    **Example**: sambench run --models efficientvit_sam_l0,box --suites gt_box,click --dataset coco
    --images val2017 --annotations instances_val2017.json --protocol paper --out runs/coco
    """
    if launch.is_started():
        launch.be_ready()
        if not launch.is_first():
            from sambench.harness.executors.torchrun import help_first

            help_first()
            return
    with launch.others_dismissed():
        _as_first(context, as_json=as_json, dry_run=dry_run)


def _as_first(context: typer.Context, *, as_json: bool, dry_run: bool) -> None:
    """Plan, and then do it or let torchrun's processes do it."""
    from sambench.harness import state
    from sambench.harness.cli.tables import plan_rows, show_plan
    from sambench.harness.config.run import load_run
    from sambench.harness.estimate import times_left
    from sambench.harness.executors.choose import check_workers
    from sambench.harness.plan import make_plan
    from sambench.harness.remote.places import open_place

    loaded, content = load_run(context.params["config"], context.params)
    if loaded.executor == "torchrun" and not dry_run and not launch.is_started():
        raise typer.Exit(launch.launch(loaded.workers, sys.argv[1:]))
    console.note_unread(content, "run")
    console.note_out(content, loaded.out)
    console.warn_emulated(loaded.engines, loaded.precisions, loaded.device)
    check_workers(loaded)
    open_place(loaded.out, loaded.remote, console.note, writes=not dry_run)
    with state.threads(loaded.threads):
        with status("Reading annotations, images and weights"):
            plan = make_plan(loaded)
        for text in plan.warnings:
            console.warn(text)
        console.warn_untried(loaded.device)
        times = times_left(plan, unknown=dry_run)
        if dry_run and as_json:
            console.print_json(plan_rows(plan))
        elif dry_run:
            show_plan(plan, times, console.out)
        else:
            _do(plan, times, as_json)


def _do(plan: Plan, times: Sequence[str], as_json: bool) -> None:
    """Run a plan, show and report its results; exit with 1 where a cell failed."""
    from sambench.harness.cli.progress import RunProgress
    from sambench.harness.cli.tables import show_results
    from sambench.harness.events import Events
    from sambench.harness.executors.choose import executor_of
    from sambench.harness.provenance import command_line
    from sambench.harness.remote.sending import sending
    from sambench.harness.results import ResultsFile
    from sambench.harness.run import run as run_plan
    from sambench.harness.tracking.live import tracked

    for reason in dict.fromkeys(group.variant.reason for group in plan.groups):
        if reason:
            console.note(f"will have no number: {reason}")
    for said in dict.fromkeys(group.variant.note for group in plan.groups):
        if said:
            console.note(said)
    for line in times:
        console.note(line)
    out: Path = plan.config.out
    foresee_report(out)
    results, command = ResultsFile(out), command_line()
    with (
        sending(plan.config.remote, out, console.warn, console.note) as sender,
        tracked(plan.config.track, out, command, console.warn, console.note) as tracking,
    ):
        listeners = [results, tracking, sender]
        with (
            stoppable(command),
            executor_of(plan.config) as execute,
            RunProgress(console.err) as progress,
        ):
            cells = run_plan(plan, Events([progress, *listeners], console.warn), command, execute)
        if as_json:
            console.print_json([cell.to_json() for cell in cells])
        else:
            show_results(cells, console.out)
        files = write_report(out, results)
        if not as_json:
            show_files(files)
    if any(cell.status == "failed" for cell in cells):
        raise typer.Exit(1)
