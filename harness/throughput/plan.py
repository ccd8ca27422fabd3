"""Which processes a throughput measurement needs, and under which key each one's result is kept."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sambench.adapters.base import Weights
from sambench.adapters.engines import ENGINES, check
from sambench.adapters.engines.calibrate import calibrated_on
from sambench.adapters.registry import check_device, entry, has_parameters
from sambench.adapters.weights.resolve import resolve, sha256_of
from sambench.evsam.errors import SambenchError
from sambench.harness.provenance import code_digest, versions
from sambench.harness.throughput.config import ThroughputConfig
from sambench.suites.results import load_results
from sambench.suites.throughput.inputs import choose, wanted
from sambench.suites.throughput.job import Job, Scope

SCHEMA = 1
"""Of the measurements on disk."""


@dataclass(frozen=True)
class Variant:
    """One model as one engine runs it in one precision."""

    model: str
    engine: str
    precision: str
    weights: Weights | None
    """``None`` where they cannot be had, or where only the model itself knows them."""
    reason: str | None = None
    """Why it cannot be measured,"""
    not_applicable: bool = False
    """because the engine does not do that here."""


@dataclass(frozen=True)
class Measurement:
    """One scope of a variant at one batch size: what a fresh process measures, once a round."""

    variant: Variant
    scope: Scope
    batch: int
    modes: tuple[str, ...]
    job: Job
    folder: Path
    """Of its rounds; named after everything that decides them."""

    def stem(self, round_: int) -> Path:
        """Return the path of a round's files without their endings."""
        return self.folder / f"round-{round_:02d}"


@dataclass(frozen=True)
class Gate:
    """The comparison of a variant's masks with the reference's."""

    variant: Variant
    job: Job
    stem: Path


@dataclass(frozen=True)
class Plan:
    """All there is to measure."""

    config: ThroughputConfig
    device: str
    """The hardware's name."""
    inputs_sha256: str
    variants: tuple[Variant, ...]
    gates: tuple[Gate, ...]
    measurements: tuple[Measurement, ...]


def make_plan(config: ThroughputConfig, device: str) -> Plan:
    """Check data, weights and engines, and name what is to be measured. Computes and writes nothing.

    Args:
        config: what to measure.
        device: the hardware's name.

    Raises:
        SambenchError: data or weights that the user named are wrong, or nothing could be measured at all.
    """
    check_device(config.device)
    if config.out.exists() and not config.out.is_dir():
        raise SambenchError(f"{config.out}: is a file, and --out must be a folder. Choose another.")
    if (config.out / "results.json").exists():
        load_results(config.out)
    batch = max(config.batch_sizes)
    most = max(wanted(batch), config.rule.gate_images)
    images = choose(config.images, config.annotations, batch, config.seed, count=most)
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.file.name} {sha256_of(image.file)} {image.boxes.tolist()}\n".encode())
    variants = tuple(_variants(config))
    if all(v.not_applicable for v in variants):
        raise SambenchError(str(variants[0].reason))
    plan = Plan(config, device, digest.hexdigest(), variants, (), ())
    live = [v for v in variants if v.reason is None]
    return replace(
        plan,
        gates=tuple(_gate(plan, v) for v in live),
        measurements=tuple(m for v in live for m in _measurements(plan, v)),
    )


def cells_of(config: ThroughputConfig) -> Iterator[tuple[Scope, str, int]]:
    """Name the cells of every variant: scope, mode and batch size."""
    for scope in config.scopes:
        for batch in config.batch_sizes if scope.batched else (1,):
            for mode in config.modes:
                if scope.takes(mode):
                    yield scope, mode, batch


def _variants(config: ThroughputConfig) -> Iterator[Variant]:
    for model in config.models:
        weights, reason = _weights(model, config.weights.get(model))
        for engine in config.engines:
            for precision in config.precisions:
                try:
                    check(engine, precision, config.kind)
                except SambenchError as error:
                    yield Variant(model, engine, precision, weights, str(error), not_applicable=True)
                    continue
                yield Variant(model, engine, precision, weights, reason)


def _weights(model: str, given: str | None) -> tuple[Weights | None, str | None]:
    """Find a model's weights; those that the user named must be there now."""
    if entry(model).plugin:
        return None, None  # it says itself, in the process that creates it
    if given is None and not has_parameters(model):
        return Weights("none"), None
    try:
        return resolve(model, given), None
    except SambenchError as error:
        if given is not None:
            raise
        return None, str(error)


def _job(plan: Plan, variant: Variant, **more: Any) -> Job:
    config = plan.config
    return Job(
        device=config.device,
        model=variant.model,
        weights=config.weights.get(variant.model),
        adapters=config.adapters,
        engine=variant.engine,
        precision=variant.precision,
        rule=config.rule,
        images=str(config.images),
        annotations=str(config.annotations),
        seed=config.seed,
        **more,
    )


def _gate(plan: Plan, variant: Variant) -> Gate:
    job = _job(plan, variant, kind="gate", batch=max(plan.config.batch_sizes))
    return Gate(variant, job, _folder(plan, variant, job, "gate") / "gate")


def _measurements(plan: Plan, variant: Variant) -> Iterator[Measurement]:
    config = plan.config
    modes: dict[tuple[Scope, int], list[str]] = {}
    for scope, mode, batch in cells_of(config):
        modes.setdefault((scope, batch), []).append(mode)
    for (scope, batch), its in modes.items():
        job = _job(
            plan,
            variant,
            kind="measure",
            scope=scope.name,
            modes=tuple(its),
            batch=batch,
            audit=config.audit,
        )
        folder = _folder(plan, variant, job, f"{scope.name}-b{batch}")
        yield Measurement(variant, scope, batch, tuple(its), job, folder)


def _folder(plan: Plan, variant: Variant, job: Job, what: str) -> Path:
    """Name a folder after a digest of everything that decides what is measured."""
    weights = variant.weights
    decides = job.to_json()
    for place in ("images", "annotations", "weights"):
        decides.pop(place)
    gate = ("gate_images",)
    apart = ("preset", "rounds", *(() if job.kind == "gate" else gate))  # more rounds are more of the same
    rule = decides["rule"]
    decides["rule"] = {k: rule[k] for k in (gate if job.kind == "gate" else rule) if k not in apart}
    target = entry(variant.model).target.rpartition(":")[0]
    engine = ENGINES[variant.engine]
    key = {
        "schema": SCHEMA,
        **decides,
        "weights": {k: v for k, v in asdict(weights).items() if k != "path"} if weights else job.weights,
        "device_name": plan.device,
        "inputs_sha256": plan.inputs_sha256,
        "code_sha256": code_digest(target, engine.target, "sambench.suites.throughput.worker"),
        "calibrated_on": calibrated_on(variant.precision),
        "versions": versions(*entry(variant.model).libraries, *engine.libraries),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    safe = re.sub(r"[^\w.-]+", "_", variant.model)
    name = f"{safe}-{variant.engine}-{variant.precision}-{what}-{digest}"
    return plan.config.out / "records" / "throughput" / name
