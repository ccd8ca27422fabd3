"""Showing how far a throughput measurement is: a bar, or a line a process in a log."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sambench.harness.terminal import draws, logs
from sambench.harness.times import in_words


class ThroughputProgress:
    """Progress over processes, on standard error."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar = Progress(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not draws(console),
        )

    def __enter__(self) -> ThroughputProgress:
        self._bar.start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bar.stop()

    def start(self, total: int) -> None:
        """Begin, with so many processes to run."""
        self._total, self._done = total, 0
        self._task = self._bar.add_task("", total=total)

    def begin(self, title: str, left: float | None = None) -> None:
        """Say what runs now, and about how many seconds are left with it, where that is known."""
        line = title if left is None else f"{title}, about {in_words(left)} left"
        self._bar.update(self._task, description=line)
        if logs(self.console):
            self.console.print(f"{self._done + 1}/{self._total} {line}", soft_wrap=True)

    def end(self) -> None:
        """Count a process that has ended."""
        self._done += 1
        self._bar.advance(self._task)
