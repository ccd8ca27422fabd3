"""The cells of one or several runs, and what may be said of each."""

from __future__ import annotations

import collections
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sambench.reports import published, words
from sambench.suites.protocol import PRESETS, for_suite
from sambench.suites.results import CellResult, load_results
from sambench.suites.sginw.registry import registry


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
        return words.model_name(self.cell.model)


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


def not_comparable(entry: Entry) -> list[str]:
    """Return why a cell's numbers may not be held against the published ones; empty if they may."""
    reasons = []
    if entry.weights != "file":
        known = {"random": "random weights", "none": "no weights"}
        reasons.append(known.get(str(entry.weights), "weights not recorded"))
    reasons += _other_images(entry.cell)
    preset = entry.cell.protocol.get("preset")
    if axes := words.off_paper(entry.cell.protocol, entry.cell.suite):
        choices = (words.axis_value(axis, entry.cell.protocol[axis], short=True) for axis in axes)
        reasons.append(f"protocol {entry.protocol} ({', '.join(choices)})")
    elif preset != "paper":
        reasons.append(f"protocol {preset}" if preset else "protocol not recorded")
    return reasons


def warnings(entries: Sequence[Entry]) -> list[str]:
    """Return what a reader must know before any number."""
    found = []
    done = [entry for entry in entries if entry.cell.status == "done"]
    if untrained := dict.fromkeys(entry.name for entry in done if entry.weights == "random"):
        whose = (
            "Its numbers say nothing about the model"
            if len(untrained) == 1
            else ("Their numbers say nothing about the models")
        )
        found.append(f"{', '.join(untrained)}: random weights. {whose}.")
    for dataset in dict.fromkeys(entry.cell.dataset for entry in done):
        full = published.full_set(dataset)
        sizes = {e.cell.n_images for e in done if e.cell.dataset == dataset and not e.cell.partial}
        found += [
            f"{dataset}: {n:,} images, the published numbers are for the {full.images:,} of {full.name}."
            for n in sorted(sizes)
            if full is not None and n != full.images
        ]
    samples: dict[str, list[str]] = {}
    for entry in done:
        if part := entry.cell.partial:
            limit, of, seed = (part.get(key, "?") for key in ("limit", "of", "seed"))
            where = samples.setdefault(f"partial, {limit} of {of} images (seed {seed}).", [])
            where.append(f"{entry.cell.suite} on {entry.cell.dataset}")
    found += [f"{', '.join(dict.fromkeys(where))}: {sample}" for sample, where in samples.items()]
    for status in ("failed", "unfinished"):
        if hit := [entry for entry in entries if entry.cell.status == status]:
            named = ", ".join(f"{entry.name} ({entry.cell.suite}, {entry.cell.dataset})" for entry in hit)
            found.append(f"{status.capitalize()}: {named}.")
    return found


def _other_images(cell: CellResult) -> list[str]:
    if cell.suite == "sginw":
        there = cell.counts.get("data_sets", 0)
        whole = there == len(registry()) and cell.partial is None
        return [] if whole else [f"{there} of {len(registry())} data sets, or a sample of them"]
    full = published.full_set(cell.dataset)
    if full is None:
        return ["not a dataset of the paper"]
    if cell.n_images < full.images:
        return [f"{cell.n_images:,} of {full.images:,} images"]
    if cell.n_images > full.images:
        return [f"{cell.n_images:,} images, where {full.name} has {full.images:,}"]
    return ["a sample of the images"] if cell.partial is not None else []


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
    if preset and cell.protocol == for_suite(preset, cell.suite).to_json():
        return preset.to_json()
    return cell.protocol


def _key(protocol: dict[str, Any]) -> str:
    return json.dumps(protocol, sort_keys=True)
