"""One step in all processes: gradients of its parts, one decision whether they are fine, the move."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from sambench.evsam.train.average import Average
from sambench.evsam.train.optimiser import clip, share_of_lr, train_mode
from sambench.harness.train.config import Training
from sambench.harness.train.loader import Item, Skipped
from sambench.harness.train.order import Share
from sambench.harness.train.phase import Cost, Phase
from sambench.harness.train.ranks import Ranks
from sambench.harness.train.wrap import forget_unused

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Seen:
    """What the images of a step came to, in one process or in all."""

    names: list[str] = field(default_factory=list)
    """Of the images that were learnt from."""
    unfit: list[str] = field(default_factory=list)
    """Of those without a finite loss."""
    sums: dict[str, float] = field(default_factory=dict)
    """Losses and their parts by name, times the number of images."""
    skipped: Counter[str] = field(default_factory=Counter)
    """How many by kind nothing could be learnt from."""
    damaged: list[str] = field(default_factory=list)
    """Why, of those that are damaged."""

    @property
    def means(self) -> dict[str, float]:
        """Losses and their parts by name; none without an image."""
        return {name: value / len(self.names) for name, value in self.sums.items()} if self.names else {}

    def add(self, name: str, value: float) -> None:
        """Add to a sum."""
        self.sums[name] = self.sums.get(name, 0.0) + value

    def joined(self, ranks: Ranks) -> Seen:
        """Return what all processes have seen, the same in each."""
        found = Seen()
        for one in ranks.gather(self):
            found.names += one.names
            found.unfit += one.unfit
            found.damaged += one.damaged
            found.skipped.update(one.skipped)
            for name, value in one.sums.items():
                found.add(name, value)
        return found


@dataclass(frozen=True)
class Taken:
    """A step that was taken, as all processes saw it."""

    seen: Seen
    moved: bool
    """Whether the weights have changed."""
    bad: bool
    """Whether they should have, and a loss or a gradient was not finite."""
    norm: float
    """Of the gradients, before they were clipped."""
    lr: float
    scale: float
    """Of the loss, in fp16; else 1."""
    seconds: float
    waited: float
    """Seconds of these that went by until this process had its images."""


class Stepper:
    """Takes the steps of one training in one process.

    Args:
        config: what is asked for.
        phase: the model and what it learns.
        module: the phase's, as it is wrapped.
        optimiser: of the model's parameters.
        average: of the model, if any.
        ranks: this process among all.
        steps: how many there are.
    """

    def __init__(
        self,
        config: Training,
        phase: Phase,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        average: Average | None,
        ranks: Ranks,
        steps: int,
    ) -> None:
        self.config, self.phase, self.module, self.optimiser = config, phase, module, optimiser
        self.average, self.ranks, self.steps = average, ranks, steps
        self.share = Share(config.batch, config.device_batch, ranks.rank, ranks.ranks)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=config.precision == "fp16")
        for group in optimiser.param_groups:
            group["full_lr"] = group["lr"]

    def take(self, step: int, passes: Iterator[list[Item | Skipped]]) -> Taken:
        """Learn from one step's images, or leave everything as it was where a loss is not finite.

        Args:
            step: from 0.
            passes: the images of each forward pass of this process.
        """
        began, waited = time.perf_counter(), 0.0
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        train_mode(self.phase.model, self.config.optimiser)
        rise = share_of_lr(step, self.steps, self.config.optimiser.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = group["full_lr"] * rise
        costs: list[tuple[list[Item], Cost]] = []
        seen = Seen()
        take_back = remember_statistics(self.phase.model)
        for part in range(self.share.parts):
            before = time.perf_counter()
            found = next(passes)
            waited += time.perf_counter() - before
            items = [one for one in found if isinstance(one, Item)]
            _note_skipped(found, seen)
            cost = self._learn(items, step, last=part == self.share.parts - 1)
            if cost is not None:
                costs.append((items, cost))
        for items, cost in costs:  # not earlier: to look at a number waits for the device
            _note_costs(items, cost, seen)
        seen = seen.joined(self.ranks)
        scale = self.scaler.get_scale()
        norm, moved = self._move(seen, step)
        if not moved:
            take_back()
        # in fp16 gradients overflow now and then, which lowers the loss's scale until they do not
        bad = bool(seen.unfit) or (not math.isfinite(norm) and scale <= 1)
        lr = self.optimiser.param_groups[0]["lr"]
        return Taken(seen, moved, bad, norm, lr, scale, time.perf_counter() - began, waited)

    def _learn(self, items: Sequence[Item], step: int, *, last: bool) -> Cost | None:
        """Add some images' gradients; without any, pass through the model alone if others wait for it."""
        if items:
            return self._pass(items, step, 1.0, last=last)
        if self.ranks.several:
            take_back = remember_statistics(self.phase.model)
            self._pass([self.phase.blank()], step, 0.0, last=last)
            take_back()
        return None

    def _pass(self, items: Sequence[Item], step: int, weight: float, *, last: bool) -> Cost:
        """Go through the model and back."""
        device, dtype = self.ranks.device.type, DTYPES[self.config.precision]
        with contextlib.nullcontext() if last else _without_sync(self.module):
            with torch.autocast(device, dtype, enabled=dtype != torch.float32):
                cost = self.phase.cost(self.module, items, self.config.seed, step)
            loss = cost.images.sum() * weight / (self.share.device_batch * self.share.parts)
            self.scaler.scale(loss).backward()
        detached = {name: value.detach() for name, value in cost.parts.items()}
        return Cost(cost.images.detach(), detached)

    def _move(self, seen: Seen, step: int) -> tuple[float, bool]:
        """Clip, and move where all is finite; return the gradients' norm, and whether the weights moved."""
        norm, moved = 0.0, False
        if seen.names:
            if self.config.shard:
                forget_unused(self.phase.step_module)
            self.scaler.unscale_(self.optimiser)
            total = clip(self.phase.model.parameters(), self.config.optimiser)
            norm = float(total.full_tensor() if hasattr(total, "full_tensor") else total)
            moved = not seen.unfit and math.isfinite(norm)
            if moved:
                self.scaler.step(self.optimiser)
                self.scaler.update()
            elif self.scaler.is_enabled():
                # said, for the scaler of a process whose share of the gradients is finite would not know
                self.scaler.update(self.scaler.get_scale() * self.scaler.get_backoff_factor())
        self.optimiser.zero_grad(set_to_none=True)
        if moved and self.average is not None:
            self.average.update(self.phase.model, step)
        return norm, moved


