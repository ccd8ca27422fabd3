"""The entries of a run's or a throughput's folder: a command, and under it every cell that has ended."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sambench.harness.config.keys import split
from sambench.harness.results import identity, question
from sambench.harness.secrets import redacted, without_secrets
from sambench.harness.tracking.content import Entry, Point, Status, files_under, flat
from sambench.harness.tracking.trackers import TRACKERS
from sambench.suites.naming import departures, failures_named
from sambench.suites.results import CellResult, load_results

SHARED = ("results.json", "report.html", "report.md")
STATUS: dict[str, Status] = {"failed": "failed", "invalid": "failed", "unfinished": "killed"}
"""Of cells that are neither done nor not applicable."""


def entries_of_cells(out: Path, running: str | None, made: Mapping[str, bytes]) -> list[Entry]:
    """Return what a folder of results has to say.

    Args:
        out: the folder, with ``results.json``.
        running: the command that is at work on it, if one is; files that it will change wait for its end.
        made: further files of all the folder's results, by their paths in a run: tables and figures.

    Raises:
        SambenchError: the results cannot be read.
    """
    commands: dict[str, list[CellResult]] = {}
    for cell in load_results(out):  # which an earlier version wrote with the secrets in it
        clean = replace(cell, **without_secrets(cell.to_json()))
        commands.setdefault(command_of(clean), []).append(clean)
    working = None if running is None else bare(running)
    found = []
    for command, cells in commands.items():
        parent = _parent(out, command, cells, running=command == working, made=made)
        found += [parent, *(_child(out, parent.key, cell) for cell in cells if cell.status != "unfinished")]
    return found


def command_of(cell: CellResult) -> str:
    """Return the command that a cell's records were computed by, without what it says of tracking."""
    return bare(str(cell.provenance.get("command", "")))


def bare(command: str) -> str:
    """Return a command without its options of tracking: with and without them it is one run."""
    try:
        words = shlex.split(command)
    except ValueError:  # not one that this program wrote down
        return command
    kept = []
    for word, before in zip(words, ["", *words], strict=False):
        named = before == "--track" and any(name in TRACKERS for name in split(word))
        if word == "--track" or word.startswith("--track=") or named:
            continue
        kept.append(word)
    return shlex.join(kept)


def _parent(
    out: Path, command: str, cells: Sequence[CellResult], running: bool, made: Mapping[str, bytes]
) -> Entry:
    statuses = [cell.status for cell in cells]
    status: Status = "failed" if "failed" in statuses or "invalid" in statuses else "finished"
    if "unfinished" in statuses:
        status = "killed"
    counts = {name: statuses.count(name) for name in ("done", "failed", "not_applicable", "invalid")}
    points = [Point(f"cells_{name}", float(count)) for name, count in counts.items()]
    shared = {name: out / name for name in SHARED if (out / name).is_file()}
    params = {
        plural: ", ".join(dict.fromkeys(str(getattr(cell, one)) for cell in cells))
        for plural, one in (("suites", "suite"), ("datasets", "dataset"), ("models", "model"))
    }
    spans = [span for cell in cells if (span := _span(out, cell))]
    git = flat(cells[-1].provenance.get("git") or {}, "git.")
    tags = {"command": command, "folder": out.name, **git}
    return Entry(
        key=f"command {command}",
        name=redacted(out.name),
        tags=_said(tags | params),
        points=() if running else tuple(points),
        files={} if running else shared,
        texts={} if running else {place: content.decode() for place, content in made.items()},
        status="running" if running else status,
        began=min((began for began, _ in spans), default=None),
        ended=max((ended for _, ended in spans), default=None),
    )


def _child(out: Path, parent: str, cell: CellResult) -> Entry:
    records = out / cell.records if cell.records else None
    began, ended = _span(out, cell) or (None, None)
    return Entry(
        key=key_of(cell),
        name=", ".join([f"{cell.model} {cell.suite} {cell.dataset}", *departures(cell), *_place(cell)]),
        parent=parent,
        params=_said(_params(cell)),
        points=tuple(_points(cell)),
        tags=_said(_tags(cell)),
        files=files_under(records, "records") if records and records.is_dir() else {},
        texts={"cell.json": json.dumps(cell.to_json(), indent=1, allow_nan=False) + "\n"},
        status=STATUS.get(cell.status, "finished"),
        began=began,
        ended=ended,
    )


def _span(out: Path, cell: CellResult) -> tuple[float, float] | None:
    """When a cell was computed: until its last record was written, for as long as its timing says."""
    shards = (out / cell.records).glob("*.parquet") if cell.records else ()
    ended = max((shard.stat().st_mtime for shard in shards), default=None)
    return None if ended is None else (ended - cell.timing.get("seconds", 0.0), ended)


def key_of(cell: CellResult) -> str:
    """Name a cell for good: by what was asked, and of which weights, where they are known."""
    asked = identity(cell) if cell.provenance.get("weights") else question(cell)
    return f"cell {hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]}"


def _place(cell: CellResult) -> list[str]:
    """What tells a throughput's cell from its neighbours."""
    if cell.suite != "throughput":
        return []
    return [f"{cell.protocol['scope']} {cell.protocol['mode']} batch {cell.protocol['batch']}"]


def _params(cell: CellResult) -> dict[str, str]:
    names = ("model", "suite", "dataset", "engine", "precision", "device")
    found = {name: str(getattr(cell, name)) for name in names}
    found |= flat(cell.protocol, "protocol.")
    return found | flat(cell.partial or {}, "partial.")


def _points(cell: CellResult) -> list[Point]:
    """Metrics under the names of ``results.json``, the ends of their intervals, and what was counted."""
    numbers: dict[str, float | None] = dict(cell.metrics)
    for name, (low, high) in cell.intervals.items():
        numbers |= {f"{name}.low": low, f"{name}.high": high}
    if cell.status == "done":
        numbers |= {"n_images": float(cell.n_images), "n_instances": float(cell.n_instances)}
        numbers |= {"n_failed_images": float(cell.n_failed_images)} if cell.n_failed_images else {}
        numbers |= {f"count.{name}": float(count) for name, count in cell.counts.items()}
        numbers |= {f"timing.{name}": float(value) for name, value in cell.timing.items()}
    known = ((name, value) for name, value in numbers.items() if value is not None)
    return [Point(name, float(value)) for name, value in known if math.isfinite(value)]


def _tags(cell: CellResult) -> dict[str, str]:
    provenance: dict[str, Any] = {k: v for k, v in cell.provenance.items() if k != "command"}
    found = {"status": cell.status, "reason": cell.reason or "", "note": cell.note or ""}
    found |= {"failed_images": failures_named(cell)}
    found |= {"command": command_of(cell), "records": cell.records or ""}
    return {name: text for name, text in (found | flat(provenance)).items() if text}


def _said(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: str(text) for name, text in without_secrets(dict(texts)).items()}
