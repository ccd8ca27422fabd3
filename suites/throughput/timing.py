"""The measured loop: warm up until times are stable, then time batch after batch.

What a batch's time holds, by mode (`suites.throughput.loops` has the loops):

serial: on the CPU, copying the input into a buffer of its own, computing, copying the result out; on a GPU,
host to device, computing, device to host, and waiting for all of it. A latency.

pipelined: the same work, overlapped: another thread (a GPU's copy engines) brings the next batch and takes
the last one away. The time of a batch is that between two batches done, so the sum of all is the wall time.

compute: computing alone, on inputs that are there; on a GPU between two CUDA events.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import torch

from sambench.suites.throughput.job import Rule
from sambench.suites.throughput.loops import Sample, loop
from sambench.suites.throughput.scopes import Step


@dataclass(frozen=True)
class WarmUp:
    """What came before the measurement."""

    batches: int
    seconds: float
    stable: bool
    """Whether times had settled, or the limit ended it."""


@dataclass(frozen=True)
class Measured:
    """One mode of one process."""

    warmup: WarmUp
    samples: list[Sample] = field(repr=False)


def is_stable(seconds: Sequence[float], rule: Rule) -> bool:
    """Tell whether the last window of batches took as long as the window before it."""
    window = rule.warmup_window
    if len(seconds) < 2 * window:
        return False
    last = statistics.median(seconds[-window:])
    before = statistics.median(seconds[-2 * window : -window])
    return abs(last - before) <= rule.warmup_tolerance * before


def measure(step: Step, device: torch.device, mode: str, rule: Rule, batches: int | None = None) -> Measured:
    """Time a scope in one mode, by a rule; Python's garbage collector rests meanwhile.

    Args:
        step: the scope.
        device: the model's.
        mode: one of `suites.throughput.job.MODES`.
        rule: when to begin and when to end.
        batches: rotate so many distinct ones; ``None`` for all.
    """
    with _undisturbed(), torch.inference_mode(), closing(loop(step, device, mode, batches)) as running:
        warmup = _warm_up(running, rule)
        samples: list[Sample] = []
        began = time.perf_counter()
        while len(samples) < rule.min_batches or time.perf_counter() - began < rule.min_seconds:
            samples.append(next(running))
    return Measured(warmup, samples)


def _warm_up(running: Iterator[Sample], rule: Rule) -> WarmUp:
    """Run batches that do not count, at least one."""
    seconds: list[float] = []
    began = time.perf_counter()
    while True:
        seconds.append(next(running).seconds)
        spent = time.perf_counter() - began
        stable = spent >= rule.warmup_s and is_stable(seconds, rule)
        if stable or spent >= rule.warmup_limit_s:
            return WarmUp(len(seconds), spent, stable)


@contextmanager
def _undisturbed() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
