"""ONNX Runtime on the exported graphs, on a CPU or an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sambench.adapters.engines.artifacts import Artifacts
from sambench.adapters.engines.exported import ExportedParts, Session
from sambench.adapters.engines.graphs import TYPES, Graph
from sambench.adapters.engines.parts import Parts
from sambench.adapters.extras import missing
from sambench.adapters.families.sam import SamSegmenter
from sambench.evsam.errors import SambenchError

NUMPY_TYPES = {torch.float32: np.float32, torch.float16: np.float16, torch.int64: np.int64}

CUDA = "CUDAExecutionProvider"


def parts(segmenter: SamSegmenter, precision: str) -> Parts:
    """Let ONNX Runtime compute a segmenter.

    Raises:
        SambenchError: ONNX Runtime is not installed, not for this device, or the model cannot be exported.
    """
    return OnnxRuntimeParts(segmenter, precision)


class OnnxRuntimeParts(ExportedParts):
    """Encoder and decoders as sessions of ONNX Runtime."""

    def __init__(self, segmenter: SamSegmenter, precision: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise missing("engine onnxruntime", error, "onnx") from None
        super().__init__(Artifacts(segmenter, TYPES[precision], int8=precision == "int8"))
        self.device = segmenter.device
        self.providers = providers(segmenter.device, precision)
        absent = {name for name, _ in self.providers} - set(onnxruntime.get_available_providers())
        if absent:
            raise SambenchError(
                f"engine onnxruntime: the installed ONNX Runtime has no {absent.pop()}. For a GPU say: "
                "pip uninstall onnxruntime; pip install onnxruntime-gpu"
            )

    def open(self, graph: Graph, file: Path, batch: int | None) -> Session:
        """Open a graph; one session serves all sizes, so ``batch`` is not needed."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(file, options, self.providers)
        return OnnxRuntimeSession(graph, session, self.device)


def providers(device: torch.device, precision: str) -> list[tuple[str, dict[str, object]]]:
    """What computes on a device, and how."""
    if device.type == "cpu":
        return [("CPUExecutionProvider", {})]
    return [(CUDA, {"device_id": device_index(device), "use_tf32": int(precision == "tf32")})]


def device_index(device: torch.device) -> int:
    """Which of its kind a device is."""
    if device.type == "cpu":
        return 0
    return torch.cuda.current_device() if device.index is None else device.index


class OnnxRuntimeSession:
    """An opened graph whose tensors stay on the device."""

    def __init__(self, graph: Graph, session: Any, device: torch.device) -> None:
        self._graph = graph
        self._session = session
        self._device = device
        self._index = device_index(device)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Read the inputs where they are, and write into memory that is the caller's from then on."""
        values = [value.contiguous() for value in inputs]
        results = self._graph.results(*values)
        binding = self._session.io_binding()
        for name, value in zip(self._graph.inputs, values, strict=True):
            binding.bind_input(name, *self._place(value))
        for name, result in zip(self._graph.outputs, results, strict=True):
            binding.bind_output(name, *self._place(result))
        if self._device.type == "cuda":
            # The runtime computes on a stream of its own, and waits for it before it returns.
            torch.cuda.current_stream(self._device).synchronize()
        self._session.run_with_iobinding(binding)
        return results

    def _place(self, x: Tensor) -> tuple[str, int, type, tuple[int, ...], int]:
        """Where a tensor is and what it is, as a binding wants it."""
        return self._device.type, self._index, NUMPY_TYPES[x.dtype], tuple(x.shape), x.data_ptr()
