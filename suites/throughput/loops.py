"""A scope's batches in each mode and on each device, without end, each with the time it took.

Every loop is a generator: the caller decides how much is warm-up and how much is measured, and closes it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch

from sambench.suites.throughput.carry import SLOTS, Slots, Tensors
from sambench.suites.throughput.scopes import Step


@dataclass(frozen=True)
class Sample:
    """One batch."""

    batch: int
    """Which of the rotation."""
    seconds: float
    host_seconds: float
    """How long the CPU took to start the computation; on a CPU, to do it."""


Samples = Generator[Sample, None, None]


def loop(step: Step, device: torch.device, mode: str, batches: int | None = None) -> Samples:
    """Return the batches of a scope in one mode, for ever.

    Args:
        step: the scope.
        device: the model's.
        mode: ``pipelined``, ``serial`` or ``compute``.
        batches: rotate so many distinct ones; ``None`` for all there are.
    """
    of = step.batches if batches is None else batches
    loops = {
        ("cpu", "serial"): _serial_cpu,
        ("cpu", "pipelined"): _pipelined_cpu,
        ("cpu", "compute"): _compute_cpu,
        ("cuda", "serial"): _serial_cuda,
        ("cuda", "pipelined"): _pipelined_cuda,
        ("cuda", "compute"): _compute_cuda,
    }
    return loops[device.type, mode](step, device, of)


def _compute_cpu(step: Step, device: torch.device, of: int) -> Samples:
    del device
    for k in itertools.count():
        given = step.load(k % of)
        began = time.perf_counter()
        step.compute(k % of, given)
        seconds = time.perf_counter() - began
        yield Sample(k % of, seconds, seconds)


def _serial_cpu(step: Step, device: torch.device, of: int) -> Samples:
    into, out = Slots(device), Slots(device)
    for k in itertools.count():
        began = time.perf_counter()
        given = into.copy(0, step.load(k % of))
        computing = time.perf_counter()
        results = step.compute(k % of, given)
        computed = time.perf_counter()
        step.store(k % of, out.copy(0, results))
        yield Sample(k % of, time.perf_counter() - began, computed - computing)


def _pipelined_cpu(step: Step, device: torch.device, of: int) -> Samples:
    """While one batch is computed, a thread loads the next and another stores the last.

    A buffer is filled again three batches later, when the result that may share its memory is stored.
    """
    into, out = Slots(device), Slots(device)

    def bring(k: int) -> Tensors:
        return into.copy(k, step.load(k % of))

    def take(k: int, results: Tensors) -> None:
        step.store(k % of, out.copy(0, results))

    with _thread("load") as loader, _thread("store") as storer:
        coming, leaving = loader.submit(bring, 0), _nothing()
        done, host = time.perf_counter(), 0.0
        for k in itertools.count():
            given = coming.result()
            coming = loader.submit(bring, k + 1)
            began = time.perf_counter()
            results = step.compute(k % of, given)
            computed = time.perf_counter() - began
            leaving.result()  # batch k - 1 is done
            if k:
                now = time.perf_counter()
                yield Sample((k - 1) % of, now - done, host)
                done = now
            leaving, host = storer.submit(take, k, results), computed


def _thread(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix=f"sambench-{name}")


def _nothing() -> Future[None]:
    done: Future[None] = Future()
    done.set_result(None)
    return done


def _compute_cuda(step: Step, device: torch.device, of: int) -> Samples:
    """Events around the computation, on inputs brought before; the host stays one batch ahead of the GPU."""
    into = Slots(device)
    events = [_events() for _ in range(2)]
    host = [0.0, 0.0]
    for k in itertools.count():
        start, end = events[k % 2]
        given = into.copy(k, step.load(k % of))  # in the same stream, so it is over before the clock starts
        start.record()
        began = time.perf_counter()
        step.compute(k % of, given)
        host[k % 2] = time.perf_counter() - began
        end.record()
        if k:
            start, end = events[(k - 1) % 2]
            end.synchronize()
            yield Sample((k - 1) % of, start.elapsed_time(end) / 1000, host[(k - 1) % 2])


def _events() -> tuple[torch.cuda.Event, torch.cuda.Event]:
    return torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)


def _serial_cuda(step: Step, device: torch.device, of: int) -> Samples:
    """One batch from the host and back, waited for."""
    pinned, into, out = Slots(_CPU, pinned=True), Slots(device), Slots(_CPU, pinned=True)
    for k in itertools.count():
        began = time.perf_counter()
        given = into.copy(0, _pin(pinned, 0, step.load(k % of)))
        computing = time.perf_counter()
        results = step.compute(k % of, given)
        computed = time.perf_counter()
        home = out.copy(0, results)
        torch.cuda.synchronize(device)
        step.store(k % of, home)
        yield Sample(k % of, time.perf_counter() - began, computed - computing)


def _pipelined_cuda(step: Step, device: torch.device, of: int) -> Samples:
    """Three streams: to the device, computing, from the device; the host is two batches ahead at most.

    Results are put aside on the device before they travel: an engine with a buffer of its own (a CUDA graph)
    may overwrite them with the next batch meanwhile.
    """
    pinned, into, aside = Slots(_CPU, pinned=True), Slots(device), Slots(device)
    out = Slots(_CPU, pinned=True)
    computing = torch.cuda.current_stream(device)
    bringing, taking = torch.cuda.Stream(device), torch.cuda.Stream(device)
    brought, computed, home = ([torch.cuda.Event() for _ in range(SLOTS)] for _ in range(3))
    host = [0.0] * SLOTS
    at_home: list[Tensors] = [()] * SLOTS

    def bring(k: int) -> Tensors:
        return _pin(pinned, k, step.load(k % of))

    with _thread("load") as loader, _thread("store") as storer:
        coming, leaving = loader.submit(bring, 0), _nothing()
        done = time.perf_counter()
        for k in itertools.count():
            slot, loaded = k % SLOTS, coming.result()
            coming = loader.submit(bring, k + 1)  # its buffer's last user, k - 2, is home
            with torch.cuda.stream(bringing):
                if k >= SLOTS:
                    bringing.wait_event(computed[slot])
                given = into.copy(k, loaded)
                brought[slot].record(bringing)
            computing.wait_event(brought[slot])
            began = time.perf_counter()
            results = step.compute(k % of, given)
            host[slot] = time.perf_counter() - began
            held = aside.copy(k, results)
            computed[slot].record(computing)
            leaving.result()  # batch k - 2 is stored: its buffer, the third from here, may be filled next
            with torch.cuda.stream(taking):
                taking.wait_event(computed[slot])
                at_home[slot] = out.copy(k, held)
                home[slot].record(taking)
            if k:
                slot = (k - 1) % SLOTS
                home[slot].synchronize()
                leaving = storer.submit(step.store, (k - 1) % of, at_home[slot])
                now = time.perf_counter()
                yield Sample((k - 1) % of, now - done, host[slot])
                done = now


_CPU = torch.device("cpu")


def _pin(pinned: Slots, k: int, loaded: Tensors) -> Tensors:
    """Put a batch into memory that the GPU copies from by itself, where it is not there already."""
    return loaded if all(t.is_pinned() for t in loaded) else pinned.copy(k, loaded)
