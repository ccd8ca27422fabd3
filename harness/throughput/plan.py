"""Which processes a throughput measurement needs, and under which key each one's result is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sambench.adapters.engines import ENGINES
from sambench.evsam.errors import SambenchError
from sambench.harness.key import folder_name, model_key
from sambench.harness.throughput.config import ThroughputConfig
from sambench.harness.throughput.verdict import refusal
from sambench.harness.variants import Variant, make_variants, model_spec
from sambench.suites.data.fingerprints import digests
from sambench.suites.environment import pacing
from sambench.suites.throughput.inputs import choose, wanted
from sambench.suites.throughput.job import Job, Scope

SCHEMA = 2
"""Of the measurements on disk; 2 says which batch sizes a model cannot be timed at."""


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
    variants = make_variants(config, try_weights=False)
    batch = max(config.batch_sizes)
    most = max(wanted(batch), config.rule.gate_images)
    annotated = config.masks or config.annotations
    images = choose(config.images, annotated, batch, config.seed, count=most, match=config.match)
    digest = hashlib.sha256()
    for image, content in zip(images, digests([image.file for image in images]), strict=True):
        digest.update(f"{image.file.name} {content} {image.boxes.tolist()}\n".encode())
    plan = Plan(config, device, digest.hexdigest(), variants, (), ())
    live = [v for v in variants if v.reason is None]
    measurements = tuple(m for v in live for m in _measurements(plan, v))
    refusals = [reason for v in live for scope in config.scopes if (reason := refusal(v, scope))]
    if refusals and not measurements:
        raise SambenchError(refusals[0])
    timed = [v for v in live if any(m.variant == v for m in measurements)]
    return replace(plan, gates=tuple(_gate(plan, v) for v in timed), measurements=measurements)


def cells_of(config: ThroughputConfig) -> Iterator[tuple[Scope, str, int]]:
    """Name the cells of every variant: scope, mode and batch size."""
    for scope in config.scopes:
        for batch in config.batch_sizes if scope.batched else (1,):
            for mode in config.modes:
                if scope.takes(mode):
                    yield scope, mode, batch


def _job(plan: Plan, variant: Variant, **more: Any) -> Job:
    config = plan.config
    return Job(
        model=model_spec(variant, config),
        rule=config.rule,
        images=str(config.images),
        annotations=str(config.annotations),
        match=config.match,
        masks=config.masks.facts() if config.masks else None,
        seed=config.seed,
        **more,
    )


def _gate(plan: Plan, variant: Variant) -> Gate:
    sizes = plan.config.batch_sizes
    job = _job(plan, variant, kind="gate", batch=max(sizes), batches=sizes)
    return Gate(variant, job, _folder(plan, variant, job, "gate") / "gate")


def _measurements(plan: Plan, variant: Variant) -> Iterator[Measurement]:
    config = plan.config
    modes: dict[tuple[Scope, int], list[str]] = {}
    for scope, mode, batch in cells_of(config):
        if refusal(variant, scope) is None:
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
    decides = job.to_json()
    for place in ("images", "annotations", "masks", "model"):
        decides.pop(place)
    gate = ("gate_images",)
    apart = ("preset", "rounds", *(() if job.kind == "gate" else gate))  # more rounds are more of the same
    rule = decides["rule"]
    decides["rule"] = {k: rule[k] for k in (gate if job.kind == "gate" else rule) if k not in apart}
    model = model_key(
        variant, plan.device, ENGINES[variant.engine].target, "sambench.suites.throughput.worker"
    )
    key = {
        "schema": SCHEMA,
        **decides,
        **model,
        "environment": pacing(),
        "inputs_sha256": plan.inputs_sha256,
    }
    name = folder_name(key, variant.model, variant.engine, variant.precision, what)
    return plan.config.out / "records" / "throughput" / name
