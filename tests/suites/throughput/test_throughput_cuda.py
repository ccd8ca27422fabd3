"""The GPU's loops: on a stand-in for CUDA that does everything at once, and on a GPU where there is one."""

from __future__ import annotations

import itertools
from contextlib import closing, nullcontext

import pytest
import torch
from speed_fakes import Counting

from sambench.suites.throughput import carry
from sambench.suites.throughput.ceilings import measure_ceilings
from sambench.suites.throughput.job import MODES
from sambench.suites.throughput.loops import loop
from sambench.suites.throughput.memory import peak_mb, reset_peak


class Stream:
    """Everything asked of it is done already."""

    def __init__(self, device=None):
        self.waited = 0

    def wait_event(self, event):
        assert event.recorded  # waiting for what was never recorded would be no wait at all
        self.waited += 1


class Event:
    """Knows whether it was recorded; times are made up."""

    def __init__(self, enable_timing=False):
        self.recorded = 0

    def record(self, stream=None):
        self.recorded += 1

    def synchronize(self):
        assert self.recorded

    def elapsed_time(self, end):
        return 2.0  # milliseconds


class OneBuffer(Counting):
    """Answers in a buffer of its own that the next batch overwrites, as a CUDA graph does."""

    def __init__(self, device="cpu", **more):
        super().__init__(**more)
        self.buffer = torch.empty(2, device=device)

    def compute(self, k, given):
        (found,) = super().compute(k, given)
        return (self.buffer.copy_(found),)


class OnCpu:
    """A device that says it is a GPU and lies on the CPU."""

    type = "cuda"


@pytest.fixture
def stand_in(monkeypatch):
    for name, fake in {
        "Event": Event,
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda stream: nullcontext(),
        "synchronize": lambda device: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(carry.Slots, "_like", lambda self, given: torch.empty_like(given))
    return OnCpu()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [Counting, OneBuffer])
def test_batches_come_home_in_order_and_unmixed(stand_in, mode, kind):
    step = kind(batches=5)
    with closing(loop(step, stand_in, mode)) as running:
        samples = list(itertools.islice(running, 14))
    assert [s.batch for s in samples] == [k % 5 for k in range(14)]
    assert step.computed[:14] == [k % 5 for k in range(14)]
    if mode == "compute":
        assert {s.seconds for s in samples} == {0.002}  # the events' own
        assert step.stored == []
    else:  # `Counting.store` has compared each value with its batch
        assert step.stored[:13] == [k % 5 for k in range(13)]


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("mode", MODES)
def test_a_gpu_brings_every_batch_home_right(mode):
    class Heavy(OneBuffer):
        def compute(self, k, given):
            side = torch.randn(2048, 2048, device="cuda")
            (side @ side).sum()  # keeps the GPU busy while the next copies start
            self.computed.append(k)
            return (self.buffer.copy_(given[0] * 10),)

    step = Heavy(device="cuda", batches=5)
    with closing(loop(step, torch.device("cuda"), mode)) as running:
        samples = list(itertools.islice(running, 60))
    assert [s.batch for s in samples] == [k % 5 for k in range(60)]
    assert all(s.seconds > 0 for s in samples)
    if mode != "compute":
        assert step.stored[:58] == [k % 5 for k in range(58)]


@pytest.mark.gpu
@needs_gpu
def test_a_gpus_ceilings_and_memory():
    device = torch.device("cuda")
    found = {p: measure_ceilings(device, p) for p in ("fp32", "bf16", "fp16")}
    assert found["fp16"].tflop_s > found["fp32"].tflop_s
    assert all(one.gb_s > 50 for one in found.values())
    reset_peak(device)
    before = peak_mb(device)
    block = torch.ones(100_000_000, device=device)
    assert peak_mb(device) - before == pytest.approx(400, rel=0.05)
    del block
