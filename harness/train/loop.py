"""The steps: load, learn, log, save, score; and how they are taken up again."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sambench.evsam.errors import SambenchError
from sambench.evsam.train.average import Average
from sambench.evsam.train.optimiser import clip, make_optimiser, share_of_lr, train_mode
from sambench.harness.train.checkpoint import Checkpoints, load_optimiser, refuse_other, whole
from sambench.harness.train.config import Training
from sambench.harness.train.loader import Item, Positions, Skipped, load
from sambench.harness.train.log import Log
from sambench.harness.train.order import Order, Share
from sambench.harness.train.phase import Phase
from sambench.harness.train.ranks import Ranks
from sambench.harness.train.sources.base import Source
from sambench.harness.train.wrap import wrapped

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Watcher:
    """Who is told how it goes; does nothing by itself."""

    def started(self, done: int, steps: int, batch: int) -> None:
        """So many of the steps are done already."""

    def stepped(self, line: Mapping[str, Any]) -> None:
        """A step was done; its line of the log."""

    def noted(self, text: str) -> None:
        """Something is to be known."""


Score = Callable[[Mapping[str, Tensor], int], dict[str, float]]
"""Scores weights after so many steps: metrics by name, of which the first decides which step is the best."""
Draw = Callable[[nn.Module, int], None]
"""Draws a picture of a model's predictions after so many steps."""


