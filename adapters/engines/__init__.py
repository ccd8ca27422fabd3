"""What runs a model: PyTorch as it is, PyTorch compiled, or a graph exported to another runtime.

An engine is one module here with a function ``parts(segmenter, precision)`` that returns its
`adapters.engines.parts.Parts`, and a line in `ENGINES`. Nothing heavy is imported here: the command line
lists engines from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sambench.adapters.devices import OTHER, TRIED
from sambench.evsam.errors import NotApplicableError, SambenchError, did_you_mean

if TYPE_CHECKING:
    from sambench.adapters.base import Segmenter


@dataclass(frozen=True)
class Engine:
    """What one engine can do."""

    target: str
    """Module with the function ``parts``."""
    title: str
    """What it is, in a line."""
    precisions: Mapping[str, tuple[str, ...]]
    """Kind of device (``cpu``, ``cuda``, `OTHER`) to the precisions it computes in there."""
    libraries: tuple[str, ...] = ()
    """The distributions that compute, beside torch; they decide numbers."""


ENGINES: dict[str, Engine] = {
    "eager": Engine(
        "sambench.adapters.engines.eager",
        "PyTorch, operation by operation",
        {
            "cpu": ("fp32", "bf16"),
            "cuda": ("fp32", "tf32", "bf16", "fp16"),
            OTHER: ("fp32", "bf16", "fp16"),
        },
    ),
    "compile": Engine(
        "sambench.adapters.engines.compiled",
        "torch.compile; on a GPU as CUDA graphs",
        {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "tf32", "bf16", "fp16")},
    ),
    "onnxruntime": Engine(
        "sambench.adapters.engines.onnxruntime",
        "ONNX Runtime on the exported graphs",
        {"cpu": ("fp32", "int8"), "cuda": ("fp32", "tf32", "fp16")},
        ("onnx", "onnxscript", "onnxruntime"),
    ),
    "openvino": Engine(
        "sambench.adapters.engines.openvino",
        "OpenVINO on the exported graphs",
        {"cpu": ("fp32", "bf16", "int8")},
        ("onnx", "onnxscript", "onnxruntime", "openvino"),
    ),
    "tensorrt": Engine(
        "sambench.adapters.engines.tensorrt",
        "TensorRT, or TensorRT for RTX, on the exported graphs",
        {"cuda": ("fp32", "tf32", "bf16", "fp16", "int8")},
        ("onnx", "onnxscript", "onnxruntime", "tensorrt", "tensorrt-rtx-cu13-bindings"),
    ),
}

PRECISIONS = ("fp32", "tf32", "bf16", "fp16", "int8")
"""``int8`` is the encoder's alone; the decoder beside it computes in fp32."""


def engine_libraries() -> list[str]:
    """Return the distributions that any engine computes with, beside torch."""
    return list(dict.fromkeys(name for engine in ENGINES.values() for name in engine.libraries))


def check(engine: str, precision: str, device: str) -> None:
    """Refuse what an engine cannot do on a kind of device (``cpu``, ``cuda``, ``mps``).

    Raises:
        SambenchError: the message says what there is instead.
    """
    for kind, value, choices in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if value not in choices:
            raise SambenchError(
                f"no {kind} {value!r}; there is {', '.join(choices)}.{did_you_mean(value, choices)}"
            )
    here = ENGINES[engine].precisions
    can = here.get(device) or (here.get(OTHER) if device not in TRIED else None)
    if can is None:
        raise SambenchError(f"engine {engine} does not run on a {device}; it runs on {' and '.join(here)}.")
    if precision not in can:
        raise SambenchError(
            f"engine {engine} does not compute in {precision} on a {device}; it does in {', '.join(can)}."
        )


def replaces(engine: str, precision: str) -> bool:
    """Tell whether a model's own arithmetic, which is PyTorch's in fp32, is replaced."""
    return (engine, precision) != ("eager", "fp32")


def attach(segmenter: Segmenter, engine: str, precision: str) -> Segmenter:
    """Let an engine run a segmenter that PyTorch runs in fp32 so far; return the same segmenter.

    Raises:
        NotApplicableError: the engine cannot run this model.
        SambenchError: it cannot do this here, or is not installed.
    """
    from importlib import import_module

    from sambench.adapters.families.sam import SamSegmenter

    check(engine, precision, segmenter.device.type)
    if not replaces(engine, precision):
        return segmenter
    if not isinstance(segmenter, SamSegmenter):
        raise NotApplicableError(
            f"{segmenter.name} runs in engine eager and precision fp32 alone: {engine} in {precision} needs "
            "a model with SAM's encoder and decoder (sambench.adapters.families.sam.SamSegmenter)."
        )
    segmenter.parts = import_module(ENGINES[engine].target).parts(segmenter, precision)
    segmenter.engine, segmenter.precision = engine, precision
    return segmenter
