"""Ctrl-C and SIGTERM during a run: it ends within two seconds, whatever the machine is in the middle of."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import typer

from sambench.harness.cli import console

PATIENCE = 1.5
"""Seconds that an orderly end may take."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
SHOW_CURSOR = "\x1b[?25h"


class Stopped(KeyboardInterrupt):
    """This process was told to end.

    Attributes:
        number: by which signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextlib.contextmanager
def stoppable(command: str) -> Iterator[None]:
    """End with exit code 130, or 143, and a word on how to go on, where somebody wants this process to end.

    What is finished is on disk by then. A second signal ends it at once.

    Args:
        command: to go on with.
    """
    hint = f"Stopped; what is finished is kept. Go on with: {command}"
    try:
        with _heard(hint):
            yield
    except KeyboardInterrupt as stop:
        console.err.print(hint, soft_wrap=True, markup=False)
        raise typer.Exit(128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)) from None


@contextlib.contextmanager
def _heard(hint: str) -> Iterator[None]:
    """Raise `Stopped` at a signal, and do not wait long for it to arrive.

    Python hears signals between two calls, and one into a library, such as an encoder's, can take minutes. A
    thread hears them by the byte that Python's own handler writes at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    thread = threading.Thread(target=_listen, args=(reads, hint), daemon=True)
    thread.start()
    before = {number: signal.signal(number, _raise) for number in SIGNALS}
    fd = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writes)
        thread.join()
        os.close(reads)


def _raise(number: int, frame: FrameType | None) -> None:
    del frame
    raise Stopped(number)


def _listen(reads: int, hint: str) -> None:
    first, until = 0, None
    while True:
        left = None if until is None else max(0.0, until - time.monotonic())
        ready, _, _ = select.select([reads], [], [], left)
        heard = os.read(reads, 1)[0:1] if ready else b""
        if ready and not heard:  # all has ended well
            return
        if first:
            _leave(first, hint)
        if heard[0] in SIGNALS:
            first, until = heard[0], time.monotonic() + PATIENCE


def _leave(number: int, hint: str) -> None:
    """End this process from a thread that is not in the middle of anything."""
    cursor = SHOW_CURSOR if os.isatty(2) else ""
    os.write(2, f"{cursor}{hint}\n".encode())
    os._exit(128 + number)
