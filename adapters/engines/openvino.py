"""OpenVINO on the exported graphs, on a CPU.

OpenVINO would compute in bfloat16 wherever the processor has it. Here the graph says what is computed in
what: the runtime is told float32, and keeps the bfloat16 that a graph asks for. The encoder in bf16 is the
exception: given a float32 graph and the hint, OpenVINO is faster than given a typed graph, and no less exact.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sambench.adapters.engines.artifacts import Artifacts
from sambench.adapters.engines.cache import cache_folder
from sambench.adapters.engines.exported import ExportedParts, Session
from sambench.adapters.engines.graphs import EncoderGraph, Graph, Types
from sambench.adapters.engines.parts import Parts
from sambench.adapters.extras import missing
from sambench.adapters.families.sam import SamSegmenter

FLOAT32 = Types(torch.float32, torch.float32, torch.float32)
TYPES = {
    "fp32": FLOAT32,
    "bf16": Types(torch.float32, torch.bfloat16, torch.float32),
    "int8": FLOAT32,
}
"""Features are exchanged in float32: numpy, through which tensors pass, has no bfloat16."""


def parts(segmenter: SamSegmenter, precision: str) -> Parts:
    """Let OpenVINO compute a segmenter.

    Raises:
        SambenchError: OpenVINO is not installed, or the model cannot be exported.
    """
    return OpenVinoParts(segmenter, precision)


class OpenVinoParts(ExportedParts):
    """Encoder and decoders compiled by OpenVINO."""

    def __init__(self, segmenter: SamSegmenter, precision: str) -> None:
        try:
            import openvino
        except ImportError as error:
            raise missing("engine openvino", error, "openvino") from None
        super().__init__(Artifacts(segmenter, TYPES[precision], int8=precision == "int8"))
        self.precision = precision
        self.core = openvino.Core()

    def open(self, graph: Graph, file: Path, batch: int | None) -> Session:
        """Compile a graph for all its sizes at once: with fixed sizes it is no faster."""
        low = self.precision == "bf16" and isinstance(graph, EncoderGraph)
        compiled = self.core.compile_model(file, "CPU", properties("bf16" if low else "f32"))
        return OpenVinoSession(graph, compiled)


def properties(precision: str) -> dict[str, object]:
    """What OpenVINO is told; ``precision`` is ``f32`` or ``bf16``."""
    return {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # a pinned thread waits for its core even if another is idle
        "CACHE_DIR": str(cache_folder() / "openvino"),
    }


class OpenVinoSession:
    """A compiled graph with one request of its own."""

    def __init__(self, graph: Graph, compiled: Any) -> None:
        self._graph = graph
        self._request = compiled.create_infer_request()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Read the inputs where they are, and write into memory that is the caller's from then on."""
        from openvino import Tensor as View

        values = [value.contiguous() for value in inputs]
        results = self._graph.results(*values)
        for i, value in enumerate(values):
            self._request.set_input_tensor(i, View(value.numpy(), shared_memory=True))
        for i, result in enumerate(results):
            self._request.set_output_tensor(i, View(result.numpy(), shared_memory=True))
        self._request.infer()
        return results
