"""``sambench show``: what models make of an image by a point, by a box and in everything mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.harness.cli import complete, console, options
from sambench.harness.cli.bars import bar, status
from sambench.harness.terminal import logs

if TYPE_CHECKING:
    import numpy as np

    from sambench.adapters.base import Embedding, Given, Prompts, Segmenter
    from sambench.reports.pictures import Cell, Row


MODES = ("point", "box", "everything")
BOX_SHARE = 0.6  # of the image's sides, for a box that was not given

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Request:
    """What to show, checked."""

    pixels: np.ndarray
    """(H, W, 3) uint8 RGB."""
    modes: tuple[str, ...]
    point: Point
    box: Box
    points_per_side: int


def show(
    image: Annotated[Path, typer.Argument(help="Any image file.")],
    models: Annotated[
        str,
        typer.Option(
            autocompletion=complete.several(complete.models),
            help="Model names, comma-separated; see 'sambench models'.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="The picture to write.")],
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH|NAME=random", help="Checkpoint of a model, or a random one; repeatable."
        ),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            autocompletion=complete.several(complete.given(*MODES)), help="Columns, comma-separated."
        ),
    ] = ",".join(MODES),
    point: Annotated[
        str | None, typer.Option(metavar="X,Y", help="Pixel to click on; the image's centre by default.")
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(metavar="X0,Y0,X1,Y1", help="Box in pixels; the central 60% by default."),
    ] = None,
    points_per_side: Annotated[
        int, typer.Option(min=1, help="Of everything mode's grid; 32 are 1,024 clicks.")
    ] = 32,
    device: options.OneDevice = "cpu",
) -> None:
    """Draw what models make of an image: by a point, by a box, and everything.

    A row for each model. For a point and a box it shows the mask of the highest predicted IoU; everything is
    all masks that SAM's generator keeps, by its own thresholds. Seconds are of this one run, without those of
    the encoder, which stand beside the model's name.

    **Example**: sambench show street.jpg --models efficientvit_sam_l0,sam_vit_b --point 320,240
    --points-per-side 16 --out street.png
    """
    from sambench.adapters.devices import check_device
    from sambench.adapters.files import write_atomic
    from sambench.adapters.weights.resolve import given_for
    from sambench.harness.config.content import weights_of
    from sambench.reports.pictures import draw

    if out.suffix.lower() != ".png":
        raise SambenchError(f"--out {out}: the picture is a PNG. Give it a name that ends in .png.")
    names = _split(models, "--models")
    named = weights_of(names, weights or [], "command line")
    given = {name: given_for(name, named) for name in names}
    _check_models(names, given)
    check_device(device)
    console.warn_untried(device)
    request = _request(image, mode, point, box, points_per_side)
    rows = [_row(name, given[name], device, request) for name in names]
    write_atomic(out, draw(request.pixels, rows))
    console.out.print(str(out), soft_wrap=True)


def _request(image: Path, mode: str, point: str | None, box: str | None, points_per_side: int) -> _Request:
    from sambench.adapters.images import read_image

    modes = _split(mode, "--mode")
    for one in modes:
        if one not in MODES:
            raise SambenchError(f"no mode {one!r}; there are {', '.join(MODES)}.{did_you_mean(one, MODES)}")
    pixels = read_image(image, orientation="exif")  # as every viewer shows it, and points are read off there
    size = (pixels.shape[0], pixels.shape[1])
    return _Request(pixels, modes, _point(point, size), _box(box, size), points_per_side)


def _split(text: str, option: str) -> tuple[str, ...]:
    """Return what a list of names has, each once."""
    from sambench.harness.config.keys import split

    names = tuple(dict.fromkeys(split(text)))
    if not names:
        raise SambenchError(f"{option} {text!r}: names nothing.")
    return names


def _check_models(names: Sequence[str], given: dict[str, Given]) -> None:
    """Refuse unknown names and missing weights before the first model starts."""
    from sambench.adapters.registry import entry, has_parameters

    for name in names:
        if has_parameters(name) and not entry(name).plugin:
            from sambench.adapters.weights.resolve import resolve

            resolve(name, given[name])


def _point(text: str | None, size: tuple[int, int]) -> Point:
    """Read a point, which must be on the image of ``size`` (H, W); its centre by default."""
    height, width = size
    if text is None:
        return width // 2, height // 2
    x, y = _numbers(text, "--point", "X,Y")
    if not (0 <= x < width and 0 <= y < height):
        raise SambenchError(
            f"--point {text}: outside of the image, which is {width} x {height} pixels. "
            f"X is from 0 to {width - 1}, Y from 0 to {height - 1}."
        )
    return x, y


def _box(text: str | None, size: tuple[int, int]) -> Box:
    """Read a box, which must have an area within the image of ``size`` (H, W); its centre by default."""
    height, width = size
    if text is None:
        low, high = (1 - BOX_SHARE) / 2, (1 + BOX_SHARE) / 2
        return width * low, height * low, width * high, height * high
    x0, y0, x1, y1 = _numbers(text, "--box", "X0,Y0,X1,Y1")
    if x0 >= x1 or y0 >= y1:
        raise SambenchError(f"--box {text}: has no area. Its first corner is the upper left one.")
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        raise SambenchError(f"--box {text}: reaches out of the image, which is {width} x {height} pixels.")
    return x0, y0, x1, y1


def _numbers(text: str, option: str, form: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != len(form.split(",")) or not all(map(math.isfinite, values)):
        raise SambenchError(f"{option} {text}: say {form}, {len(form.split(','))} numbers in pixels.")
    return values


def _row(name: str, weights: Given, device: str, request: _Request) -> Row:
    """Run one model in all modes."""
    from sambench.adapters.registry import create
    from sambench.adapters.weights.resolve import plain
    from sambench.reports.pictures import Row
    from sambench.suites.base import Stopwatch
    from sambench.suites.naming import checkpoint, title

    watch = Stopwatch()
    with status(f"{name}: encoding"):
        segmenter = create(name, weights=weights, device=device)
        with watch("encode", segmenter.device):
            (embedding,) = segmenter.encode([request.pixels])
    cells = tuple(_cell(mode, segmenter, embedding, request) for mode in request.modes)
    lines = [
        title(name),
        checkpoint(name, asdict(plain(segmenter.weights))),
        f"encoder {watch.seconds['encode']:.2f} s",
    ]
    return Row("\n".join(line for line in lines if line), cells)


def _cell(mode: str, segmenter: Segmenter, embedding: Embedding, request: _Request) -> Cell:
    """Run one mode, or say why the model has none of it."""
    from sambench.reports.pictures import Cell

    prompts = _prompts(mode, request)
    point = request.point if mode == "point" else None
    box = request.box if mode == "box" else None
    if reason := segmenter.capabilities.refusal(prompts):
        return Cell(mode, point=point, box=box, note=f"n/a: {reason}")
    if mode == "everything":
        return _everything(segmenter, embedding, request)
    mask, pred_iou, seconds = _best(segmenter, embedding, prompts)
    return Cell(f"{mode}: predicted IoU {pred_iou:.2f}, {seconds:.2f} s", [mask], point, box)


def _prompts(mode: str, request: _Request) -> Prompts:
    """Return the one prompt of a mode; of everything mode the first of many."""
    import torch

    from sambench.adapters.base import Prompts

    if mode == "box":
        return Prompts(boxes=torch.tensor([request.box], dtype=torch.float32))
    return Prompts(
        points=torch.tensor([[request.point]], dtype=torch.float32), labels=torch.ones(1, 1).long()
    )


def _best(segmenter: Segmenter, embedding: Embedding, prompts: Prompts) -> tuple[np.ndarray, float, float]:
    """Return the mask (H, W) of the highest predicted IoU for one prompt, that IoU, and the seconds."""
    from sambench.suites.base import Stopwatch
    from sambench.suites.predict import predict
    from sambench.suites.protocol import Protocol

    watch = Stopwatch()
    (chosen,) = predict(segmenter, embedding, prompts, Protocol(select="pred_iou"), watch)
    return chosen.masks[0].cpu().numpy(), float(chosen.pred_iou[0]), sum(watch.seconds.values())


def _everything(segmenter: Segmenter, embedding: Embedding, request: _Request) -> Cell:
    from sambench.reports.pictures import Cell
    from sambench.suites.base import Stopwatch
    from sambench.suites.everything.generator import GeneratorSettings, generate

    watch = Stopwatch()
    settings = GeneratorSettings(points_per_side=request.points_per_side)
    clicks = request.points_per_side**2
    if logs(console.err):
        console.note(f"{segmenter.name}: everything, {clicks:,} clicks")
    with bar(f"{segmenter.name}: everything", "clicks") as advance:
        masks = generate(
            segmenter,
            request.pixels,
            settings,
            embedding=embedding,
            watch=watch,
            on_points=lambda done, _: advance(done, clicks),
        )
    title = f"everything: {len(masks):,} mask{'s' * (len(masks) != 1)}, {sum(watch.seconds.values()):.1f} s"
    return Cell(title, [one.mask() for one in masks])
