"""SIGTERM and Ctrl-C: a training saves after its step and ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sambench.adapters.children import BOTH


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
