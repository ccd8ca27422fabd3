"""From the records on disk to a cell's result: scores, counts, timing, provenance."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from sambench.harness.plan import Cell, Group, Plan
from sambench.harness.provenance import Hardware, git_state, versions
from sambench.suites.failures import Failure
from sambench.suites.registry import suite_class
from sambench.suites.results import CellResult, Status


@dataclass
class Progress:
    """How far a cell is."""

    cell: Cell
    shared: Counter[str] = field(default_factory=Counter)
    """Seconds by stage of what it shares with the model's other suites."""
    seconds: Counter[str] = field(default_factory=Counter)
    """Seconds by stage, its own."""
    images: int = 0
    """Computed by this command."""
    hardware: Hardware | None = None
    """Where this command computed, if it did."""
    status: Status = "done"
    reason: str | None = None

    def stop(self, status: Status, reason: str) -> None:
        """End it without a number."""
        self.status, self.reason = status, reason


def finish(progress: Progress, group: Group, plan: Plan, command: str) -> CellResult:
    """Score a cell's records and write what else they are good for; a failure in that ends the cell alone."""
    result = _blank(progress, group, plan, command)
    if result.status != "done":
        return result
    cell = progress.cell
    try:
        suite = cell.suite.open()
        records, left_out = cell.store.read()
        scores = suite.score(records, cell.suite.protocol)
        suite.export(records, cell.store.folder)
    except Exception as error:
        failure = Failure.of(error)
        if failure.trace:
            print(failure.trace, file=sys.stderr)
        return dataclasses.replace(result, status="failed", reason=failure.reason)
    return dataclasses.replace(
        result,
        metrics=scores.metrics,
        intervals=scores.intervals,
        counts=scores.counts | dict(sorted(left_out.items())),
        n_instances=scores.counts.get("all", records.num_rows),
        records=cell.store.folder.relative_to(plan.config.out).as_posix(),
        timing=_timing(progress),
    )


def _blank(progress: Progress, group: Group, plan: Plan, command: str) -> CellResult:
    """Say of a cell what there is to say without its records."""
    config, data, suite = plan.config, group.data, progress.cell.suite
    images = len(data.entries)
    sample = {"limit": images, "of": data.available, "seed": config.seed}
    return CellResult(
        model=group.variant.model,
        engine=group.variant.engine,
        precision=group.variant.precision,
        device=config.device,
        suite=suite.name,
        dataset=progress.cell.dataset,
        protocol=suite.protocol.to_json(),
        n_images=images,
        status=progress.status,
        reason=progress.reason,
        partial=sample if images < data.available else None,
        provenance=_provenance(progress, group, plan, command),
        about=suite_class(suite.name).about(),
    )


def _timing(progress: Progress) -> dict[str, float]:
    """Seconds by stage; waiting for data and encoding are shared with the model's other suites."""
    if not progress.images:
        return {}
    stages = {f"{name}_s": seconds for name, seconds in {**progress.shared, **progress.seconds}.items()}
    total = sum(stages.values())
    return {"images": progress.images, "seconds": total, "images_per_s": progress.images / total, **stages}


def _provenance(progress: Progress, group: Group, plan: Plan, command: str) -> dict[str, Any]:
    cell, data, model = progress.cell, group.data, group.model
    weights = group.variant.weights
    found = {
        "weights": asdict(weights) if weights else {},
        "annotations": {"path": data.config.annotations.as_posix(), "sha256": data.annotations_sha256},
        "detections": cell.detections,
        "images": {"path": data.config.images.as_posix(), "sha256": data.images_sha256},
        "git": git_state(),
        "code_sha256": cell.key["code_sha256"],
        "versions": cell.key["versions"] | (versions("hotcoco") if cell.detections else {}),
        "evaluator": plan.config.evaluator if cell.detections else None,
        "device": cell.key["device"],
        "batch_size": plan.config.batch_size,
        "tf32": model.precision == "tf32",
        "command": command,
    }
    if model.adapter is not None:
        found["adapter"] = model.adapter.to_json()
    if progress.hardware is not None:
        found["hardware"] = asdict(progress.hardware)
    return found
