"""What decides both an accuracy and a speed: by it measured accuracies find the speeds they belong to."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sambench.reports import comparable
from sambench.reports.cells import Entry, provenance
from sambench.suites import naming
from sambench.suites.protocol import PRESETS


def artifact(entry: Entry) -> str:
    """Identify the checkpoint, and what runs it."""
    return f"{checkpoint(entry)} {naming.run_by(entry.cell)}"


def checkpoint(entry: Entry) -> str:
    """Identify a model with its weights, what else it was made of, and the size of its input.

    One that takes images of several shapes has none: which ones it met is the data's.
    """
    weights, adapter = provenance(entry.cell, "weights"), provenance(entry.cell, "adapter")
    parts = [entry.cell.model, weights.get("source"), weights.get("sha256")]
    files = provenance(entry.cell, "loaded").get("files") or None
    shapes = provenance(entry.cell, "inputs").get("shapes") or ()
    made = [adapter.get("class"), adapter.get("options"), files, shapes if len(shapes) == 1 else None]
    return json.dumps([*parts, *made], sort_keys=True)


def unknown_weights(entry: Entry) -> list[str]:
    """Return why a cell's accuracy says nothing of its model; empty where the weights are known."""
    if entry.weights not in ("file", "none"):
        return ["random weights" if entry.weights == "random" else "weights not recorded"]
    if entry.weights == "file" and not provenance(entry.cell, "weights").get("sha256"):
        return ["weights without a checksum"]
    return []


def unlike_paper(entry: Entry) -> list[str]:
    """Return why an accuracy cannot answer the paper's question; empty if it may."""
    found = [*comparable.other_data(entry.cell), *unknown_weights(entry)]
    if entry.cell.protocol.get("preset") not in PRESETS:
        found.append(f"protocol {entry.protocol}")
    return found


def unlike_peers(entries: Sequence[Entry]) -> dict[int, list[str]]:
    """Return, by place, why some accuracies cannot stand beside most others: other images, another protocol.

    Args:
        entries: cells of one suite on one data set whose weights are known.
    """
    asked = [_asked(entry) for entry in entries]
    models: dict[str, set[str]] = {}
    for entry, key in zip(entries, asked, strict=True):
        models.setdefault(json.dumps(key, sort_keys=True), set()).add(artifact(entry))
    most = max(models, key=lambda key: len(models[key]), default="")
    usual = json.loads(most) if most else {}
    return {
        place: [what for what in key if key[what] != usual[what]]
        for place, key in enumerate(json.loads(json.dumps(asked)))
        if key != usual
    }


def _asked(entry: Entry) -> dict[str, object]:
    """Return what must be alike where accuracies are compared, by what to say where it is not."""
    annotations = provenance(entry.cell, "annotations")
    return {
        "other images": [entry.cell.n_images, entry.cell.partial],
        "other annotations": annotations.get("sha256") or annotations.get("count"),
        "another protocol": entry.cell.protocol,
    }
