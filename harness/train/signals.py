"""SIGTERM and Ctrl-C: a training saves after its step and ends; its loaders do not hear them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

BOTH = (signal.SIGTERM, signal.SIGINT)


class Told:
    """Whether this process was told to stop.

    Args:
        first: whether it is the process that speaks.
        alone: whether there are no others. A second Ctrl-C then interrupts at once; among several it does
            not, for torchrun passes on what the terminal has sent to all of them already.
    """

    def __init__(self, first: bool, alone: bool) -> None:
        self.first, self.alone = first, alone
        self.stop = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        del frame
        if self.stop and self.alone and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.first and not self.stop:
            again = "; Ctrl-C again stops at once" if self.alone and number == signal.SIGINT else ""
            os.write(2, f"stopping after this step{again}\n".encode())  # print is not safe in a handler
        self.stop = True


@contextmanager
def told_to_stop(*, first: bool, alone: bool) -> Iterator[Told]:
    """Take SIGTERM and SIGINT as the wish to stop, while the block lasts."""
    told = Told(first, alone)
    before = {number: signal.signal(number, told) for number in BOTH}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Start processes that never get SIGTERM or SIGINT; ours come when the block ends.

    A scheduler sends SIGTERM to every process of a job, and a terminal Ctrl-C: loaders that died of it would
    take the training with them before it has saved. They end with the process that started them.
    """
    resource_tracker.ensure_running()  # it would start with the first child, and unblock both
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BOTH)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
