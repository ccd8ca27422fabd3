"""A file of boxes with its provenance beside it, and whether it is there already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sambench.adapters.detectors import registry
from sambench.adapters.detectors.base import Detector
from sambench.adapters.files import write_atomic, writing
from sambench.adapters.weights.resolve import sha256_of
from sambench.evsam.errors import SambenchError
from sambench.harness.detect.shards import Shards
from sambench.harness.provenance import command_line, cpu_capability, device_name, versions
from sambench.harness.sources import code_digest
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.fingerprints import images_sha256
from sambench.suites.environment import environment

SCHEMA = 1

MADE_BY = (
    *("schema", "detector", "weights", "settings", "versions", "code"),
    *("device", "cpu_capability", "environment", "data"),
)
"""What of a provenance decides the boxes; the rest tells where and how they came."""


def provenance_file(out: Path) -> Path:
    """Return where the provenance of a result lies.

    Raises:
        SambenchError: the result would not be called ``.json``.
    """
    if out.suffix != ".json":
        raise SambenchError(f"--out {out}: say FILE.json; results are written as COCO result JSON.")
    return out.with_suffix(".provenance.json")


def describe(
    detector: Detector, dataset: CocoDataset, entries: Sequence[Entry], device: str
) -> dict[str, Any]:
    """Say what makes the boxes: the provenance but for what only the finished boxes tell."""
    weights = detector.weights
    module = registry.entry(detector.name).target.partition(":")[0]
    return {
        "schema": SCHEMA,
        "detector": detector.name,
        "weights": {"source": weights.source, "sha256": weights.sha256, "seed": weights.seed},
        "weights_path": weights.path,
        "settings": detector.settings,
        "versions": versions(*detector.libraries),
        "code": code_digest(module, "sambench.adapters.images"),
        "device": device_name(device),
        "cpu_capability": cpu_capability(),
        "environment": environment(),
        "data": {
            "annotations": dataset.annotations.name,
            "annotations_sha256": dataset.annotations_sha256,
            "images_sha256": images_sha256(entries),
            "images": len(entries),
            "of": len(dataset),
            "image_ids": [e.record.id for e in entries] if len(entries) < len(dataset) else "all",
        },
        "command": command_line(),
    }


@dataclass(frozen=True)
class Result:
    """The result that a command is to make.

    Attributes:
        out: COCO's result JSON.
        provenance: as `describe` says it.
    """

    out: Path
    provenance: Mapping[str, Any]

    def boxes(self) -> int | None:
        """Count the boxes of the result where it is there, whole; otherwise ``None``.

        Raises:
            SambenchError: something else is there.
        """
        if not self.out.exists():
            return None
        beside = provenance_file(self.out)
        try:
            found = json.loads(beside.read_text(encoding="utf-8"))
            boxes, sha256 = int(found["boxes"]), found["result_sha256"]
        except (OSError, ValueError, TypeError, KeyError):
            raise self._refused(f"is there, and no {beside.name} says what made it") from None
        before = _deciding(found)
        different = ", ".join(key for key, value in self._made_by().items() if before[key] != value)
        if different:
            raise self._refused(f"is there, made with other {different} ({beside.name} says which)")
        if sha256_of(self.out) != sha256:
            raise self._refused("was changed after it was made")
        return boxes

    def shards(self) -> Shards:
        """Return its shards, which lie beside it until all are there; other settings have others."""
        key = json.dumps(self._made_by(), sort_keys=True).encode()
        digest = hashlib.sha256(key).hexdigest()[:12]
        return Shards(self.out.with_name(f"{self.out.name}.parts-{digest}"))

    def assemble(self, shards: Shards) -> int:
        """Make one file of all shards, remove them, and return how many boxes there are.

        The provenance comes before the result has its name: a result is never without.
        """
        sha256, boxes = hashlib.sha256(), 0
        with writing(self.out) as file:
            for rows, content in shards.read():
                file.write(content)
                sha256.update(content)
                boxes += rows
            whole = {**self.provenance, "boxes": boxes, "result_sha256": sha256.hexdigest()}
            write_atomic(provenance_file(self.out), (json.dumps(whole, indent=1) + "\n").encode())
        shards.remove()
        return boxes

    def _refused(self, why: str) -> SambenchError:
        return SambenchError(f"{self.out}: {why}. Give another --out, or remove it.")

    def _made_by(self) -> dict[str, Any]:
        """Return what decides the boxes, in JSON's types."""
        made_by: dict[str, Any] = json.loads(json.dumps(_deciding(self.provenance)))
        return made_by


def _deciding(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a provenance decides the boxes; of sambench that is ``code``, not the version."""
    found = {key: provenance.get(key) for key in MADE_BY}
    versions = found["versions"] or {}
    return found | {"versions": {k: v for k, v in versions.items() if k != "sambench"}}
