"""What the machine can do at best, measured in the same process: products, and a copy of memory."""

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


CONV = (256, 64, 3)
"""Channels, side and kernel of the convolution: of the kind that encoders are made of."""


@dataclass(frozen=True)
class Ceilings:
    """Rates of this process's device."""

    product_tflop_s: float | None
    """Of the matrix product in the cell's precision; ``None`` where torch has none (int8)."""
    tflop_s: float | None
    """The best of the product and, on a CPU, of two convolutions: another library computes those, and that of
    the matrix product may be the slower one (MKL on AMD's processors is, by half)."""
    gb_s: float
    """Of the copy: bytes read and bytes written, 1e9 a second."""

    def or_better(self, other: Ceilings) -> Ceilings:
        """Return the higher of two measurements of one device in one precision."""
        return Ceilings(
            _higher(self.product_tflop_s, other.product_tflop_s),
            _higher(self.tflop_s, other.tflop_s),
            max(self.gb_s, other.gb_s),
        )


def _higher(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else max(a, b)


def measure_ceilings(device: torch.device, precision: str) -> Ceilings:
    """Measure all."""
    dtype = _DTYPES.get(precision)
    copy = _copy(device)
    if dtype is None:
        return Ceilings(None, None, copy)
    product = _product(device, dtype)
    others = (_convolution(dtype, 1), _convolution(dtype, CONV[2])) if device.type == "cpu" else ()
    return Ceilings(product, max(product, *others) if others else product, copy)


def _product(device: torch.device, dtype: torch.dtype) -> float:
    side = SIDE[device.type]
    a = torch.randn(side, side, device=device).to(dtype)  # zeros would let a GPU clock higher
    b = torch.randn(side, side, device=device).to(dtype)
    out = torch.empty_like(a)
    return 2 * side**3 / _best(lambda: torch.mm(a, b, out=out), device) / 1e12


@torch.inference_mode()
def _convolution(dtype: torch.dtype, kernel: int) -> float:
    """Of a 1x1 convolution that is the matrix product, or of a larger one."""
    channels, height, width = (
        (SIDE["cpu"], 32, SIDE["cpu"] // 32) if kernel == 1 else (CONV[0], CONV[1], CONV[1])
    )
    x = torch.randn(1, channels, height, width).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, kernel, kernel).to(dtype, memory_format=torch.channels_last)
    seconds = _best(lambda: torch.conv2d(x, weight, padding=kernel // 2), x.device)
    return 2 * channels**2 * kernel**2 * height * width / seconds / 1e12


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
