"""A process that does one job: ``python -m sambench.suites.throughput.worker STEM``, the job on stdin.

It leaves ``STEM.json``, whatever happened: a result, or a reason. Samples go to ``STEM.parquet`` (one row a
batch) and ``STEM-monitor.parquet`` (one row a reading). Only a process that is killed leaves nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from sambench.adapters.base import Prompts, Segmenter, described
from sambench.adapters.devices import check_device
from sambench.adapters.files import write_atomic
from sambench.adapters.weights.resolve import plain
from sambench.evsam.errors import NotApplicableError
from sambench.evsam.memory import keep_freed_memory
from sambench.suites.environment import settings
from sambench.suites.failures import Failure
from sambench.suites.throughput import parity
from sambench.suites.throughput.ceilings import measure_ceilings
from sambench.suites.throughput.inputs import Image, Shape, choose, rotation, shapes_of, wanted
from sambench.suites.throughput.job import Job, from_json, parse_scope
from sambench.suites.throughput.memory import peak_mb, reset_peak
from sambench.suites.throughput.monitor import Monitor, Sensors, sensors
from sambench.suites.throughput.scopes import Step, make_step
from sambench.suites.throughput.timing import Measured, measure

SAMPLES = pa.schema(
    [
        pa.field("mode", pa.string(), nullable=False),
        pa.field("audit", pa.bool_(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("batch", pa.int32(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("host_seconds", pa.float64(), nullable=False),
    ]
)

Result = dict[str, Any]


@dataclass
class _Tables:
    """Rows to be written beside the result."""

    samples: list[dict[str, Any]] = field(default_factory=list)
    monitor: list[dict[str, Any]] = field(default_factory=list)

    def add(self, mode: str, audit: bool, measured: Measured) -> None:
        self.samples += [
            {"mode": mode, "audit": audit, "index": i, **dataclasses.asdict(sample)}
            for i, sample in enumerate(measured.samples)
        ]


def main(arguments: Sequence[str]) -> None:
    """Do the job on stdin and leave its result."""
    stem, began = Path(arguments[0]), time.monotonic()
    tables = _Tables()
    try:
        result = run(from_json(json.loads(sys.stdin.read())), tables)
    except Exception as error:
        result = {"status": "failed", **_failed(error)}
    result["seconds"] = time.monotonic() - began
    if tables.samples:
        _write(stem.with_name(f"{stem.name}.parquet"), pa.Table.from_pylist(tables.samples, schema=SAMPLES))
    if tables.monitor:
        _write(stem.with_name(f"{stem.name}-monitor.parquet"), pa.Table.from_pylist(tables.monitor))
    write_atomic(
        stem.with_name(f"{stem.name}.json"), (json.dumps(result, indent=1, default=str) + "\n").encode()
    )


def _write(path: Path, table: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())


def _failed(error: Exception) -> Result:
    """Say why a job or a mode of it failed; our own bugs are traced on stderr."""
    failure = Failure.of(error)
    if failure.trace:
        print(failure.trace, file=sys.stderr)
    return {"kind": failure.kind, "reason": failure.reason}


def run(job: Job, tables: _Tables) -> Result:
    """Do a job.

    Raises:
        SambenchError: the model, the device or the data are not to be had.
    """
    device = check_device(job.model.device)
    keep_freed_memory()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if job.kind == "device":
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        return {"status": "done", "device": _device_name(device), "uuid": uuid}
    work = _gate if job.kind == "gate" else _measure
    return {"status": "done", **work(job, device, tables)}


def _device_name(device: torch.device) -> str:
    return str(torch.cuda.get_device_name(device))


def _choose(job: Job, batch: int | None = None, count: int | None = None) -> list[Image]:
    """Draw the input images of a job, or of another batch size."""
    places = Path(job.images), job.annotated
    return choose(*places, batch or job.batch, job.seed, count=count, match=job.match)


def _gate(job: Job, device: torch.device, tables: _Tables) -> Result:
    """Compare masks with the reference's, which is computed first and let go of.

    The reference itself can only be seen to be finite, for which one batch will do. Which batch sizes the
    model cannot be timed at is found out here too, once for all rounds.
    """
    del device, tables
    reference_model = dataclasses.replace(job.model, engine="eager", precision="fp32")
    compared = job.model != reference_model
    images = _choose(job, count=job.rule.gate_images if compared else job.batch)
    reference = None
    if compared:
        released = reference_model.create()
        reference = parity.masks_of(released, images, job.batch, alternatives=True)
        del released
    segmenter = job.model.create()
    if refusal := segmenter.capabilities.refusal(Prompts(boxes=images[0].boxes)):
        raise NotApplicableError(f"{segmenter.name}: {refusal}, and speeds are measured with boxes.")
    gate = parity.compare(parity.masks_of(segmenter, images, job.batch), reference)
    return {
        "gate": gate.to_json(),
        "refusal": parity.refusal(gate, job.model.precision),
        "batch_refusals": dict(_batch_refusals(segmenter, job)),
        "weights": _weights(segmenter),
    }


def _batch_refusals(segmenter: Segmenter, job: Job) -> Iterator[tuple[str, str]]:
    """Say of batch sizes that cannot be made of a model's images why not; one at a time they always go."""
    shapes: dict[int, list[Shape]] = {}
    for batch in job.batches:
        if batch > 1 and wanted(batch) not in shapes:
            images = _choose(job, batch)
            shapes[wanted(batch)] = shapes_of(segmenter, images)
        try:
            if batch > 1:
                rotation(shapes[wanted(batch)], batch)
        except NotApplicableError as error:
            yield str(batch), f"{segmenter.name}: {error}"


