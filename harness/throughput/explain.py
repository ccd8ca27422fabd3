"""What is measured, in words: the protocol of a cell, and the text of ``--explain``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sambench.harness.throughput.config import ThroughputConfig
from sambench.harness.times import in_words
from sambench.suites.throughput.ceilings import COPY_MB, SIDE
from sambench.suites.throughput.inputs import wanted
from sambench.suites.throughput.job import FEWEST_BATCHES, Rule, Scope
from sambench.suites.throughput.parity import least_iou
from sambench.suites.throughput.scopes import READERS

STATISTIC = (
    "img_s: images over the time of all measured batches, by round; the median of the rounds, and as its "
    "interval the lowest and the highest. latency_ms_p50: the median of the rounds' medians; p90, p95 and "
    "p99 over the batches of all rounds. Nothing is left out."
)

_SCOPES = {
    "encoder": "prepared pixels to image features, by the encoder alone",
    "decoder": "{prompts} boxes on one encoded image to the best mask of each, logits at low resolution",
    "end_to_end": "prepared pixels and one box an image to its best mask, logits at low resolution",
    "application": "an image file and one box to the best mask at the image's size, run-length encoded",
}
_OUTSIDE = {
    "encoder": "reading, resizing and normalising images; projecting features for the decoder; the decoder",
    "decoder": "the images and their encoding, once before the clock",
    "end_to_end": "reading, resizing and normalising images; bringing masks to the image's size",
    "application": "nothing but starting the process, creating the model and the first batch",
}
_MODES = {
    ("cpu", "serial"): (
        "one batch after the other: copy the input into the buffer that the model reads, compute, copy the "
        "result out. A batch's time is its latency"
    ),
    ("cpu", "pipelined"): (
        "a thread copies the next batch into the buffer that the model reads, and another the last result "
        "out, while this one is computed. A batch's time is that between two batches done, so that all "
        "together are the wall time"
    ),
    ("cpu", "compute"): "the computation alone, on inputs that are in place; results are not copied",
    ("cuda", "serial"): (
        "one batch after the other: copy it from pinned memory to the device, compute, copy the result back "
        "to pinned memory, wait for all. A batch's time is its latency"
    ),
    ("cuda", "pipelined"): (
        "copies from pinned memory to the device, computation, and copies back in three streams, two batches "
        "ahead at most. A batch's time is that between two batches that arrived back, so that all together "
        "are the wall time, both transfers included and overlapped"
    ),
    ("cuda", "compute"): "the time between two CUDA events around the computation; inputs are on the device",
}
_FILES = {
    "serial": (
        f"Within it, {READERS} threads read and prepare a batch first, and one thread encodes its masks last."
    ),
    "pipelined": (
        f"Reading and preparing, by {READERS} threads, go before the copy of the next batch; encoding, by "
        "one thread, after that of the last."
    ),
}


def protocol_of(
    config: ThroughputConfig, precision: str, scope: Scope, mode: str, batch: int
) -> dict[str, Any]:
    """Return the choices behind one cell, which tell it from others."""
    return {
        "preset": config.rule.preset,
        "scope": scope.name,
        "mode": mode,
        "batch": batch,
        "prompts": scope.prompts,
        "inputs": inputs(config, scope, batch),
        "io_dtype": "pixels and boxes float32; results as the engine gives them",
        "warm_up": warm_up(config.rule),
        "measure": measured(config.rule),
        "statistic": STATISTIC,
        "gate": gate(config, precision),
    }


def inputs(config: ThroughputConfig, scope: Scope, batch: int) -> str:
    """Say what is fed in."""
    if scope.kind == "decoder":
        return (
            f"{FEWEST_BATCHES} real images of {config.dataset}, seed {config.seed}, encoded before the "
            "clock, in fixed rotation; their objects' boxes, then the same shifted by up to a tenth of their "
            "size"
        )
    return (
        f"{wanted(batch)} real images of {config.dataset} (fewer where it has not as many), seed "
        f"{config.seed}, in at least {FEWEST_BATCHES} distinct batches in fixed rotation, each of images "
        "that the model prepares to one shape"
    )


def warm_up(rule: Rule) -> str:
    """Say when the measurement begins."""
    window = f"the last {rule.warmup_window} batches"
    return (
        f"one batch, then at least {rule.warmup_s:g} s and until the median of {window} is within "
        f"{100 * rule.warmup_tolerance:g}% of that of as many before; at most {rule.warmup_limit_s:g} s"
    )


def measured(rule: Rule) -> str:
    """Say when it ends."""
    return f"at least {rule.min_batches} batches and {rule.min_seconds:g} s"


def gate(config: ThroughputConfig, precision: str) -> str:
    """Say what must hold before."""
    return (
        f"masks of all objects' boxes of {config.rule.gate_images} images (fewer where there are not as "
        "many): mean IoU with the same alternative of fp32 eager, same weights, at least "
        f"{least_iou(precision)}; choosing among alternatives loses at most {1 - least_iou(precision):.3f} "
        "of its predicted IoU; nothing NaN or infinite"
    )


def explain(config: ThroughputConfig) -> Iterator[str]:
    """Say in words what is measured, a paragraph each: what all cells share, then every scope and mode."""
    kind, rule = config.kind, config.rule
    yield (
        f"{rule.rounds} rounds. In each, every model, engine, precision, scope and batch size has a fresh "
        f"process, which measures its modes one after the other; the models' order is drawn anew each round "
        f"(seed {config.seed})."
        + (" Before each the GPU cools down to less than 5 C above its start." if kind == "cuda" else "")
    )
    limit = "half an hour and a minute an image" if config.timeout is None else in_words(config.timeout)
    yield f"A process that takes longer than {limit} is stopped, with all that it started."
    yield f"Warm-up: {warm_up(rule)}. Measured: {measured(rule)}. Preset: {rule.preset}."
    yield (
        "While the clock runs, Python's garbage collector is off and torch is in inference mode. What must "
        "be compiled or captured is, before the warm-up."
    )
    yield f"Numbers. {STATISTIC}"
    for precision in config.precisions:
        own = " The engine eager in fp32 is the reference; of it only NaN is looked for, in one batch." * (
            precision == "fp32"
        )
        yield f"Before any speed, {precision}: {gate(config, precision)}. Else the cell is invalid.{own}"
    yield (
        "Ceilings, in the same process, before and after: the best of several products of two "
        f"{SIDE[kind]} x {SIDE[kind]} matrices in the cell's precision (none for int8)"
        + (", or of the same as a 1x1 convolution, or of a 3x3 one," if kind == "cpu" else "")
        + f" and of several copies of {COPY_MB[kind]} MB, bytes read and written. Achieved operations are "
        "two for each product of the encoder's convolutions, linear layers and matrices, for the scopes E "
        "and E2E; E2E's decoder is not counted."
    )
    yield "Meanwhile, ten times a second: " + (
        "clocks, power, temperature, slowdown reasons and other processes, through NVML."
        if kind == "cuda"
        else "load average, clocks, and the share of the processors that other processes take."
    )
    if config.audit:
        yield "Audit: each mode once more with one batch over and over; more than 3% faster is marked."
    yield from _cells(config)


def _cells(config: ThroughputConfig) -> Iterator[str]:
    for scope in config.scopes:
        clock = _SCOPES[scope.kind].format(prompts=scope.prompts)
        batches = (
            ", ".join(map(str, config.batch_sizes)) if scope.batched else "1 (the prompts share an image)"
        )
        yield (
            f"{scope.name}, batch {batches}. In the clock: {clock}. Outside: {_OUTSIDE[scope.kind]}. "
            f"Inputs: {inputs(config, scope, max(config.batch_sizes))}. Pixels and boxes are float32, the "
            f"engine computes in {' / '.join(config.precisions)}, results have the dtype that it gives them."
        )
        for mode in config.modes:
            if scope.takes(mode):
                more = f" {_FILES[mode]}" if scope.kind == "application" else ""
                yield f"{scope.name}, {mode}: {_MODES[config.kind, mode]}.{more}"
            else:
                yield f"{scope.name}, {mode}: not measured; without files and masks it is E2E."
