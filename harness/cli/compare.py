"""``sambench compare``: by how much models differ on the same objects, and how surely."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sambench.evsam.errors import SambenchError
from sambench.harness.cli import console, options

if TYPE_CHECKING:
    from sambench.harness.cli.gate import Gate
    from sambench.reports.cells import Entry
    from sambench.reports.compare import Comparison
    from sambench.suites.scoring.scores import Metric


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN [RUN_B]",
            help="One run, for all pairs of its models; or two, for each model of both (the second minus the "
            "first) or the one that only each has. A folder, or its results.json.",
        ),
    ],
    models: options.Models = None,
    suites: options.Suites = None,
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", "--metric", help="Only these, comma-separated, named as in results.json."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All metrics, sizes and calibration too.")] = False,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXPRESSION",
            help="End with 1 where a difference meets it: 'miou < -0.2', 'click.miou_5 <= -0.5'; repeatable.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Subtract models on the very objects that both have, with intervals; nothing is computed anew.

    Numbers made under other protocols, annotations or boxes are not subtracted; what differs is said.

    **Example**: sambench compare runs/coco

    **Example**: sambench compare runs/coco --models efficientvit_sam_l0,sam_vit_b --suite click --all

    **Example**: sambench compare runs/before runs/after --fail-if "miou < -0.2" --json
    """
    from sambench.harness.cli.compare_tables import refusals, show_differences
    from sambench.harness.cli.gate import Gate
    from sambench.harness.config.keys import split
    from sambench.harness.remote.places import fetched
    from sambench.reports.compare import compare as compare_entries
    from sambench.reports.compare import read_pair

    if len(runs) > 2:
        raise SambenchError(
            f"compare takes one run or two, not {len(runs)}. Compare two at a time; 'sambench report' shows "
            "several side by side."
        )
    if every and metrics:
        raise SambenchError("--all and --metrics: give one of them.")
    gates = [Gate.parse(text) for text in fail_if or []]
    a, b = read_pair(*(fetched(run, console.note) for run in runs))
    entries = [*a, *(b or ())]
    wanted = _wanted(entries, metrics, gates, every=every or (as_json and not metrics))
    found = compare_entries(a, b, models=split(models or ""), suites=split(suites or ""), metrics=wanted)
    if not found.rows:
        raise SambenchError(f"{' and '.join(map(str, runs))}: nothing could be compared. {_why(found)}")
    for line in refusals(found.refused):
        console.warn(line)
    for line in found.unpaired:
        console.note(line)
    if as_json:
        console.print_json([dataclasses.asdict(row) for row in found.rows])
    else:
        titles = {entry.cell.suite: entry.cell.about.title for entry in entries if entry.cell.about}
        show_differences(found.rows, titles, console.out)
    _judge(gates, found, entries)


def _wanted(
    entries: Sequence[Entry], metrics: str | None, gates: Sequence[Gate], *, every: bool
) -> list[str] | None:
    """Name the metrics to compare: those asked for, or what a terminal has room for, and the gates' own."""
    from sambench.harness.config.keys import split

    if every:
        return None
    brief = [name for entry in entries for name, metric in _declared(entry).items() if metric.brief]
    there = {name for entry in entries for name in entry.cell.metrics}
    own = split(metrics or "") or [name for name in dict.fromkeys(brief) if name in there]
    return list(dict.fromkeys([*own, *(gate.metric for gate in gates if gate.metric in there)])) or None


def _declared(entry: Entry) -> dict[str, Metric]:
    return {metric.name: metric for metric in (entry.cell.about.metrics if entry.cell.about else ())}


def _why(found: Comparison) -> str:
    """Say why there is no row, each reason once."""
    suites: dict[str, list[str]] = {}
    for one in found.refused:
        suites.setdefault(one.reason, []).append(one.suite)
    reasons = [f"{', '.join(dict.fromkeys(those))}: {reason}." for reason, those in suites.items()]
    return " ".join([*reasons, *found.unpaired]) or "They have no number in common."


def _judge(gates: Sequence[Gate], found: Comparison, entries: Sequence[Entry]) -> None:
    """End with 1 where a gate's condition is met, and say by what."""
    from sambench.harness.cli.compare_tables import with_interval

    failed = False
    for gate in gates:
        suites = {entry.cell.suite for entry in entries if gate.metric in _declared(entry)}
        watched = {suite for suite in suites if gate.watches(suite, gate.metric)}
        met = gate.met(found.rows, [one for one in found.refused if one.suite in watched])
        for row in met:
            where = f"{row.suite} on {row.dataset}, {row.label_b} minus {row.label_a}"
            text = f"fails {gate.text!r}: {where}: {with_interval(row)}"
            console.err.print(text, style="red", soft_wrap=True)
        if not met:
            console.note(f"holds for none: {gate.text!r}")
        failed = failed or bool(met)
    if failed:
        raise typer.Exit(1)
