"""From the records on disk to a cell's result: scores, counts, timing, provenance."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from sambench.evsam.errors import SambenchError
from sambench.harness.plan import Cell, Group, Plan
from sambench.harness.provenance import Hardware, git_state, versions
from sambench.suites.base import Suite
from sambench.suites.failures import Failure
from sambench.suites.registry import suite_class
from sambench.suites.results import CellResult, Status
from sambench.suites.scoring.scores import Scores


@dataclass
class CellState:
    """A cell while its group runs."""

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


def finish(state: CellState, group: Group, plan: Plan, command: str) -> CellResult:
    """Score a cell's records and write what else they are good for; a failure in that ends the cell alone."""
    result = _blank(state, group, plan, command)
    if result.status != "done":
        return result
    cell = state.cell
    try:
        suite = cell.suite.open()
        records, left_out = cell.store.read()
        scores = _checked(suite, suite.score(records, cell.suite.protocol))
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
        timing=_timing(state),
    )


def _checked(suite: Suite, scores: Scores) -> Scores:
    """Return a suite's numbers as plain ones, of which JSON is made.

    Raises:
        SambenchError: one is not finite, or is none that the suite declares.
    """
    declared = {metric.name for metric in suite.metrics}
    if strange := [name for name in scores.metrics if name not in declared]:
        raise SambenchError(
            f"suite {suite.name} gave {', '.join(strange)}, which its metrics do not declare."
        )
    metrics = {name: None if value is None else float(value) for name, value in scores.metrics.items()}
    intervals = {name: [float(end) for end in ends] for name, ends in scores.intervals.items()}
    ends = (end for both in intervals.values() for end in both)
    if not all(math.isfinite(v) for v in (*metrics.values(), *ends) if v is not None):
        raise SambenchError(f"suite {suite.name}: a number is not finite ({metrics}, {intervals}).")
    return Scores(metrics, intervals, {name: int(count) for name, count in scores.counts.items()})


def _blank(state: CellState, group: Group, plan: Plan, command: str) -> CellResult:
    """Say of a cell what there is to say without its records."""
    config, data, suite = plan.config, group.data, state.cell.suite
    images = len(data.entries)
    sample = {"limit": images, "of": data.available, "seed": config.seed}
    return CellResult(
        model=group.variant.model,
        engine=group.variant.engine,
        precision=group.variant.precision,
        device=config.device,
        suite=suite.name,
        dataset=state.cell.dataset,
        protocol=suite.protocol.to_json(),
        n_images=images,
        status=state.status,
        reason=state.reason,
        partial=sample if images < data.available else None,
        provenance=_provenance(state, group, plan, command),
        about=suite_class(suite.name).about(),
    )


def _timing(state: CellState) -> dict[str, float]:
    """Seconds by stage; waiting for data and encoding are shared with the model's other suites."""
    if not state.images:
        return {}
    stages = {f"{name}_s": seconds for name, seconds in {**state.shared, **state.seconds}.items()}
    total = sum(stages.values())
    return {"images": state.images, "seconds": total, "images_per_s": state.images / total, **stages}


def _provenance(state: CellState, group: Group, plan: Plan, command: str) -> dict[str, Any]:
    cell, data, model = state.cell, group.data, group.model
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
    if state.hardware is not None:
        found["hardware"] = asdict(state.hardware)
    return found
