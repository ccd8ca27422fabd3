"""``sambench train``: the paper's two phases, and fine-tuning on one's own data."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from sambench.harness.cli import console, options
from sambench.harness.cli.commands import App
from sambench.harness.cli.ending import interruptible

train = App(
    help="Train a model of our own code: distill an encoder, finetune end to end (docs/training.md).",
)

File = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Its keys: docs/training.md.")]
Out = Annotated[Path | None, typer.Option(help="Folder for checkpoints, metrics.jsonl and the weights.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps of the optimiser, in place of the file's.")]
Weights = Annotated[str | None, typer.Option(metavar="PATH|random", help="What the model begins with.")]
Seed = Annotated[int | None, typer.Option(help="Of the order and of all that is drawn.")]
Workers = Annotated[int | None, typer.Option(help="Processes that read images.")]
DeviceBatch = Annotated[int | None, typer.Option(help="Images a forward pass.")]


@train.command()
def finetune(
    context: typer.Context,
    config: File,
    out: Out = None,
    steps: Steps = None,
    weights: Weights = None,
    device: options.Device = None,
    seed: Seed = None,
    workers: Workers = None,
    device_batch: DeviceBatch = None,
    track: options.Track = None,
) -> None:
    """Train all parts of a model by boxes and points (phase 2), or go on with an official checkpoint.

    Stop it anywhere and run the same command again: it goes on where it was. With several cards:
    torchrun --nproc-per-node 8 -m sambench.harness train finetune CONFIG.yaml

    **Example**: sambench train finetune configs/train/nano.yaml --out runs/nano
    """
    from sambench.harness.train.config import Finetuning, read_training
    from sambench.harness.train.finetune import finetune as run

    _run(run, read_training(Finetuning, config, _flags(context)))


@train.command()
def distill(
    context: typer.Context,
    config: File,
    out: Out = None,
    steps: Steps = None,
    weights: Weights = None,
    device: options.Device = None,
    seed: Seed = None,
    workers: Workers = None,
    device_batch: DeviceBatch = None,
    track: options.Track = None,
) -> None:
    """Train a model's image encoder to repeat the image embeddings of a larger one (phase 1).

    Stop it anywhere and run the same command again: it goes on where it was. With several cards:
    torchrun --nproc-per-node 8 -m sambench.harness train distill CONFIG.yaml

    **Example**: sambench train distill configs/train/distill.yaml --out runs/l0-distilled
    """
    from sambench.harness.train.config import Distilling, read_training
    from sambench.harness.train.distill import distill as run

    _run(run, read_training(Distilling, config, _flags(context)))


@train.command()
def embed(
    config: File,
    out: Annotated[Path | None, typer.Option(help="Folder, in place of the file's embeddings.")] = None,
    device: options.Device = None,
    workers: Workers = None,
    device_batch: DeviceBatch = None,
) -> None:
    """Compute the teacher's embeddings of a distillation's images once, to disk.

    Stop it anywhere and run the same command again: it computes what is missing. With 'embeddings' in
    its configuration, 'sambench train distill' then learns from them and needs no teacher.

    **Example**: sambench train embed configs/train/distill.yaml --out embeddings
    """
    from sambench.harness.cli.progress import RunProgress
    from sambench.harness.events import Listener
    from sambench.harness.train.config import Distilling, read_training
    from sambench.harness.train.embed import embed as run
    from sambench.harness.train.ranks import joined

    flags = {"embeddings": out, "device": device, "workers": workers, "device_batch": device_batch}
    found = read_training(Distilling, config, flags)
    with joined(found.device) as ranks, interruptible():
        console.warn_untried(found.device)
        shown = RunProgress(console.err) if ranks.first else contextlib.nullcontext(Listener())
        with shown as progress:
            folders = run(found, ranks, progress, console.warn)
        if ranks.first:
            for folder in folders:
                console.out.print(f"embeddings  {folder}", soft_wrap=True)


def _flags(context: typer.Context) -> dict[str, Any]:
    """Return what the command line says: its options are keys of the file."""
    return {key: value for key, value in context.params.items() if key != "config"}


def _run(run: Any, config: Any) -> None:
    """Train in this process, or in its part of those that torchrun started."""
    from sambench.adapters.files import locked
    from sambench.evsam.memory import keep_freed_memory
    from sambench.harness.cli.train_progress import TrainProgress
    from sambench.harness.config.keys import split
    from sambench.harness.provenance import command_line
    from sambench.harness.tracking.live import tracked
    from sambench.harness.tracking.trackers import check_trackers
    from sambench.harness.train.loop import Watcher, Watchers
    from sambench.harness.train.ranks import joined

    trackers = split(config.track or "")
    check_trackers(trackers, "track")
    keep_freed_memory()
    with joined(config.device) as ranks, interruptible(), contextlib.ExitStack() as stack:
        progress = TrainProgress(console.err, ranks.first)
        watchers: list[Watcher] = [progress]
        if ranks.first:
            stack.enter_context(locked(config.out))
            sending = tracked(trackers, config.out, command_line(), console.warn, console.note)
            watchers.append(stack.enter_context(sending))
            console.warn_untried(config.device)
        stack.enter_context(progress)
        found = run(config, ranks, Watchers(watchers))
    if not ranks.first:
        return
    if found is None:
        console.err.print("Stopped and saved; run the same command again to go on.")
        return
    console.out.print(f"weights  {found}", soft_wrap=True)
    console.out.print(f"metrics  {config.out / 'metrics.jsonl'}", soft_wrap=True)
