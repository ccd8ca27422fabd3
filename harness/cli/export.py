"""``sambench export``: a model's encoder and decoder as files that other runtimes compute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sambench.evsam.errors import SambenchError
from sambench.harness.cli import complete, console, options

if TYPE_CHECKING:
    from sambench.harness.config.export import ExportConfig


Precisions = Annotated[
    str | None,
    typer.Option(
        "--precision",
        "--precisions",
        autocompletion=complete.several(complete.precisions),
        help="fp32 (default), bf16, fp16, tf32 (tensorrt) or int8 (the encoder's; calibrated on the "
        "images in $SAMBENCH_CALIBRATION).",
    ),
]
Masks = Annotated[
    str | None,
    typer.Option(
        help="What the decoder returns a prompt: the best of three by predicted IoU (default), all "
        "three, or the single mask of token 0."
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        "--batch-sizes",
        help="Images an encoder call, at most 64; free by default, of TensorRT 1.",
    ),
]


def export(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|FILE.yaml",
            autocompletion=complete.one(complete.models),
            help="A model with SAM's encoder and decoder ('sambench models'), or a YAML file; its keys are "
            "the flags, with _ for - (docs/configuration.md).",
        ),
    ],
    adapter: options.Adapters = None,
    weights: options.Weights = None,
    device: options.Device = None,
    precision: Precisions = None,
    batch_size: BatchSize = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="onnx (.onnx, default), openvino (.xml, .bin) or tensorrt (.engine)."),
    ] = None,
    masks: Masks = None,
    parts: Annotated[str | None, typer.Option(help="encoder, decoder or both (default).")] = None,
    force: Annotated[bool | None, typer.Option("--force", help="Replace files that are there.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to; or, of one part, a file with the format's suffix."),
    ] = None,
) -> None:
    """Write a model's image encoder and mask decoder for another runtime.

    The encoder takes images as the model prepares them, (B, 3, S, S) float32. The decoder takes features
    and 1 to 64 prompts of 1 to 12 points from one file: docs/engines.md says how points and boxes are
    written, and runs such files without sambench. These are the graphs that 'sambench run --engine' computes.

    **Example**: sambench export efficientvit_sam_l0 --weights random --out exported

    **Example**: sambench export mobile_sam --format openvino --precision bf16 --parts encoder --out m.xml
    """
    from sambench.harness.config.export import load_export

    file = Path(model) if model.endswith((".yaml", ".yml")) else None
    flags = context.params | {"format": format_, "model": None if file else model}
    config, content = load_export(file, flags)
    console.note_unread(content, "export")
    if config.format == "openvino":
        console.warn_emulated(["openvino"], config.precisions, config.device)
    if config.out.suffix and len(config.models) * len(config.precisions) > 1:
        raise SambenchError(f"--out {config.out}: is one file for several exports. Name a folder.")
    for one in config.models:
        for kind in config.precisions:
            _write(config, one, kind)


def _write(config: ExportConfig, model: str, precision: str) -> None:
    """Export a model in one precision; several precisions have a folder each."""
    from sambench.adapters.engines.files import Request, format_of, loading, write
    from sambench.adapters.families.sam import SamSegmenter
    from sambench.adapters.spec import ModelSpec

    batch = config.batch_size or (1 if config.format == "tensorrt" else None)
    request = Request(config.format, precision, batch, config.masks, config.parts)  # type: ignore[arg-type]
    format_of(request)
    segmenter = ModelSpec(model, config.weights.get(model), config.device).create()
    if not isinstance(segmenter, SamSegmenter):
        raise SambenchError(f"{model} cannot be exported: it has not SAM's encoder and decoder.")
    out = config.out if len(config.precisions) == 1 else config.out / precision
    files = write(segmenter, request, out, force=config.force)
    for file in files:
        console.out.print(f"{file}  {file.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
    console.out.print("\nIn Python:\n" + loading(request, files), soft_wrap=True)
