"""``sambench export``: a model's encoder and decoder as files that other runtimes compute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sambench.evsam.errors import SambenchError

console = Console(markup=False, highlight=False)

MASKS = ("best", "three", "single")
PARTS = {"both": ("encoder", "decoder"), "encoder": ("encoder",), "decoder": ("decoder",)}


def export(
    model: Annotated[str, typer.Argument(help="A model with SAM's encoder and decoder; 'sambench models'.")],
    out: Annotated[
        Path, typer.Option(help="Folder to write to; or, of one part, a file with the format's suffix.")
    ],
    format_: Annotated[
        str, typer.Option("--format", help="onnx (.onnx), openvino (.xml, .bin) or tensorrt (.engine).")
    ] = "onnx",
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|random",
            help="Checkpoint, or a random initialisation; by default the "
            "registered file ('sambench weights list').",
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="fp32, bf16, fp16, tf32 (tensorrt) or int8 (the encoder's; calibrated on the images "
            "in $SAMBENCH_CALIBRATION)."
        ),
    ] = "fp32",
    batch: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Images an encoder call; free by default, of TensorRT 1."),
    ] = None,
    masks: Annotated[
        str,
        typer.Option(
            help="What the decoder returns a prompt: the best of three by predicted IoU, all three, or "
            "the single mask of token 0."
        ),
    ] = "best",
    parts: Annotated[str, typer.Option(help="encoder, decoder or both.")] = "both",
    device: Annotated[str, typer.Option(help="Where to export: cpu, cuda or cuda:1.")] = "cpu",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write a model's image encoder and mask decoder for another runtime.

    The encoder takes images as the model prepares them, (B, 3, S, S) float32. The decoder takes features
    and 1 to 64 prompts of 1 to 12 points from one file: docs/engines.md says how points and boxes are
    written, and runs such files without sambench. These are the graphs that 'sambench run --engine' computes.

    **Example**: sambench export efficientvit_sam_l0 --weights random --out exported

    **Example**: sambench export mobile_sam --format openvino --precision bf16 --parts encoder --out m.xml
    """
    _check("--masks", masks, MASKS)
    _check("--parts", parts, PARTS)

    from sambench.adapters import registry
    from sambench.adapters.engines.files import Request, format_of, loading, write
    from sambench.adapters.families.sam import SamSegmenter

    if format_ == "tensorrt":
        batch = batch or 1
    request = Request(format_, precision, batch, masks, PARTS[parts])  # type: ignore[arg-type]  # checked above
    format_of(request)
    segmenter = registry.create(model, weights=weights, device=device)
    if not isinstance(segmenter, SamSegmenter):
        raise SambenchError(f"{model} cannot be exported: it has not SAM's encoder and decoder.")
    files = write(segmenter, request, out, force=force)
    for file in files:
        console.print(f"{file}  {file.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
    console.print("\nIn Python:\n" + loading(request, files), soft_wrap=True)


def _check(option: str, value: str, choices: tuple[str, ...] | dict[str, tuple[str, ...]]) -> None:
    if value not in choices:
        raise SambenchError(f"{option}: no {value!r}; there is {', '.join(choices)}.")