@dataclass
class Totals:
    """What has happened so far, which a checkpoint keeps."""

    step: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Images by kind."""
    best: dict[str, Any] | None = None
    """Step, metric and value of the best validation."""


class Trainer:
    """One training in one process.

    Args:
        config: what is asked for.
        decides: what a checkpoint must agree with to be gone on from.
        phase: the model and what it learns.
        source: the data.
        ranks: this process among all.
        steps: how many there are.
    """

    def __init__(
        self,
        config: Training,
        decides: Mapping[str, Any],
        phase: Phase,
        source: Source,
        ranks: Ranks,
        steps: int,
    ) -> None:
        self.config, self.decides, self.phase, self.ranks, self.steps = config, decides, phase, ranks, steps
        self.share = Share(config.batch, config.device_batch, ranks.rank, ranks.ranks)
        self.dataset = Positions(source, Order(len(source), config.seed), phase.make())
        self.checkpoints = Checkpoints(config.out / "checkpoints")
        self.totals = Totals()
        self.stopping = False
        state = self._found()
        if state is not None:
            phase.model.load_state_dict(state["model"])
        phase.step_module.to(ranks.device)
        self.average = Average(phase.model, config.optimiser.average) if config.optimiser.average else None
        self.module = wrapped(phase.step_module, config, ranks)
        self.optimiser = make_optimiser(phase.model, config.optimiser, ranks=ranks.ranks)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=config.precision == "fp16")
        if state is not None:
            self._take_up(state)

    def _found(self) -> dict[str, Any] | None:
        """The last checkpoint, where there is one of this very training."""
        steps = self.checkpoints.steps()
        if not steps:
            return None
        state = self.checkpoints.load(steps[-1])
        refuse_other(self.decides, state["decides"], self.checkpoints.path(steps[-1]))
        return state

    def _take_up(self, state: Mapping[str, Any]) -> None:
        load_optimiser(self.optimiser, state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
        self.totals = Totals(**state["totals"])

    @property
    def learnt(self) -> nn.Module:
        """The model that is scored and kept: the average, where there is one."""
        return self.average.model if self.average is not None else self.phase.model

    def run(self, watcher: Watcher, score: Score | None = None, draw: Draw | None = None) -> bool:
        """Take all steps that are left; return whether all are done, or the process was told to stop.

        Raises:
            SambenchError: too many steps in a row had no finite loss, or nothing can be written.
        """
        log = Log(self.config.out / "metrics.jsonl", self.totals.step) if self.ranks.first else None
        watcher.started(self.totals.step, self.steps, self.config.batch)
        passes = load(self.dataset, self.share, range(self.totals.step, self.steps), self.config.workers)
        bad = 0
        with self._told_to_stop():
            while self.totals.step < self.steps:
                line = self._step(passes, watcher)
                self.totals.step += 1
                bad = bad + 1 if line["bad"] else 0
                scores = self._score(score, watcher)
                if log is not None:
                    log.write(line)
                    if scores:
                        log.write({"step": self.totals.step, "validation": scores})
                watcher.stepped(line)
                if draw is not None and self._due(self.config.picture_every) and self.ranks.first:
                    draw(self.learnt, self.totals.step)
                stop = self.ranks.any(self.stopping)
                if stop or bad == 0 and self._due(self.config.save_every):
                    self.save()
                if bad >= self.config.bad_steps:
                    raise SambenchError(
                        f"{bad} steps in a row had no finite loss; the log and the notes name their images. "
                        f"Lower optimiser.lr, or train in fp32. Nothing was saved after step "
                        f"{self.checkpoints.steps()[-1] if self.checkpoints.steps() else 0}."
                    )
                if stop:
                    return self.totals.step == self.steps
        return True

    def _due(self, every: int) -> bool:
        return self.totals.step == self.steps or (every > 0 and self.totals.step % every == 0)

    def _score(self, score: Score | None, watcher: Watcher) -> dict[str, float]:
        """Score where it is time to, and remember the best."""
        validation = self.config.validation
        if validation is None or not self._due(validation.every):
            return {}
        state = whole(self.learnt.state_dict())
        if score is None:
            return {}
        scores = score(state, self.totals.step)
        metric, value = next(iter(scores.items()))
        lower = metric == "embedding"
        best = self.totals.best
        if best is None or (value < best["value"] if lower else value > best["value"]):
            self.totals.best = {"step": self.totals.step, "metric": metric, "value": value}
        words = ", ".join(f"{name} {one:.4g}" for name, one in scores.items())
        watcher.noted(f"step {self.totals.step}: {words}")
        return scores

    def _step(self, passes: Iterator[list[Item | Skipped]], watcher: Watcher) -> dict[str, Any]:
        """Learn from one step's images; return the line of the log."""
        began, waited, step = time.perf_counter(), 0.0, self.totals.step
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        train_mode(self.phase.step_module, self.config.optimiser)
        rise = share_of_lr(step, self.steps, self.config.optimiser.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = group.setdefault("full_lr", group["lr"]) * rise
        sums: dict[str, torch.Tensor] = {}
        bad: list[str] = []
        skipped = 0
        for part in range(self.share.parts):
            before = time.perf_counter()
            found = next(passes)
            waited += time.perf_counter() - before
            items = [one for one in found if isinstance(one, Item)]
            for one in found:
                if isinstance(one, Skipped):
                    skipped += 1
                    self.totals.skipped[one.kind] = self.totals.skipped.get(one.kind, 0) + 1
                    watcher.noted(f"skipped: {one.reason}")
            parts, unfit = self._forward(items, step, last=part == self.share.parts - 1)
            bad += unfit
            for name, value in parts.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value / self.share.parts
        norm = self._move(step)
        seconds = time.perf_counter() - began
        if bad:
            watcher.noted(f"step {step}: no finite loss, not learnt from: {', '.join(bad)}")
        return {
            "step": step + 1,
            "epoch": round((step + 1) * self.config.batch / len(self.dataset.source), 4),
            **{name: float(value) for name, value in sums.items()},
            "lr": self.optimiser.param_groups[0]["lr"],
            "grad_norm": norm,
            "images_per_s": self.config.batch / seconds,
            "wait_share": waited / seconds,
            "skipped": skipped,
            "bad": bool(bad) or not torch.isfinite(torch.tensor(norm)).item(),
        }

    def _forward(
        self, items: Sequence[Item], step: int, *, last: bool
    ) -> tuple[dict[str, torch.Tensor], list[str]]:
        """Add some images' gradients; return their losses, and the names of those without a finite one."""
        here = self.ranks.device.type
        syncing = contextlib.nullcontext() if last else _without_sync(self.module)
        with syncing:
            with torch.autocast(here, DTYPES[self.config.precision], enabled=self.config.precision != "fp32"):
                given = items or [self.phase.blank()]
                cost = self.phase.cost(self.module, given, self.config.seed, step)
            loss = cost.images.sum() * bool(items) / (self.share.device_batch * self.share.parts)
            self.scaler.scale(loss).backward()
        finite = torch.isfinite(cost.images.detach()).tolist()
        bad = [item.name for item, fine in zip(given, finite, strict=True) if not fine]
        return {"loss": cost.images.detach().mean(), **cost.parts}, bad

    def _move(self, step: int) -> float:
        """Clip, and move the weights where all gradients are finite; return the gradients' norm."""
        self.scaler.unscale_(self.optimiser)
        norm = clip(self.phase.model.parameters(), self.config.optimiser)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        if torch.isfinite(norm) or self.scaler.is_enabled():
            self.scaler.step(self.optimiser)  # in fp16 the scaler looks for itself
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(self.phase.model, step)
        return float(norm)

    def save(self) -> None:
        """Write a checkpoint; all processes must call it."""
        state = {
            "decides": dict(self.decides),
            "totals": vars(self.totals),
            "model": whole(self.phase.model.state_dict()),
            "optimiser": whole(self.optimiser.state_dict()),
            "scaler": self.scaler.state_dict(),
            "average": whole(self.average.model.state_dict()) if self.average is not None else None,
        }
        if self.ranks.first:
            best = self.totals.best["step"] if self.totals.best else None
            self.checkpoints.save(self.totals.step, state, best)
        self.ranks.wait()

    @contextlib.contextmanager
    def _told_to_stop(self) -> Iterator[None]:
        """Take SIGTERM as the wish to save after this step, and end."""

        def stop(*_: Any) -> None:
            self.stopping = True

        before = signal.signal(signal.SIGTERM, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)


def _without_sync(module: nn.Module) -> contextlib.AbstractContextManager[Any]:
    """Add up gradients without exchanging them, where the module exchanges any."""
    return module.no_sync() if hasattr(module, "no_sync") else contextlib.nullcontext()
