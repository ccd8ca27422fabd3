"""The steps in a row: what a training takes up, logs, scores, saves, and when it stops."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from sambench.adapters.children import deaf_children
from sambench.evsam.errors import SambenchError
from sambench.evsam.train.average import Average
from sambench.evsam.train.optimiser import make_optimiser
from sambench.harness.train.checkpoint import Checkpoints, load_optimiser, refuse_other, whole
from sambench.harness.train.config import Training
from sambench.harness.train.loader import Item, Positions, Skipped, load
from sambench.harness.train.log import Log
from sambench.harness.train.order import Order, Share
from sambench.harness.train.phase import Phase
from sambench.harness.train.ranks import Ranks
from sambench.harness.train.signals import told_to_stop
from sambench.harness.train.sources.base import Source
from sambench.harness.train.step import Stepper, Taken
from sambench.harness.train.wrap import wrapped


class Watcher:
    """Who is told how it goes; does nothing by itself."""

    def started(self, done: int, steps: int, batch: int) -> None:
        """So many of the steps are done already."""

    def stepped(self, line: Mapping[str, Any]) -> None:
        """A step was done; its line of the log."""

    def noted(self, text: str) -> None:
        """Something is to be known; told to the first process alone, for all."""


class Watchers(Watcher):
    """Tells several."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self.watchers = watchers

    def started(self, done: int, steps: int, batch: int) -> None:
        for watcher in self.watchers:
            watcher.started(done, steps, batch)

    def stepped(self, line: Mapping[str, Any]) -> None:
        for watcher in self.watchers:
            watcher.stepped(line)

    def noted(self, text: str) -> None:
        for watcher in self.watchers:
            watcher.noted(text)


Score = Callable[[Mapping[str, Tensor], int], dict[str, float]]
"""Scores weights after so many steps: metrics by name, of which the first decides which step is the best."""
Draw = Callable[[Mapping[str, Tensor], int], None]
"""Draws pictures of what weights predict after so many steps."""