def _weights(segmenter: Segmenter) -> dict[str, Any]:
    return plain(segmenter.weights).to_json()


def _measure(job: Job, device: torch.device, tables: _Tables) -> Result:
    """Time a scope in all modes asked for; one that fails leaves the others their turn."""
    scope = parse_scope(job.scope)
    images = _choose(job)
    segmenter = job.model.create()
    with torch.inference_mode():
        step = make_step(segmenter, scope, images, job.batch, job.seed)
        dtypes = _try_out(step, device)
    facts: dict[str, Any] = {
        "device": _device_name(device) if device.type == "cuda" else "cpu",
        "host": platform.node(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "weights": _weights(segmenter),
        "inputs": _inputs(step, images) | dtypes,
        "images_per_batch": step.images,
        "prompts_per_batch": step.prompts,
        "note": step.note,
        "settings": _settings(device),
    }
    before = measure_ceilings(device, job.model.precision)
    meters = sensors(device)
    facts["settings"]["driver"] = meters.driver
    modes = {mode: _one_mode(job, step, device, mode, meters, tables) for mode in job.modes}
    ceilings = before.or_better(measure_ceilings(device, job.model.precision))
    facts["ceilings"] = dataclasses.asdict(ceilings)
    return {"facts": facts, "modes": modes}


def _inputs(step: Step, images: Sequence[Image]) -> dict[str, Any]:
    """Say what is fed in: of how many images which, in how many batches, prepared to what."""
    names = "".join(f"{images[i].file.name}\n" for i in step.inputs)
    return {
        "images": len(step.inputs),
        "of": len(images),
        "sha256": hashlib.sha256(names.encode()).hexdigest(),
        "batches": step.batches,
        "shapes": [f"{dtype} {sides}" for dtype, *sides in step.shapes],
    }


def _try_out(step: Step, device: torch.device) -> dict[str, list[str]]:
    """Run one batch before any clock, to compile and capture what must be; return what goes in and out."""
    given = step.load(0)
    found = step.compute(0, tuple(t.to(device) for t in given))
    step.store(0, tuple(t.cpu() for t in found))
    return {"in": [described(t) for t in given], "out": [described(t) for t in found]}


def _settings(device: torch.device) -> dict[str, Any]:
    """Return what this process is set to, once the model is created and has run: it may have set it."""
    found = {"torch": torch.__version__, **settings()}
    if device.type == "cuda":
        found |= {"cuda": torch.version.cuda, "cudnn_version": torch.backends.cudnn.version()}
    return found


def _one_mode(
    job: Job, step: Step, device: torch.device, mode: str, meters: Sensors, tables: _Tables
) -> Result:
    try:
        reset_peak(device)
        with Monitor(meters) as monitor:
            measured = measure(step, device, mode, job.rule)
        result = {
            "status": "done",
            "warmup": dataclasses.asdict(measured.warmup),
            "peak_memory_mb": peak_mb(device),
            "monitor": monitor.summary(),
        }
        if job.audit:
            again = measure(step, device, mode, job.rule, batches=1)
            result["audit_gain"] = _median(measured) / _median(again) - 1
            tables.add(mode, True, again)
    except Exception as error:
        return {"status": "failed", **_failed(error)}
    tables.add(mode, False, measured)
    tables.monitor += [{"mode": mode, **sample} for sample in monitor.samples]
    return result


def _median(measured: Measured) -> float:
    return statistics.median(sample.seconds for sample in measured.samples)


if __name__ == "__main__":
    main(sys.argv[1:])
