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

from sambench.adapters.children import BOTH
from sambench.harness.cli import console
from sambench.harness.leave import leave_at_exit

PATIENCE = 1.0
"""Seconds that an orderly end may take."""
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
    hint = _Hint(f"Stopped; what is finished is kept. Go on with: {command}")
    try:
        with _heard(hint):
            yield
    except KeyboardInterrupt as stop:
        hint.say()
        code = 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)
        if isinstance(stop, Stopped):
            leave_at_exit(code)
        raise typer.Exit(code) from None


class _Hint:
    """What is said at the end, once."""

    def __init__(self, text: str) -> None:
        self._text, self._lock = text, threading.Lock()

    def say(self) -> None:
        """Say it in order."""
        if self._lock.acquire(blocking=False):
            console.err.print(self._text, soft_wrap=True, markup=False)

    def write(self) -> None:
        """Say it from a thread, when nothing can be waited for."""
        if self._lock.acquire(blocking=False):
            cursor = SHOW_CURSOR if os.isatty(2) else ""
            os.write(2, f"{cursor}{self._text}\n".encode())


@contextlib.contextmanager
def _heard(hint: _Hint) -> Iterator[None]:
    """Raise `Stopped` at a signal, and do not wait long for it to arrive, nor for what comes after the block.

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
    before = {number: signal.signal(number, _raise) for number in BOTH}
    fd = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    told = False
    try:
        yield
    except Stopped:
        told = True
        raise
    finally:
        if not told:
            signal.set_wakeup_fd(fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(writes)
            thread.join()
            os.close(reads)


def _raise(number: int, frame: FrameType | None) -> None:
    del frame
    raise Stopped(number)


def _listen(reads: int, hint: _Hint) -> None:
    first, until = 0, None
    while True:
        left = None if until is None else max(0.0, until - time.monotonic())
        ready, _, _ = select.select([reads], [], [], left)
        heard = os.read(reads, 1) if ready else b""
        if ready and not heard:  # all has ended well
            return
        if first and (not ready or heard[0] in BOTH):
            hint.write()
            os._exit(128 + first)
        if heard[0] in BOTH:
            first, until = heard[0], time.monotonic() + PATIENCE
