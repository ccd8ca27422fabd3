"""From the records on disk to a cell's result: scores, counts, timing, provenance."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sambench.adapters.version import version
from sambench.evsam.errors import SambenchError
from sambench.harness.key import digest_of
from sambench.harness.plan import Cell, Group, Plan
from sambench.harness.provenance import git_state
from sambench.harness.store import Checked
from sambench.harness.work import FailedImage
from sambench.suites.base import Suite
from sambench.suites.failures import Failure
from sambench.suites.registry import suite_class
from sambench.suites.results import CellResult, Status
from sambench.suites.scoring.evidence import encode
from sambench.suites.scoring.scores import Scores

MOST_NAMED = 20
"""Images that the model failed on, as a result names them; the records have all."""


@dataclass
class CellState:
    """A cell while its group runs."""

    cell: Cell
    status: Status = "done"
    reason: str | None = None
    checked: Checked | None = None
    """What its shards come to, once all are there."""

    def fail_on_images(self, failed: Sequence[FailedImage]) -> None:
        """End it because the model failed on more images than it may."""
        first = failed[0]
        self.stop(
            "failed",
            f"{len(failed)} images failed, more than --max-failures {self.cell.max_failures}; the first is "
            f"{first['file_name']}: {first['reason']}",
        )

    def stop(self, status: Status, reason: str) -> None:
        """End it without a number."""
        self.status, self.reason = status, reason


def finish(state: CellState, group: Group, plan: Plan, command: str) -> CellResult:
    """Score a cell's records, unless they are, and say all of it; a failure in that ends the cell alone."""
    result = _blank(state, group, plan, command)
    if result.status != "done":
        return result
    cell = state.cell
    try:
        scored = _scores(cell, state.checked)
    except Exception as error:
        failure = Failure.of(error)
        if failure.trace:
            print(failure.trace, file=sys.stderr)
        return dataclasses.replace(result, status="failed", reason=failure.reason)
    return dataclasses.replace(
        result,
        metrics=scored["metrics"],
        intervals=scored["intervals"],
        counts=scored["counts"] | group.data.completed(),
        n_instances=scored["n_instances"],
        n_failed_images=len(scored["failed_images"]),
        failed_images=scored["failed_images"][:MOST_NAMED],
        note=scored["note"],
        provenance=result.provenance | {"evaluator": scored["evaluator"]},
        records=cell.store.folder.relative_to(plan.config.out).as_posix(),
        evidence=scored["evidence"],
        timing=_timing(cell.store.sessions()),
    )


def _scores(cell: Cell, checked: Checked | None) -> dict[str, Any]:
    """Return what a cell's records come to; it is kept beside them, with what else they are good for."""
    digest = digest_of(cell.score_key)
    known = cell.store.scores(digest)
    if known is not None:
        return known
    suite, checked = cell.suite.on.open(), checked or cell.store.check()
    records = cell.store.records(suite.scored, cell.suite.ids)
    scores = _checked(suite, suite.score_all(records, cell.protocol))
    suite.export(records, cell.store.folder)
    evidence = scores.evidence and cell.store.keep_evidence(digest, encode(scores.evidence))
    found = {
        "metrics": scores.metrics,
        "intervals": scores.intervals,
        "counts": scores.counts | dict(sorted(checked.left_out.items())),
        "n_instances": scores.counts.get("all", checked.rows),
        "evaluator": scores.evaluator,
        "note": scores.note,
        "failed_images": checked.failed,
        "evidence": evidence,
    }
    cell.store.keep_scores(digest, found)
    return found


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
    counts = {name: int(count) for name, count in scores.counts.items()}
    return dataclasses.replace(scores, metrics=metrics, intervals=intervals, counts=counts)


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
        protocol=state.cell.protocol.to_json(),
        n_images=images,
        status=state.status,
        reason=state.reason,
        partial=sample if images < data.available else None,
        provenance=_provenance(state, group, plan, command),
        about=suite_class(suite.name).about(),
    )


def _timing(sessions: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds by stage of the last command that computed; some are shared with the model's other suites.

    Of several workers the images and seconds are added up, and so are their speeds.
    """
    last = [s for s in sessions if s.get("started") == sessions[-1].get("started")]
    stages: Counter[str] = Counter()
    images, speed = 0, 0.0
    for session in last:
        own = {f"{k}_s": s for k, s in {**session["shared_s"], **session["own_s"]}.items()}
        stages.update(own)
        images += session["images"]
        speed += session["images"] / sum(own.values())
    if not last:
        return {}
    several = {"workers": len(last)} if len(last) > 1 else {}
    return {"images": images, "seconds": sum(stages.values()), "images_per_s": speed, **several, **stages}


def _provenance(state: CellState, group: Group, plan: Plan, command: str) -> dict[str, Any]:
    cell, data, model = state.cell, group.data, group.model
    weights = group.variant.weights
    found = {
        "weights": weights.to_json() if weights else {},
        "annotations": {
            "path": data.config.annotations.as_posix(),
            "sha256": data.annotations_sha256,
            "count": data.objects,
            **({"annotators": data.annotators} if data.annotators else {}),
            "read": data.found.counts("warning", "mended"),
        },
        "detections": cell.detections,
        "images": {"path": data.config.images.as_posix(), "sha256": data.images_sha256},
        "git": git_state(),
        "code_sha256": cell.key["code_sha256"],
        "versions": {"sambench": version(), **cell.score_key["versions"], **cell.key["versions"]},
        "loaded": cell.key["loaded"],
        "environment": cell.key["environment"],
        "evaluator": plan.config.evaluator if cell.detections else None,
        "device": cell.key["device"],
        "batch_size": plan.config.batch_size,
        "tf32": model.precision == "tf32",
        "command": command,
    }
    if model.adapter is not None:
        found["adapter"] = model.adapter.to_json()
    return found | _computed(cell.store.sessions())


def _computed(sessions: list[dict[str, Any]]) -> dict[str, Any]:
    """Say where and how the records were computed: as each command that did found it there."""
    names = ("hardware", "settings", "git", "command")
    ways = [{name: session[name] for name in names if name in session} for session in sessions]
    different = [way for i, way in enumerate(ways) if way not in ways[:i]]
    found = {**(ways[-1] if ways else {}), **({"computed": different} if len(different) > 1 else {})}
    if ways:
        found["inputs"] = {"shapes": sorted({shape for session in sessions for shape in session["inputs"]})}
        reduced = [session["reduced"] for session in sessions if "reduced" in session]
        if reduced:  # lack of memory did; the smallest of all
            found["reduced"] = {
                what: min(r[what] for r in reduced if what in r) for r in reduced for what in r
            }
    return found
