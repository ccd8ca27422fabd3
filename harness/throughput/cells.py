"""From the rounds on disk to cells: statistics, shares of the ceilings, ratios to SAM-ViT-H, doubts."""

from __future__ import annotations

import functools
import math
import statistics as plain
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sambench.adapters.profile import Profile, profile
from sambench.evsam.errors import SambenchError
from sambench.harness.provenance import git_state, hardware, versions
from sambench.harness.throughput.explain import protocol_of
from sambench.harness.throughput.marks import marks_among, marks_of
from sambench.harness.throughput.plan import Measurement, Plan, cells_of
from sambench.harness.throughput.verdict import before, of_gate, of_rounds
from sambench.harness.variants import Variant, model_spec
from sambench.suites.environment import pacing
from sambench.suites.results import CellResult, Status
from sambench.suites.throughput.job import Scope
from sambench.suites.throughput.metrics import ABOUT
from sambench.suites.throughput.statistics import Speed, paired_ratio, rate, summarise

BASELINE = "sam_vit_h"
"""What the paper's speed-ups are against."""

AS_RELEASED = ("eager", "fp32")
"""How its authors' code runs it."""


@dataclass(frozen=True)
class Outcome:
    """One round of a measurement."""

    round_: int
    stem: Path
    result: dict[str, Any]


@dataclass(frozen=True)
class Draft:
    """A cell before it is compared with others."""

    variant: Variant
    scope: Scope
    mode: str
    batch: int
    cell: CellResult
    rates: dict[int, float] = field(default_factory=dict)
    """Images per second by round."""
    inputs: str = ""
    """Checksum of which images they were."""
    marks: tuple[str, ...] = ()


def make_cells(
    plan: Plan,
    gates: Mapping[Variant, dict[str, Any]],
    outcomes: Mapping[Measurement, Sequence[Outcome]],
    command: str,
) -> list[CellResult]:
    """Make all cells of a plan, those without a number too."""
    found = {(m.variant, m.scope, m.batch): (m, outcomes.get(m, [])) for m in plan.measurements}
    base = {
        "git": git_state(),
        "versions": versions(),
        "environment": pacing(),
        "device": plan.device,
        "hardware": asdict(replace(hardware("cpu"), device=plan.device)),  # no GPU's memory for its name
        "command": command,
    }
    drafts = []
    for variant in plan.variants:
        for scope, mode, batch in cells_of(plan.config):
            draft = _blank(plan, variant, scope, mode, batch, base)
            measurement, its = found.get((variant, scope, batch), (None, []))
            drafts.append(_fill(draft, plan, gates.get(variant), measurement, its))
    return [_finished(draft, drafts) for draft in drafts]


def _blank(plan: Plan, variant: Variant, scope: Scope, mode: str, batch: int, base: dict[str, Any]) -> Draft:
    config = plan.config
    data = {
        "annotations": {"path": str(config.annotations)},
        "images": {"path": str(config.images), "sha256": plan.inputs_sha256},
    }
    weights = {"weights": variant.weights.to_json()} if variant.weights else {}
    weights["loaded"] = variant.loaded.key()
    adapter = model_spec(variant, config).adapter
    own = {"adapter": adapter.to_json()} if adapter else {}
    return Draft(
        variant,
        scope,
        mode,
        batch,
        CellResult(
            model=variant.model,
            engine=variant.engine,
            precision=variant.precision,
            device=config.device,
            suite="throughput",
            dataset=config.dataset,
            protocol=protocol_of(config, variant.precision, scope, mode, batch),
            provenance=base | data | weights | own,
            about=ABOUT,
        ),
    )


