"""Showing how far a run is: a bar with images per second and time left, or plain lines in a log."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from sambench.harness.events import Listener
from sambench.harness.terminal import LINE_EVERY, draws, logs, says
from sambench.harness.times import in_words


class _Speed(ProgressColumn):
    """Images per second of the last half minute."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:5.1f} img/s", style="progress.data.speed")


class RunProgress(Listener):
    """Progress of a run, one group of cells after the other, on standard error."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._ended = threading.Event()
        self._title, self._total, self._done, self._fresh = "", 0, 0, 0
        self._began = self._said = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            _Speed(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not draws(console),
            speed_estimate_period=30,
        )

    def __enter__(self) -> RunProgress:
        self._bar.start()
        if logs(self.console):
            threading.Thread(target=self._keep_saying, daemon=True).start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bar.stop()
        self._ended.set()

    def group_started(self, title: str, images: int, done: int) -> None:
        """Begin a group."""
        self._title, self._total, self._done, self._fresh = title, images, done, 0
        self._began = self._said = time.monotonic()
        self._task = self._bar.add_task(title, total=images, completed=done)
        if logs(self.console):
            self._say()

    def images_done(self, images: int) -> None:
        """Count finished images."""
        self._done += images
        self._fresh += images
        self._bar.advance(self._task, images)
        late = time.monotonic() - self._said > LINE_EVERY
        if logs(self.console) and (late or self._done == self._total):
            self._say()

    def noted(self, text: str) -> None:
        """Say it, above the bar where there is one."""
        if says(logging.WARNING):
            self.console.print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)

    def _keep_saying(self) -> None:
        """Say where it is when no image ends for long: one of everything mode can take minutes."""
        while not self._ended.wait(LINE_EVERY / 4):
            if self._done < self._total and time.monotonic() - self._said > LINE_EVERY:
                self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        line = f"{self._title}: {self._done}/{self._total} images"
        if self._fresh:
            speed = self._fresh / max(self._said - self._began, 1e-9)
            line += f", {speed:.1f} img/s"
            if left := self._total - self._done:
                line += f", {in_words(left / speed)} left"
        elif self._said - self._began > 1:
            line += f", {in_words(self._said - self._began)} so far"
        self.console.print(line, soft_wrap=True)
