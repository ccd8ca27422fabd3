"""What the machine can do at best, measured in the same process: a matrix product, and a copy of memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

SIDE = {"cpu": 2048, "cuda": 8192}
"""Of the square matrices: large enough that a product is all arithmetic."""

COPY_MB = {"cpu": 256, "cuda": 1024}
"""Of the block that is copied: far larger than any cache."""

SECONDS = 0.5
REPEATS = 5
"""Each ceiling is the best of at least so many repeats over so long: a ceiling is what can be reached."""

_DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,  # creating the model has let the GPU round fp32 factors to TF32
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@dataclass(frozen=True)
class Ceilings:
    """Rates of this process's device."""

    tflop_s: float | None
    """Of the matrix product in the cell's precision; ``None`` where torch has none (int8)."""
    gb_s: float
    """Of the copy: bytes read and bytes written, 1e9 a second."""

    def or_better(self, other: Ceilings) -> Ceilings:
        """Return the higher of two measurements of one device in one precision."""
        both = (self.tflop_s, other.tflop_s)
        product = None if self.tflop_s is None else max(rate for rate in both if rate is not None)
        return Ceilings(product, max(self.gb_s, other.gb_s))


def measure_ceilings(device: torch.device, precision: str) -> Ceilings:
    """Measure both."""
    return Ceilings(_product(device, precision), _copy(device))


def _product(device: torch.device, precision: str) -> float | None:
    dtype = _DTYPES.get(precision)
    if dtype is None:
        return None
    side = SIDE[device.type]
    a = torch.randn(side, side, device=device).to(dtype)  # zeros would let a GPU clock higher
    b = torch.randn(side, side, device=device).to(dtype)
    out = torch.empty_like(a)
    return 2 * side**3 / _best(lambda: torch.mm(a, b, out=out), device) / 1e12


def _copy(device: torch.device) -> float:
    count = COPY_MB[device.type] * 10**6
    source = torch.ones(count, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return 2 * count / _best(lambda: target.copy_(source), device) / 1e9


def _best(work: Callable[[], object], device: torch.device) -> float:
    """Return the least time of one call in seconds."""
    work()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < REPEATS or time.perf_counter() - began < SECONDS:
        times.append(_timed(work, device))
    return min(times)


def _timed(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
