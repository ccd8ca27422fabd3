"""How far something is: a bar or a spinner on a terminal, a line now and then in a log, nothing if quiet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from sambench.harness.cli import console
from sambench.harness.terminal import LINE_EVERY, draws, logs
from sambench.harness.times import in_words

Advance = Callable[[int, int | None], None]
"""Is called with what is done, and of how much."""


class Lines:
    """Says things in a log, but not more often than every `LINE_EVERY` seconds."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def say(self, text: Callable[[], str]) -> None:
        """Say something, if the time for a line has come."""
        if logs(console.err) and time.monotonic() - self._said > LINE_EVERY:
            self._said = time.monotonic()
            console.note(text())


@contextmanager
def bar(title: str, unit: str = "images") -> Iterator[Advance]:
    """Show a bar of such units, which is gone in the end; give what to call with their number and total."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    lines = Lines()
    with Progress(*columns, console=console.err, disable=not draws(console.err), transient=True) as shown:
        task = shown.add_task(title, total=None)

        def advance(done: int, total: int | None) -> None:
            shown.update(task, completed=done, total=total)
            lines.say(lambda: f"{title}: {done:,}{f'/{total:,}' if total else ''} {unit}")

        yield advance


@contextmanager
def status(text: str) -> Iterator[None]:
    """Say what is going on that nobody can say the length of."""
    if draws(console.err):
        with console.err.status(Text(text)):
            yield
        return
    ended, began = threading.Event(), time.monotonic()

    def keep_saying() -> None:
        while not ended.wait(LINE_EVERY):
            console.note(f"{text}, {in_words(time.monotonic() - began)} so far")

    threading.Thread(target=keep_saying, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
