"""Processes that help another one: how no signal of a job reaches them, and how they ended."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

BOTH = (signal.SIGTERM, signal.SIGINT)
"""What a scheduler and a terminal send to every process of a job."""


def ending(code: int | None) -> str:
    """Say how a process ended, by its exit code: the words behind its name."""
    if code is not None and code < 0:
        return f"died of {signal.Signals(-code).name}"
    return f"ended with code {code}"


@contextmanager
def deaf_children() -> Iterator[None]:
    """Start processes that never get SIGTERM or SIGINT; ours come when the block ends.

    A scheduler sends SIGTERM to every process of a job, and a terminal Ctrl-C: loaders that died of it would
    take with them what the process that started them has not saved yet. They must end with that process.
    """
    resource_tracker.ensure_running()  # it would start with the first child, and unblock both
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BOTH)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
