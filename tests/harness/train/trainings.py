"""Trainings small enough for tests: the nano model, 16 drawn images, three masks each, a few steps."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sambench.adapters.registry import create_module
from sambench.evsam.train.finetune import FinetuneStep
from sambench.evsam.train.optimiser import freeze
from sambench.evsam.train.recipe import Finetune, Optimiser
from sambench.evsam.train.start import tie_attention
from sambench.harness.train import step as step_module
from sambench.harness.train.checkpoint import whole
from sambench.harness.train.config import Data, Finetuning
from sambench.harness.train.finetune import plain
from sambench.harness.train.loop import Trainer, Watcher
from sambench.harness.train.phase import FinetunePhase
from sambench.harness.train.ranks import Ranks
from sambench.harness.train.sources import open_source
from sambench.harness.train.sources.base import Source

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
MODEL, IMAGES, SEED = "efficientvit_sam_nano", 16, 555
RECIPE: dict[str, Any] = {"masks_per_image": 3, "mask_loss": "bce", "mask_weight": 2.0, "iou_weight": 1.0}
OPTIMISER: dict[str, Any] = {"lr": 1e-3, "clip": "norm", "clip_at": 1.0}
TIMES = ("images_per_s", "wait_share")
"""What differs from run to run in a line of the log."""


def training(
    out: Path, *, recipe: Mapping[str, Any] = {}, optimiser: Mapping[str, Any] = {}, **changes: Any
) -> Finetuning:
    """Settings of a tiny training, with changes."""
    settings: dict[str, Any] = {
        "model": MODEL,
        "weights": "random",
        "data": Data(format="shapes", seed=SEED, images_drawn=IMAGES),
        "recipe": Finetune(**{**RECIPE, **recipe}),
        "optimiser": Optimiser(**{**OPTIMISER, **optimiser}),
        "steps": 4,
        "batch": 2,
        "device_batch": 1,
        "workers": 0,
        "save_every": 0,
    }
    return Finetuning(out=out, **{**settings, **changes})


def trainer(
    config: Finetuning, ranks: Ranks = Ranks(torch.device("cpu")), source: Source | None = None
) -> Trainer:
    """Set a training up as the command does, without its looking for weights."""
    torch.manual_seed(3)
    model = create_module(config.model)
    tie_attention(model)
    freeze(model, config.optimiser)
    source = source or open_source(config.data)
    assert config.steps is not None
    decides = {
        "model": config.model,
        "data": source.identity(),
        "recipe": plain(config.recipe),
        "optimiser": plain(config.optimiser),
        "steps": config.steps,
        "batch": config.batch,
        "seed": config.seed,
    }
    return Trainer(config, decides, FinetunePhase(FinetuneStep(model, config.recipe)), source, ranks, config.steps)


def gradients(trained: Trainer, step: int = 0) -> dict[str, Tensor]:
    """Take one step; return the gradients of which it is made, by parameter, and its loss."""
    found: dict[str, Tensor] = {}

    def look(*given: Any) -> Tensor:
        for name, parameter in trained.phase.model.named_parameters():
            if parameter.grad is not None:
                found[name] = whole(parameter.grad)
        return clip(*given)

    clip, step_module.clip = step_module.clip, look
    try:
        taken = trained.stepper.take(step, trained._passes())
    finally:
        step_module.clip = clip
    return found | {"loss": torch.tensor(taken.seen.means["loss"])}


def state(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's state."""
    return {name: value.clone() for name, value in whole(module.state_dict()).items()}


def assert_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    """All tensors are equal to the bit."""
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def assert_close(one: Mapping[str, Tensor], other: Mapping[str, Tensor], within: float) -> None:
    """No tensor differs by more than so much of its largest value, or of one where that is larger."""
    assert one.keys() == other.keys()
    worst = {n: float((one[n] - other[n]).abs().max() / one[n].abs().max().clamp(min=1)) for n in one}
    assert {name: value for name, value in worst.items() if not value <= within} == {}


class Heard(Watcher):
    """Remembers what it was told."""

    def __init__(self, when: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        self.done = -1
        self.notes: list[str] = []
        self.lines: list[dict[str, Any]] = []
        self.when = when

    def started(self, done: int, steps: int, batch: int) -> None:
        self.done = done

    def stepped(self, line: Mapping[str, Any]) -> None:
        self.lines.append(dict(line))
        if self.when is not None:
            self.when(line)

    def noted(self, text: str) -> None:
        self.notes.append(text)


def logged(out: Path) -> list[dict[str, Any]]:
    """The lines of a training's log, without times; each is strict JSON."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    lines = (out / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line, parse_constant=refuse) for line in lines]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in found]


def in_ranks(ranks: int, job: str, out: Path) -> None:
    """Run a job of ``rank_jobs.py`` in so many processes, joined as torchrun joins them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / "rank_jobs.py"), job, str(out)],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(ranks)
    ]
    try:
        said = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * ranks, "\n\n".join(said)
