"""When a measured number may be held against a published one: the same data, weights and protocol; fp32."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from sambench.reports import published, words
from sambench.reports.cells import Entry, provenance
from sambench.suites import naming
from sambench.suites.results import CellResult
from sambench.suites.sginw.registry import registry


def reasons(entry: Entry) -> list[str]:
    """Return why a cell's numbers may not be held against the published ones; empty if they may."""
    found = [*_other_weights(entry), *other_data(entry.cell), *filter(None, [naming.failures(entry.cell)])]
    if entry.cell.precision != "fp32":
        found.append(f"precision {entry.cell.precision}")
    return found + _other_protocol(entry)


def caveats(entry: Entry) -> list[str]:
    """Return what must be said beside a fair difference: another engine, data that no checksum proves."""
    cell = entry.cell
    found = [] if cell.engine == "eager" else [f"run by {cell.engine}"]
    full = published.full_set(cell.dataset)
    if full is None:
        found.append("checksums of the official data are not known")
    elif provenance(cell, "annotations").get("sha256") != full.sha256:
        found.append(f"data held to be {full.name} by counts of images and annotations, not by checksum")
    if "/" in cell.dataset:  # of a detector, whose name stands behind it
        boxes = provenance(cell, "detections")
        these = f"of {_file(boxes)}" if boxes else "not recorded"
        found.append(f"boxes {these}, and no checksum of the paper's is known")
    return found


def other_data(cell: CellResult) -> list[str]:
    """Return in what the data of a cell are not those of the paper; empty if they are."""
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
    if cell.partial is not None:
        return ["a sample of the images"]
    return _other_annotations(provenance(cell, "annotations"), full)


def _other_annotations(annotations: dict[str, Any], full: published.Dataset) -> list[str]:
    """Compare by checksum, and by their number where that is not known or of a file written otherwise."""
    if full.sha256 is not None and annotations.get("sha256") == full.sha256:
        return []
    count = annotations.get("count")
    if count is None:
        return [f"annotations {_file(annotations)} not known to be those of {full.name}"]
    if count != full.annotations:
        there = f"{count:,} annotations in {_file(annotations)}"
        return [f"{there}, where {full.name} has {full.annotations:,}"]
    return []


def _other_weights(entry: Entry) -> list[str]:
    if entry.weights != "file":
        known = {"random": "random weights", "none": "no weights"}
        return [known.get(str(entry.weights), "weights not recorded")]
    weights = provenance(entry.cell, "weights")
    official = naming.is_official(entry.cell.model, weights)
    if official:
        return []
    named = naming.checkpoint(entry.cell.model, weights)
    if official is None:
        return [f"weights {named}, and no checksum of the official ones is known"]
    return [f"weights {named} not the official ones"]


def _other_protocol(entry: Entry) -> list[str]:
    protocol = entry.cell.protocol
    if axes := words.off_paper(protocol, entry.cell.suite):
        choices = (words.axis_value(axis, protocol[axis], short=True) for axis in axes)
        return [f"protocol {entry.protocol} ({', '.join(choices)})"]
    preset = protocol.get("preset")
    if preset == "paper":
        return []
    return [f"protocol {preset}" if preset else "protocol not recorded"]


def _file(recorded: dict[str, Any]) -> str:
    """Name a file and its checksum in short, as `naming.checkpoint` does."""
    name = PurePath(str(recorded.get("path") or "of an unknown file")).name
    return f"{name} {str(recorded.get('sha256') or '')[: naming.SHORT]}".strip()