@dataclass
class Totals:
    """What has happened so far, which a checkpoint keeps."""

    step: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Images by kind."""
    best: dict[str, Any] | None = None
    """Step, metric and value of the best validation."""
    bad: int = 0
    """Steps in a row without a finite loss, and ..."""
    empty: int = 0
    """... without an image to learn from."""
    unscored: bool = False
    """Whether the validation after this step is still to come, for the training was told to stop."""


class Trainer:
    """One training in one process.

    Args:
        config: what is asked for.
        decides: what a checkpoint must agree with to be gone on from.
        phase: the model and what it learns.
        source: the data.
        ranks: this process among all.
        steps: how many there are.

    Raises:
        SambenchError: the last checkpoint is damaged or of another training, or what is asked for does not go
            with the processes there are.
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
        self.config, self.phase, self.ranks, self.steps = config, phase, ranks, steps
        self.decides = json.loads(json.dumps(decides))  # as a checkpoint gives it back
        self.share = Share(config.batch, config.device_batch, ranks.rank, ranks.ranks)
        self.dataset = Positions(source, Order(len(source), config.seed), phase.make())
        self.checkpoints = Checkpoints(config.out / "checkpoints")
        self.totals = Totals()
        self.log: Log | None = None
        state = self._found()
        if state is not None:  # before parameters are cut over the processes
            phase.model.load_state_dict(state["model"])
        phase.step_module.to(ranks.device)
        self.average = Average(phase.model, config.optimiser.average) if config.optimiser.average else None
        self.module = wrapped(phase.step_module, config, ranks)
        self.optimiser = make_optimiser(phase.model, config.optimiser, ranks=ranks.ranks)
        self.stepper = Stepper(config, phase, self.module, self.optimiser, self.average, ranks, steps)
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
        self.stepper.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
        self.totals = Totals(**state["totals"])

    @property
    def learnt(self) -> nn.Module:
        """The model that is scored and kept: the average, where there is one."""
        return self.average.model if self.average is not None else self.phase.model

    def run(self, watcher: Watcher, score: Score | None = None, draw: Draw | None = None) -> bool:
        """Take all steps that are left; return whether all are done, or the process was told to stop.

        Args:
            watcher: who is told; in the first process.
            score: what validates, in the first process.
            draw: what draws pictures, in the first process.

        Raises:
            SambenchError: too many steps in a row had no finite loss or no image, or nothing can be written.
        """
        self.log = Log(self.config.out / "metrics.jsonl", self.totals.step) if self.ranks.first else None
        watcher.started(self.totals.step, self.steps, self.config.batch)
        with told_to_stop(first=self.ranks.first, alone=not self.ranks.several) as told:
            if self.totals.unscored:
                self._score(score, watcher)
                self.save()
            passes = self._passes()
            while self.totals.step < self.steps:
                taken = self.stepper.take(self.totals.step, passes)
                self._note(taken, watcher)
                saved = self.checkpoints.steps()[-1:]
                refuse_standstill(self.totals, self.config, len(self.dataset.source), *saved)
                stop = self.ranks.any(told.stop)
                scored = self._due_for_score()
                self.totals.unscored = scored and stop
                if scored and not stop:
                    self._score(score, watcher)
                if self._due(self.config.picture_every):
                    self._draw(draw)
                last = self.totals.step == self.steps
                if stop or scored or last or self._due(self.config.save_every):
                    self.save()
                if stop:
                    return last and not self.totals.unscored
        return True

    def _passes(self) -> Iterator[list[Item | Skipped]]:
        """The images of the steps that are left."""
        left = range(self.totals.step, self.steps)
        if not left:
            return iter(())
        with deaf_children():
            return load(self.dataset, self.share, left, self.config.workers)

    def _due(self, every: int) -> bool:
        return every > 0 and self.totals.step % every == 0

    def _due_for_score(self) -> bool:
        validation = self.config.validation
        return validation is not None and (self.totals.step == self.steps or self._due(validation.every))

    def _note(self, taken: Taken, watcher: Watcher) -> None:
        """Count a step, write its line, and say what is to be known of it."""
        self.totals.step += 1
        self.totals.bad = self.totals.bad + 1 if taken.bad else 0
        self.totals.empty = 0 if taken.seen.names else self.totals.empty + 1
        step, seen = self.totals.step, taken.seen
        for kind, count in seen.skipped.items():
            self.totals.skipped[kind] = self.totals.skipped.get(kind, 0) + count
        if self.log is None:
            return
        line = {
            "step": step,
            "epoch": round(step * self.config.batch / len(self.dataset.source), 4),
            **({"loss": math.nan} | seen.means),
            "lr": taken.lr,
            "grad_norm": taken.norm,
            **({"scale": taken.scale} if self.config.precision == "fp16" else {}),
            "images_per_s": self.config.batch / taken.seconds,
            "wait_share": taken.waited / taken.seconds,
            "skipped": sum(seen.skipped.values()),
            "bad": taken.bad,
            "time": round(time.time(), 3),
        }
        self.log.write(line)
        for reason in seen.damaged:
            watcher.noted(f"skipped: {reason}")
        if taken.bad:
            what = "loss" if seen.unfit else "gradient"
            watcher.noted(
                f"step {step}: no finite {what}, not learnt from: {', '.join(seen.unfit or seen.names)}"
            )
        watcher.stepped(line)

    def _score(self, score: Score | None, watcher: Watcher) -> None:
        """Score the weights, write it down, and remember the best."""
        self.totals.unscored = False
        state = whole(self.learnt.state_dict(), self.ranks.first)
        if score is None:
            return
        scores = score(state, self.totals.step)
        metric, value = next(iter(scores.items()))
        lower = metric == "embedding"
        best = self.totals.best
        if best is None or (value < best["value"] if lower else value > best["value"]):
            self.totals.best = {"step": self.totals.step, "metric": metric, "value": value}
        if self.log is not None:
            now = round(time.time(), 3)
            self.log.write({"step": self.totals.step, "validation": scores, "time": now})
        words = ", ".join(f"{name} {one:.4g}" for name, one in scores.items())
        watcher.noted(f"step {self.totals.step}: {words}")

    def _draw(self, draw: Draw | None) -> None:
        state = whole(self.learnt.state_dict(), self.ranks.first)
        if draw is not None:
            draw(state, self.totals.step)

    def save(self) -> None:
        """Write a checkpoint; all processes must call it."""
        first = self.ranks.first
        state = {
            "decides": self.decides,
            "totals": vars(self.totals),
            "model": whole(self.phase.model.state_dict(), first),
            "optimiser": whole(self.optimiser.state_dict(), first),
            "scaler": self.stepper.scaler.state_dict(),
            "average": whole(self.average.model.state_dict(), first) if self.average is not None else None,
        }
        if first:
            best = self.totals.best["step"] if self.totals.best else None
            self.checkpoints.save(self.totals.step, state, best)
        self.ranks.wait()


def refuse_standstill(totals: Totals, config: Training, images: int, saved: int = 0) -> None:
    """See that a training still learns.

    Args:
        totals: with the steps in a row that were bad, or had no image.
        config: says how many may be bad.
        images: how many there are: once through all of them without a single one is enough.
        saved: the step that the same command would go on after.

    Raises:
        SambenchError: it does not.
    """
    if totals.bad >= config.bad_steps:
        raise SambenchError(
            f"{totals.bad} steps in a row had no finite loss; the notes above name their images. Lower "
            "optimiser.lr or train in fp32, with another --out; or mend the images and run the same command "
            f"again, which goes on after step {saved}."
        )
    if totals.empty * config.batch >= images:
        raise SambenchError(
            f"data: {totals.empty} steps in a row had no image to learn from, and there are {images} images. "
            "See that annotations and images belong together."
        )