def _fill(
    draft: Draft,
    plan: Plan,
    gate: dict[str, Any] | None,
    measurement: Measurement | None,
    outcomes: Sequence[Outcome],
) -> Draft:
    """Put in what was measured, or why nothing was."""
    variant = draft.variant
    if verdict := before(variant, draft.scope):
        return _without(draft, *verdict)
    if gate is None:
        return _without(draft, "unfinished", "not run yet")
    if gate["status"] == "done":
        provenance = draft.cell.provenance | {"weights": gate["weights"], "gate": gate["gate"]}
        draft = replace(draft, cell=replace(draft.cell, provenance=provenance))
    if verdict := of_gate(variant, draft.batch, gate):
        return _without(draft, *verdict)
    results = [o.result for o in outcomes]
    done = [o for o in outcomes if _mode(o, draft.mode).get("status") == "done"]
    verdict = of_rounds(variant, results)
    if verdict and (not done or verdict[0] == "invalid"):
        return _without(draft, *verdict)
    if not done:
        reasons = [_mode(o, draft.mode).get("reason") for o in outcomes]
        known = next((reason for reason in reasons if reason), None)
        return _without(draft, "failed" if known else "unfinished", known or "not run yet")
    assert measurement is not None
    return _measured(draft, plan, measurement, done, failed=len(outcomes) - len(done))


def _mode(outcome: Outcome, mode: str) -> dict[str, Any]:
    """Return what a round says of a mode; of a process that failed, why."""
    if outcome.result["status"] == "failed":
        return outcome.result
    found: dict[str, Any] = outcome.result["modes"][mode]
    return found


def _without(draft: Draft, status: Status, reason: str) -> Draft:
    return replace(draft, cell=replace(draft.cell, status=status, reason=reason))


def _measured(
    draft: Draft, plan: Plan, measurement: Measurement, done: Sequence[Outcome], failed: int
) -> Draft:
    samples = [samples_of(o.stem, draft.mode) for o in done]
    facts = done[0].result["facts"]
    images = facts["images_per_batch"]
    speed = summarise([seconds for seconds, _ in samples], images)
    modes = [_mode(o, draft.mode) for o in done]
    metrics, intervals = _metrics(draft, speed, facts, [o.result["facts"] for o in done], modes)
    metrics = {
        name: value if value is None or math.isfinite(value) else None for name, value in metrics.items()
    }
    cell = replace(
        draft.cell,
        metrics=metrics,
        intervals=intervals,
        n_images=facts["inputs"]["images"],
        counts={"rounds": len(done), "batches": speed.batches},
        records=measurement.folder.relative_to(plan.config.out).as_posix(),
        provenance=draft.cell.provenance | _found_there(draft, facts) | {"monitor": modes[-1]["monitor"]},
    )
    marks = marks_of(metrics, modes, samples, facts, failed)
    rates = {o.round_: rate(s, images) for o, (s, _) in zip(done, samples, strict=True)}
    return replace(draft, cell=cell, rates=rates, marks=tuple(marks), inputs=facts["inputs"]["sha256"])


