"""CUDA graphs: a function's kernels recorded once for a set of shapes, then started as one.

The first call for a set of shapes runs the function a few times and records it; that takes seconds, and
minutes where the function compiles itself. Later calls copy their inputs into the buffers that were recorded,
replay, and copy the results out. So results are the caller's to keep, and inputs may change afterwards; the
calls of one `Graphs` must come from one thread at a time, and its results belong to the stream that was
current.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

WARM_UP = 3
"""Calls before a function is recorded: they compile, choose kernels and allocate, which a graph cannot."""


@dataclass(frozen=True)
class Recording:
    """One graph with its buffers."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class Graphs:
    """A function of CUDA tensors as graphs, one a set of shapes, in memory that they share.

    Rows, the leading dimension, are images or prompts that do not see each other. Their number is rounded up
    to a power of two, so that few graphs serve all numbers; the rows added hold what an earlier call left.

    Args:
        function: of tensors on one device, each with the rows of the call or with one row for all of them;
            returns a tensor or a tuple of tensors, all with the rows of the call. It must not wait for the
            GPU.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._recordings: dict[tuple[Any, ...], Recording] = {}
        self._pool: Any = None

    @torch.inference_mode()
    def __call__(self, *given: Tensor) -> Any:
        rows = max(tensor.shape[0] for tensor in given)
        key = tuple((padded_shape(tensor, rows), tensor.dtype) for tensor in given)
        if key not in self._recordings:
            self._recordings[key] = self._record(given, rows)
        recording = self._recordings[key]
        fill(recording.inputs, given)
        recording.graph.replay()
        # Copies, for the next replay of any of the graphs writes over the outputs.
        results = tuple(output[:rows].clone() for output in recording.outputs)
        return results if len(results) > 1 else results[0]

    def _record(self, given: tuple[Tensor, ...], rows: int) -> Recording:
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        inputs = tuple(torch.zeros(padded_shape(t, rows), dtype=t.dtype, device=t.device) for t in given)
        fill(inputs, given)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(given[0].device), _fastest_convolutions():
            side, current = torch.cuda.Stream(), torch.cuda.current_stream()
            side.wait_stream(current)
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    self.function(*inputs)
            current.wait_stream(side)
            # Other threads may go on allocating pinned memory meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                outputs = self.function(*inputs)
        return Recording(graph, inputs, outputs if isinstance(outputs, tuple) else (outputs,))


def padded_shape(tensor: Tensor, rows: int) -> tuple[int, ...]:
    """Return a tensor's shape with its rows, if it has them, rounded up to a power of two."""
    first, *rest = tensor.shape
    return (1 << (rows - 1).bit_length() if first == rows else first, *rest)


def fill(buffers: tuple[Tensor, ...], given: tuple[Tensor, ...]) -> None:
    """Copy tensors into the first rows of their buffers."""
    for buffer, tensor in zip(buffers, given, strict=True):
        buffer[: tensor.shape[0]].copy_(tensor, non_blocking=True)


@contextmanager
def _fastest_convolutions() -> Iterator[None]:
    """Let cuDNN try its algorithms, which pays where a shape stays."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
