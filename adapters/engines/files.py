"""Files for others to run: a model's encoder and decoder as ONNX, OpenVINO's format, or TensorRT engines."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sambench.adapters.engines.artifacts import Artifacts
from sambench.adapters.engines.calibrate import images, quantise
from sambench.adapters.engines.graphs import TYPES, EncoderGraph, Graph, Types, Which
from sambench.adapters.extras import missing
from sambench.adapters.families.sam import SamSegmenter
from sambench.adapters.files import remove_leftovers, scratch
from sambench.evsam.errors import SambenchError


@dataclass(frozen=True)
class Format:
    """What a model can be exported to."""

    suffix: str
    precisions: tuple[str, ...]
    write: Callable[[Path, Graph, Request], None]
    """Makes of an ONNX file ``NAME.onnx`` the format's files in its folder, of the same name."""


@dataclass(frozen=True)
class Request:
    """What to export, and how."""

    format: str
    precision: str
    batch: int | None
    """Of the encoder; ``None`` leaves it free."""
    which: Which
    parts: tuple[str, ...]
    """``encoder``, ``decoder`` or both."""


def write(segmenter: SamSegmenter, request: Request, out: Path, *, force: bool = False) -> list[Path]:
    """Export a model's parts; return the files, the encoder's first.

    Args:
        segmenter: whose model is cast in place.
        request: what is wanted.
        out: a folder, made where missing; or, of one part, the file.
        force: replace files that are there.

    Raises:
        SambenchError: a file is there already, or format, precision and model do not go together.
    """
    kind = format_of(request)
    artifacts = Artifacts(segmenter, types_of(request), batch=request.batch, int8=request.precision == "int8")
    graphs: list[Graph] = []
    if "encoder" in request.parts:
        graphs.append(artifacts.encoder_graph())
    if "decoder" in request.parts:
        graphs.append(artifacts.decoder_graph(request.which))
    files = [_target(segmenter.name, graph, kind, out, len(graphs)) for graph in graphs]
    if taken := [str(file) for file in files if file.exists() and not force]:
        raise SambenchError(f"{', '.join(taken)}: there already. Say --force to replace, or another --out.")
    if request.precision == "int8":
        images()  # asked for before anything is computed
    for graph, file in zip(graphs, files, strict=True):
        _write_one(artifacts, graph, request, file)
    return files


def format_of(request: Request) -> Format:
    """Return a request's format.

    Raises:
        SambenchError: there is none of that name, or it has no such precision.
    """
    if request.format not in FORMATS:
        raise SambenchError(f"no format {request.format!r}; there is {', '.join(FORMATS)}.")
    kind = FORMATS[request.format]
    if request.precision not in kind.precisions:
        raise SambenchError(
            f"format {request.format} has no precision {request.precision!r}; it has "
            f"{', '.join(kind.precisions)}."
        )
    return kind


def types_of(request: Request) -> Types:
    """What the files compute in: all that is lower stands in the graph itself."""
    types = TYPES[request.precision]
    if request.format == "openvino":  # numpy, which its callers have, has no bfloat16
        return Types(types.encoder, types.decoder, torch.float32)
    return types


def _target(name: str, graph: Graph, kind: Format, out: Path, parts: int) -> Path:
    if out.suffix != kind.suffix:
        return out / f"{name}-{graph.title}{kind.suffix}"
    if parts > 1:
        raise SambenchError(
            f"{out} is one file, encoder and decoder are two: name a folder, or one part with --parts."
        )
    return out


def _write_one(artifacts: Artifacts, graph: Graph, request: Request, file: Path) -> None:
    """Export one part into a folder of its own, and move what is there when all is done."""
    remove_leftovers(file.parent)
    with scratch(file) as folder:
        onnx = folder / f"{file.stem}.onnx"
        artifacts.export(graph, onnx)
        if artifacts.int8 and isinstance(graph, EncoderGraph):
            quantise(artifacts.segmenter, onnx, images(), onnx)
        FORMATS[request.format].write(onnx, graph, request)
        for made in sorted(
            folder.iterdir(), key=lambda made: made.name == file.name
        ):  # what names others, last
            os.replace(made, file.parent / made.name)


def _write_onnx(file: Path, graph: Graph, request: Request) -> None:
    """ONNX it is already."""


def _write_openvino(file: Path, graph: Graph, request: Request) -> None:
    try:
        import openvino
    except ImportError as error:
        raise missing("format openvino", error, "openvino") from None
    openvino.save_model(openvino.Core().read_model(file), file.with_suffix(".xml"), compress_to_fp16=False)
    _remove(file)


def _write_tensorrt(file: Path, graph: Graph, request: Request) -> None:
    from sambench.adapters.engines.tensorrt import build, library, shapes

    plan = build(library(), file, shapes(graph, request.batch), tf32=request.precision == "tf32")
    _remove(file)
    file.with_suffix(".engine").write_bytes(plan)


def _remove(file: Path) -> None:
    """Remove an ONNX file, with what lies beside it."""
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()


FORMATS: dict[str, Format] = {
    "onnx": Format(".onnx", ("fp32", "bf16", "fp16", "int8"), _write_onnx),
    "openvino": Format(".xml", ("fp32", "bf16", "int8"), _write_openvino),
    "tensorrt": Format(".engine", ("fp32", "tf32", "bf16", "fp16", "int8"), _write_tensorrt),
}


def loading(request: Request, files: Sequence[Path]) -> str:
    """Return lines of Python that load the last of the files."""
    name = str(files[-1])
    if request.format == "openvino":
        return (
            "import openvino\n"
            f'model = openvino.Core().compile_model("{name}", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})'
        )
    if request.format == "tensorrt":
        return (
            "import tensorrt  # or tensorrt_rtx\n"
            f'plan = open("{name}", "rb").read()\n'
            "engine = tensorrt.Runtime(tensorrt.Logger()).deserialize_cuda_engine(plan)"
        )
    return f'import onnxruntime\nsession = onnxruntime.InferenceSession("{name}")'