def _found_there(draft: Draft, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what a process said of itself: where it ran, what it was set to and what it was fed."""
    told = {name: facts[name] for name in ("inputs", "settings", "note")}
    own = {"host": facts["host"], "cpu_capability": facts["cpu_capability"]}
    own["threads"] = facts["settings"]["threads"]
    return told | {"hardware": draft.cell.provenance["hardware"] | own}


def samples_of(stem: Path, mode: str) -> tuple[list[float], list[float]]:
    """Read a round's samples of a mode: the seconds of each batch, and of them those on the host.

    Raises:
        SambenchError: the file is missing or damaged.
    """
    file = stem.with_name(f"{stem.name}.parquet")
    try:
        rows = pq.read_table(file).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these two kinds
        raise SambenchError(f"{file}: damaged ({error}). Remove its folder and run again.") from None
    mine = [row for row in rows if row["mode"] == mode and not row["audit"]]
    return [row["seconds"] for row in mine], [row["host_seconds"] for row in mine]


def _metrics(
    draft: Draft,
    speed: Speed,
    facts: dict[str, Any],
    rounds: Sequence[dict[str, Any]],
    modes: Sequence[dict[str, Any]],
) -> tuple[dict[str, float | None], dict[str, list[float]]]:
    """Return the numbers of a cell; intervals are the lowest and the highest of its rounds."""
    latency = {f"latency_ms_p{p}": value for p, value in speed.latency_ms.items()}
    metrics: dict[str, float | None] = {
        "img_s": speed.img_s.median,
        "img_s_p50": speed.img_s_p50,
        **latency,
        "cov": speed.cov,
        "peak_memory_mb": max(m["peak_memory_mb"] for m in modes),
        "gb_s": plain.median(r["ceilings"]["gb_s"] for r in rounds),
    }
    if draft.scope.prompts:
        metrics["prompts_s"] = speed.img_s.median * facts["prompts_per_batch"] / facts["images_per_batch"]
    if gains := [m["audit_gain"] for m in modes if "audit_gain" in m]:
        metrics["audit_gain"] = 100 * plain.median(gains)
    for name, key in (("product_tflop_s", "product_tflop_s"), ("ceiling_tflop_s", "tflop_s")):
        rates = [r["ceilings"][key] for r in rounds]
        metrics[name] = None if None in rates else plain.median(rates)
    metrics |= _arithmetic(draft, speed.img_s.median, metrics["ceiling_tflop_s"])
    intervals = {
        "img_s": [speed.img_s.low, speed.img_s.high],
        "latency_ms_p50": [speed.latency_ms_p50.low, speed.latency_ms_p50.high],
    }
    return metrics, intervals


def _arithmetic(draft: Draft, img_s: float, ceiling: float | None) -> dict[str, float | None]:
    """Return what a model costs, and how fast that was done: the encoder's products, two operations each."""
    cost = _profile(draft.variant.model)
    if cost is None or draft.scope.kind not in ("encoder", "end_to_end"):
        return {}
    reached = 2 * cost.encoder.macs.plain * img_s / 1e12
    return {
        "params_m": cost.params / 1e6,
        "encoder_macs_g": cost.encoder.macs.paper / 1e9,
        "encoder_macs_plain_g": cost.encoder.macs.plain / 1e9,
        "tflop_s": reached,
        "ceiling_share": 100 * reached / ceiling if ceiling else None,
    }


@functools.cache
def _profile(model: str) -> Profile | None:
    try:
        return profile(model)
    except SambenchError:  # it has no encoder that can be counted
        return None


def _finished(draft: Draft, drafts: Sequence[Draft]) -> CellResult:
    """Compare a cell with its neighbours: ratios and sanity."""
    if draft.cell.status != "done":
        return draft.cell
    metrics, intervals = dict(draft.cell.metrics), dict(draft.cell.intervals)
    for name, base in _baselines(draft, drafts):
        shared = sorted(draft.rates.keys() & base.rates.keys())
        if shared:
            ratio = paired_ratio([draft.rates[r] for r in shared], [base.rates[r] for r in shared])
            metrics[name] = ratio.median
            intervals[name] = [ratio.low, ratio.high]
    peers = [
        ((d.scope.name, d.mode, d.batch), d.cell.metrics)
        for d in drafts
        if d.variant == draft.variant and d.cell.status == "done"
    ]
    marks = [*draft.marks, *marks_among((draft.scope.name, draft.mode, draft.batch), metrics, peers)]
    provenance = draft.cell.provenance | {"marks": marks}
    return replace(draft.cell, metrics=metrics, intervals=intervals, provenance=provenance)


def _baselines(draft: Draft, drafts: Sequence[Draft]) -> Iterator[tuple[str, Draft]]:
    """Find SAM-ViT-H on the same images, scope, mode and batch: run alike, as released, and at its best."""
    same = [
        d
        for d in drafts
        if d.variant.model == BASELINE
        and d.cell.status == "done"
        and (d.inputs, d.scope, d.mode, d.batch) == (draft.inputs, draft.scope, draft.mode, draft.batch)
    ]
    for other in same:
        own = (other.variant.engine, other.variant.precision)
        if own == (draft.variant.engine, draft.variant.precision):
            yield "ratio_vit_h", other
        if own == AS_RELEASED:
            yield "ratio_vit_h_released", other
    if same:
        yield "ratio_vit_h_best", max(same, key=lambda d: d.cell.metrics["img_s"] or 0.0)