def _note_skipped(found: Sequence[Item | Skipped], seen: Seen) -> None:
    for one in found:
        if isinstance(one, Skipped):
            seen.skipped[one.kind] += 1
            if one.kind != "empty":  # of these a data set may have thousands, and nothing is wrong with them
                seen.damaged.append(one.reason)


def _note_costs(items: Sequence[Item], cost: Cost, seen: Seen) -> None:
    losses = cost.images.tolist()
    finite = torch.isfinite(cost.images).tolist()
    seen.names += [item.name for item in items]
    seen.unfit += [item.name for item, fine in zip(items, finite, strict=True) if not fine]
    seen.add("loss", sum(losses))
    for name, value in cost.parts.items():
        seen.add(name, float(value) * len(items))


def remember_statistics(model: nn.Module) -> Callable[[], None]:
    """Remember the running statistics of batch norms that are in training; return what puts them back.

    Without it one image that is not finite would stay in them for ever, though no weight has moved.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.training]
    buffers = [buffer for norm in norms for buffer in norm.buffers()]
    before = [buffer.clone() for buffer in buffers]

    def take_back() -> None:
        for buffer, old in zip(buffers, before, strict=True):
            buffer.copy_(old)

    return take_back


def _without_sync(module: nn.Module) -> contextlib.AbstractContextManager[object]:
    """Add up gradients without exchanging them, where the module has copies; FSDP2 exchanges them always."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else contextlib.nullcontext()
