"""The cells of one or several runs, and what may be said of each."""

from __future__ import annotations

import collections
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sambench.reports import words
from sambench.suites import naming
from sambench.suites.protocol import PRESETS, for_suite
from sambench.suites.results import CellResult, load_results


@dataclass(frozen=True)
class Entry:
    """A cell and where it came from."""

    cell: CellResult
    run: str
    """The run in a word: the name of its folder."""
    folder: Path
    protocol: str
    """The protocol in a word: its preset, numbered where a report holds several of that name."""

    @property
    def weights(self) -> str | None:
        """``random``, ``file``, ``none``, or ``None`` where the run did not record it."""
        return provenance(self.cell, "weights").get("source")

    @property
    def name(self) -> str:
        """The model's display name."""
        return naming.title(self.cell.model)

    @property
    def label(self) -> str:
        """The name, with what sets the cell apart from the plain case."""
        return naming.with_departures(self.name, self.cell)


def read_runs(runs: Sequence[Path]) -> list[Entry]:
    """Read the cells of several runs, models in the order of the rows.

    Raises:
        SambenchError: a run has no readable ``results.json``.
    """
    loaded = [
        (cell, name, run if run.is_dir() else run.parent)
        for run, name in zip(runs, _run_names(runs), strict=True)
        for cell in load_results(run)
    ]
    labels = _protocol_labels([_as_asked(cell) for cell, _, _ in loaded])
    entries = [Entry(cell, name, folder, labels[_key(_as_asked(cell))]) for cell, name, folder in loaded]
    return sorted(entries, key=lambda entry: words.model_rank(entry.cell.model))


def provenance(cell: CellResult, part: str) -> dict[str, Any]:
    """Return one part of a cell's provenance, empty where it was not recorded."""
    found = cell.provenance.get(part)
    return found if isinstance(found, dict) else {}


def _run_names(runs: Sequence[Path]) -> list[str]:
    folders = [(run if run.is_dir() else run.parent).resolve() for run in runs]
    times = collections.Counter(folder.name for folder in folders)
    return [f.name if times[f.name] == 1 else f"{f.parent.name}/{f.name}" for f in folders]


def _protocol_labels(protocols: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Name each distinct protocol by its preset, numbered from the second of a name on."""
    seen: collections.Counter[str] = collections.Counter()
    labels: dict[str, str] = {}
    for protocol in protocols:
        if (key := _key(protocol)) not in labels:
            preset = str(protocol.get("preset", "unrecorded"))
            seen[preset] += 1
            labels[key] = preset if seen[preset] == 1 else f"{preset} {seen[preset]}"
    return labels


def _as_asked(cell: CellResult) -> dict[str, Any]:
    """Return the protocol as it was asked for: a preset is the same one whatever a suite makes of it."""
    if cell.suite == "throughput":  # its cells differ by scope, mode and batch, which their tables say
        return {"throughput": cell.protocol.get("preset"), "preset": f"{cell.protocol.get('preset')} (speed)"}
    preset = PRESETS.get(str(cell.protocol.get("preset")))
    if preset and any(
        cell.protocol == for_suite(preset, cell.suite, pairs=pairs).to_json() for pairs in (False, True)
    ):
        return preset.to_json()
    return cell.protocol


def _key(protocol: dict[str, Any]) -> str:
    return json.dumps(protocol, sort_keys=True)
