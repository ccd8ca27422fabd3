"""Writing a graph as an ONNX file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from sambench.adapters.engines.graphs import Graph
from sambench.adapters.extras import missing
from sambench.evsam.errors import SambenchError

OPSET = 20
"""Of ONNX: the first with Gelu in both forms."""

LARGEST_INSIDE = 1 << 30
"""Bytes of weights that are kept inside the file; protobuf ends at 2 GiB. More go beside it, to ``.data``."""


def export(graph: Graph, file: Path, metadata: Mapping[str, str]) -> None:
    """Write a graph to ``file``, with its weights inside, or beside it where they are large.

    Of the exporter's optimiser only constants are folded. The whole of it takes the ``+ 1e-15`` of
    the linear attention for nothing, and what then divides zero by zero is not a number.

    Args:
        graph: on the CPU or a GPU, in eval mode.
        file: to write; the caller takes care that a half-written one is not seen.
        metadata: to keep in the file.

    Raises:
        SambenchError: the exporter is not installed, or cannot express the model.
    """
    need_onnx()
    example = tuple(x.to(_device(graph)) for x in graph.example())
    dims: dict[str, object] = {}
    free = graph.free()
    shapes = tuple(
        {axis: _dim(dims, *size) for axis, size in free.get(name, {}).items()} for name in graph.inputs
    )
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                graph.eval(),
                example,
                dynamo=True,
                optimize=False,
                verbose=False,
                opset_version=OPSET,
                input_names=graph.inputs,
                output_names=graph.outputs,
                dynamic_shapes=shapes if free else None,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise SambenchError(
            f"this model cannot be exported to ONNX: {_reason(error)}. Take engine eager or compile."
        ) from error
    assert program is not None
    _tidy(program.model)
    program.model.metadata_props.update(metadata)
    program.save(file, external_data=_bytes(graph) > LARGEST_INSIDE)


def _tidy(model: Any) -> None:
    """Compute what is constant and drop what nothing reads, as TensorRT's reader wants it."""
    from onnxscript.optimizer import fold_constants, remove_unused_nodes

    fold_constants(model)
    remove_unused_nodes(model)


def need_onnx() -> None:
    """Ask for what exports.

    Raises:
        SambenchError: it is not installed.
    """
    try:
        import onnx
        import onnxscript
    except ImportError as error:
        raise missing("exporting", error, "onnx") from None
    del onnx, onnxscript


def _dim(dims: dict[str, object], name: str, largest: int) -> object:
    """One free dimension a name, the same wherever the name stands."""
    return dims.setdefault(name, torch.export.Dim(name, min=1, max=largest))


def _device(graph: Graph) -> torch.device:
    return next(graph.parameters()).device


def _bytes(graph: Graph) -> int:
    return sum(p.numel() * p.element_size() for p in graph.parameters())


def _reason(error: BaseException) -> str:
    """The first line of what the exporter's last failure says."""
    cause = error.__cause__ or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and its remarks on its own deprecations from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
