"""``sambench train``: the paper's two phases, and fine-tuning on one's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sambench.harness.cli import console, options
from sambench.harness.cli.ending import interruptible

train = typer.Typer(
    help="Train a model of our own code: distill an encoder, finetune end to end (docs/training.md).",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

File = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Its keys: docs/training.md.")]
Out = Annotated[Path | None, typer.Option(help="Folder for checkpoints, metrics.jsonl and the weights.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps of the optimiser, in place of the file's.")]
Weights = Annotated[str | None, typer.Option(metavar="PATH|random", help="What the model begins with.")]


@train.command()
def finetune(
    config: File,
    out: Out = None,
    steps: Steps = None,
    weights: Weights = None,
    device: options.Device = None,
    seed: Annotated[int | None, typer.Option(help="Of the order and of all that is drawn.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that read images.")] = None,
    device_batch: Annotated[int | None, typer.Option(help="Images a forward pass.")] = None,
) -> None:
    """Train all parts of a model by boxes and points (phase 2), or go on with an official checkpoint.

    Stop it anywhere and run the same command again: it goes on where it was. With several cards:
    torchrun --nproc-per-node 8 -m sambench.harness train finetune CONFIG.yaml

    **Example**: sambench train finetune configs/train/nano.yaml --out runs/nano
    """
    from sambench.harness.train.config import Finetuning, read_training
    from sambench.harness.train.finetune import finetune as run

    flags = {"out": out, "steps": steps, "weights": weights, "device": device, "seed": seed}
    flags |= {"workers": workers, "device_batch": device_batch}
    _run(run, read_training(Finetuning, config, flags))


def _run(run: Any, config: Any) -> None:
    """Train in this process, or in its part of those that torchrun started."""
    from sambench.evsam.memory import keep_freed_memory
    from sambench.harness.cli.train_progress import TrainProgress
    from sambench.harness.train.ranks import joined

    keep_freed_memory()
    with joined(config.device) as ranks, interruptible(), TrainProgress(console.err, ranks.first) as progress:
        found = run(config, ranks, progress)
    if not ranks.first:
        return
    if found is None:
        console.err.print("Stopped and saved; run the same command again to go on.")
        return
    console.out.print(f"weights  {found}", soft_wrap=True)
    console.out.print(f"metrics  {config.out / 'metrics.jsonl'}", soft_wrap=True)
