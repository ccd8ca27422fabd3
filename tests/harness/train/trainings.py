"""Trainings small enough for tests: a tiny model, 16 drawn images, three masks each, a few steps."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from sambench.evsam import zoo
from sambench.evsam.backbone import Stage
from sambench.evsam.errors import SambenchError
from sambench.evsam.train.finetune import FinetuneStep
from sambench.evsam.train.optimiser import freeze
from sambench.evsam.train.recipe import Finetune, Optimiser
from sambench.evsam.train.start import tie_attention
from sambench.harness.train import step as step_module
from sambench.harness.train.checkpoint import whole
from sambench.harness.train.config import Data, Finetuning
from sambench.harness.train.finetune import plain
from sambench.harness.train.loader import Item
from sambench.harness.train.loop import Trainer, Watcher
from sambench.harness.train.order import Order
from sambench.harness.train.phase import Cost, FinetunePhase
from sambench.harness.train.ranks import Ranks
from sambench.harness.train.sources import open_source
from sambench.harness.train.sources.base import Annotated, Source

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
DRAWN, SEED = 18, 555
TINY = zoo.Variant(
    (Stage(8, 1, "res"), Stage(8, 1, "fmb"), Stage(16, 1, "fmb"), Stage(32, 1, "att", expand=2)),
    neck_depth=1,
    neck_expand=1,
    input_size=128,
    head=zoo.Head(dim=32, embed_size=16, frame=128, heads=4, cross_dim=16, mlp_dim=64),
)
RECIPE: dict[str, Any] = {"masks_per_image": 3, "mask_loss": "bce", "mask_weight": 2.0, "iou_weight": 1.0}
OPTIMISER: dict[str, Any] = {"lr": 1e-3, "clip": "norm", "clip_at": 1.0}
PATIENCE = 1200.0  # seconds for a job of several processes; alone on a machine it takes 20
TIMES = ("images_per_s", "wait_share", "time")
"""What differs from run to run in a line of the log."""


def training(
    out: Path, *, recipe: Mapping[str, Any] = {}, optimiser: Mapping[str, Any] = {}, **changes: Any
) -> Finetuning:
    """Settings of a tiny training, with changes."""
    settings: dict[str, Any] = {
        "model": "tiny",
        "weights": "random",
        "data": Data(format="shapes", seed=SEED, images_drawn=DRAWN),
        "recipe": Finetune(**{**RECIPE, **recipe}),
        "optimiser": Optimiser(**{**OPTIMISER, **optimiser}),
        "steps": 4,
        "batch": 2,
        "device_batch": 1,
        "workers": 0,
        "save_every": 0,
    }
    return Finetuning(out=out, **{**settings, **changes})


class Poisoned(FinetunePhase):
    """Images at some positions are no numbers."""

    def __init__(self, step: FinetuneStep, positions: Collection[int]) -> None:
        super().__init__(step)
        self.positions = positions

    def cost(self, module: nn.Module, items: Sequence[Item], seed: int, step: int) -> Cost:
        return super().cost(module, [self._poisoned(item) for item in items], seed, step)

    def _poisoned(self, item: Item) -> Item:
        if item.position not in self.positions:
            return item
        image = torch.full_like(item.sample.image, torch.nan)
        return replace(item, sample=replace(item.sample, image=image))


class Lacking(Source):
    """16 drawn images with objects, but for some that are damaged or empty.

    Args:
        config: of the training, whose order decides which images are at these positions.
        damaged: positions.
        empty: positions.
    """

    def __init__(
        self, config: Finetuning, damaged: Collection[int] = (), empty: Collection[int] = ()
    ) -> None:
        self.source = open_source(config.data)
        self.indices = [i for i in range(DRAWN) if i % 8 != 7]  # the drawings' every eighth has no object
        order = Order(len(self), config.seed)
        self.damaged = {order.at(position)[1] for position in damaged}
        self.empty = {order.at(position)[1] for position in empty}

    def __len__(self) -> int:
        return len(self.indices)

    def load(self, index: int) -> Annotated:
        if index in self.damaged:
            raise SambenchError(f"image {index}: torn")
        found = self.source.load(self.indices[index])
        return replace(found, annotations=[]) if index in self.empty else found

    def identity(self) -> dict[str, Any]:
        return self.source.identity()


def trainer(
    config: Finetuning,
    ranks: Ranks = Ranks(torch.device("cpu")),  # noqa: B008, for it is frozen
    source: Source | None = None,
    poisoned: Collection[int] = (),
) -> Trainer:
    """Set a training up as the command does, without its looking for weights."""
    torch.manual_seed(3)
    with mock.patch.dict(zoo.OURS, {"tiny": TINY}):
        model = zoo.create_model(config.model)
    tie_attention(model)
    freeze(model, config.optimiser)
    source = source or Lacking(config)
    assert config.steps is not None
    decides = {
        "model": config.model,
        "data": source.identity(),
        "recipe": plain(config.recipe),
        "optimiser": plain(config.optimiser),
        "steps": config.steps,
        "batch": config.batch,
        "seed": config.seed,
        "precision": config.precision,
    }
    phase = Poisoned(FinetuneStep(model, config.recipe), poisoned)
    return Trainer(config, decides, phase, source, ranks, config.steps)


def gradients(trained: Trainer, step: int = 0) -> dict[str, Tensor]:
    """Take one step, but for the last of it; return the gradients of which it is made, and its loss.

    Those that are zero are left out: with FSDP2 there is none in their place.
    """
    found: dict[str, Tensor] = {}

    def look(*given: Any) -> Tensor:
        for name, parameter in trained.phase.model.named_parameters():
            if parameter.grad is not None:
                found[name] = whole(parameter.grad)
        for name in [name for name, one in found.items() if not one.any()]:
            del found[name]
        return clip(*given)

    clip = step_module.clip
    scaler = trained.stepper.scaler
    with mock.patch.object(step_module, "clip", look), mock.patch.object(scaler, "step"):
        taken = trained.stepper.take(step, trained._passes())
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


def in_ranks(ranks: int, out: Path) -> str:
    """Run the jobs of ``rank_jobs.py`` in so many processes, joined as torchrun joins them.

    Returns:
        what they said; a job that ended well in all of them has left a file for each.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / "rank_jobs.py"), str(out)],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(ranks)
    ]
    try:
        said = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return "\n\n".join(said)
