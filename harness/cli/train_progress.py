"""Showing how far a training is: a bar with what the last steps cost, or plain lines in a log."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sambench.harness.terminal import LINE_EVERY, draws, logs, says
from sambench.harness.times import in_words
from sambench.harness.train.loop import Watcher

SMOOTH = 0.9  # of the numbers shown, a step; the log has them as they are


class TrainProgress(Watcher):
    """Progress of a training on standard error.

    Args:
        console: to show it on.
        shown: whether this process is the one that speaks.
    """

    def __init__(self, console: Console, shown: bool) -> None:
        self.console, self.shown = console, shown
        self._smooth: dict[str, float] = {}
        self._steps, self._seconds, self._began, self._said = 0, 0.0, time.monotonic(), 0.0
        columns = (TextColumn("train", style="bold"), BarColumn(bar_width=20), MofNCompleteColumn())
        self._bar = Progress(
            *columns,
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not (shown and draws(console)),
        )
        self._task = self._bar.add_task("")

    def __enter__(self) -> TrainProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def started(self, done: int, steps: int, batch: int) -> None:
        self._steps = steps
        self._bar.update(self._task, total=steps, completed=done)
        self._began = time.monotonic()
        if self.shown and done and says(logging.INFO):
            self.console.print(f"goes on after step {done} of {steps}", soft_wrap=True)

    def stepped(self, line: Mapping[str, Any]) -> None:
        now = time.monotonic()
        self._seconds = self._mixed("seconds", now - self._began)
        self._began = now
        numbers = {name: self._mixed(name, line[name]) for name in ("loss", "images_per_s", "wait_share")}
        left = in_words((self._steps - line["step"]) * self._seconds)
        text = (
            f"loss {numbers['loss']:.4g}  lr {line['lr']:.2e}  {numbers['images_per_s']:.1f} img/s  "
            f"waiting {numbers['wait_share']:.0%}  {left} left"
        )
        self._bar.update(self._task, completed=line["step"], description=text)
        if self.shown and logs(self.console) and now - self._said > LINE_EVERY:
            self.console.print(f"step {line['step']}/{self._steps}  {text}", soft_wrap=True)
            self._said = now

    def noted(self, text: str) -> None:
        if self.shown or text.startswith("step"):
            self.console.print(text, soft_wrap=True)

    def _mixed(self, name: str, value: float) -> float:
        before = self._smooth.get(name, value)
        stays = math.isfinite(before)  # a NaN must not
        self._smooth[name] = SMOOTH * before + (1 - SMOOTH) * value if stays else value
        return self._smooth[name]
