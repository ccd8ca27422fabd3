"""TensorRT, or TensorRT for RTX, on the exported graphs, on an NVIDIA GPU.

Engines are strongly typed: the graph says what is computed in what, TensorRT chooses only how. An encoder's
engine is for one batch size; a decoder's for all numbers of prompts and points.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sambench.adapters.engines.artifacts import Artifacts
from sambench.adapters.engines.cache import cache_folder, cached
from sambench.adapters.engines.exported import ExportedParts, Session
from sambench.adapters.engines.graphs import TYPES, Graph
from sambench.adapters.engines.parts import Parts
from sambench.adapters.extras import missing
from sambench.adapters.families.sam import SamSegmenter
from sambench.adapters.files import write_atomic
from sambench.evsam.errors import SambenchError

MODULES = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings")
"""Names under which it is imported, in order of preference; the last is that of the bare RTX wheels."""

USUAL = {"N": 16, "T": 2}
"""Sizes that an engine with free sizes is tuned for: boxes, on an image with many objects."""

Shapes = Mapping[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""Of each input its smallest, usual and largest shape."""


def parts(segmenter: SamSegmenter, precision: str) -> Parts:
    """Let TensorRT compute a segmenter.

    Raises:
        SambenchError: TensorRT is not installed, or the model cannot be exported.
    """
    return TensorRtParts(segmenter, precision)


def library() -> Any:
    """Return the module of TensorRT.

    Raises:
        SambenchError: none is installed.
    """
    for name in MODULES:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    rtx = ", or, for GeForce and RTX cards, pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings"
    raise missing("engine tensorrt", "TensorRT", "tensorrt", rtx)


class TensorRtParts(ExportedParts):
    """Encoder and decoders as engines of TensorRT."""

    by_batch = True

    def __init__(self, segmenter: SamSegmenter, precision: str) -> None:
        super().__init__(Artifacts(segmenter, TYPES[precision], int8=precision == "int8"))
        self.trt = library()
        self.tf32 = precision == "tf32"
        self.device = segmenter.device

    def open(self, graph: Graph, file: Path, batch: int | None) -> Session:
        """Load a graph's engine, built where the cache has none."""
        sizes = shapes(graph, batch)
        key = {
            **self.artifacts.key(graph),
            "file": file.parent.name,  # says what int8 was calibrated on
            "library": f"{self.trt.__name__} {self.trt.__version__}",
            "device": torch.cuda.get_device_name(self.device),
            "shapes": {name: [list(shape) for shape in three] for name, three in sizes.items()},
            "tf32": self.tf32,
        }
        title = f"tensorrt-{self.artifacts.segmenter.name}-{graph.title}"

        def write(folder: Path) -> None:
            with torch.cuda.device(self.device):
                plan = build(self.trt, file, sizes, tf32=self.tf32)
            (folder / "engine.plan").write_bytes(plan)

        plan = cached(title, key, write) / "engine.plan"
        return TensorRtSession(self.trt, graph, plan.read_bytes(), self.device)


def shapes(graph: Graph, batch: int | None) -> Shapes:
    """Return the shapes an engine is built for: a graph's free sizes, but a given batch."""
    free = graph.free()
    found = {}
    for name, example in zip(graph.inputs, graph.example(), strict=True):
        three: tuple[list[int], ...] = tuple(list(example.shape) for _ in range(3))
        for axis, (size, largest) in free.get(name, {}).items():
            chosen = (batch,) * 3 if batch and size == "B" else (1, min(USUAL.get(size, 1), largest), largest)
            for shape, value in zip(three, chosen, strict=True):
                shape[axis] = value
        low, usual, high = (tuple(shape) for shape in three)
        found[name] = (low, usual, high)
    return found


def build(trt: Any, file: Path, sizes: Shapes, *, tf32: bool = False) -> bytes:
    """Build the engine of an ONNX file; TensorRT for RTX needs no GPU for it.

    Args:
        trt: the module (`library`).
        file: ONNX.
        sizes: of its inputs.
        tf32: let products of float32 round their factors.

    Raises:
        SambenchError: TensorRT cannot.
    """
    log = _logger(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(file)):
        found = [parser.get_error(i) for i in range(parser.num_errors)]
        reasons = "; ".join(f"{e.node_operator()} {e.node_name()}: {e.desc()}" for e in found[:3])
        raise SambenchError(f"engine tensorrt: it cannot read the exported graph: {reasons}")
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.TF32) if tf32 else config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for name, (low, usual, high) in sizes.items():
        profile.set_shape(name, low, usual, high)
    config.add_optimization_profile(profile)
    timings = _timings(trt, config)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise SambenchError(f"engine tensorrt: no engine could be built: {log.last}")
    if timings is not None:
        write_atomic(timings, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _timings(trt: Any, config: Any) -> Path | None:
    """Let the builder reuse what it measured before; return the file of it. The RTX one measures nothing."""
    if trt.__name__ != "tensorrt":
        return None
    name = f"timings-{trt.__version__}-{torch.cuda.get_device_name()}.cache".replace(" ", "-")
    file = cache_folder() / name
    known = file.read_bytes() if file.is_file() else b""
    if not config.set_timing_cache(config.create_timing_cache(known), ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    return file


def _logger(trt: Any) -> Any:
    """Keep TensorRT's remarks from the user, and the last error to quote."""

    class Quiet(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = "it does not say why"

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last = message

    return Quiet()


class TensorRtSession:
    """A loaded engine, computing on torch's current stream."""

    def __init__(self, trt: Any, graph: Graph, plan: bytes, device: torch.device) -> None:
        self._graph = graph
        self._device = device
        self._log = _logger(trt)  # it must outlive what reports to it
        with torch.cuda.device(device):
            self._runtime = trt.Runtime(self._log)
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise SambenchError(f"engine tensorrt: the engine cannot be loaded: {self._log.last}")
            self._context = self._engine.create_execution_context()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Read the inputs where they are, and write into memory that is the caller's from then on."""
        values = [value.contiguous() for value in inputs]
        results = self._graph.results(*values)
        for name, value in zip(self._graph.inputs, values, strict=True):
            self._context.set_input_shape(name, tuple(value.shape))
            self._context.set_tensor_address(name, value.data_ptr())
        for name, result in zip(self._graph.outputs, results, strict=True):
            self._context.set_tensor_address(name, result.data_ptr())
        stream = torch.cuda.current_stream(self._device).cuda_stream
        if not self._context.execute_async_v3(stream):
            raise SambenchError(f"engine tensorrt: it failed to run: {self._log.last}")
        return results
