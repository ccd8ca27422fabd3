"""A process of its own, with a pipe to it: for work beside other work, and for models from outside.

What a model sets or patches in such a process ends with it, and so does what it breaks.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from sambench.adapters.children import ending
from sambench.harness.executors.names import PASSIVE


class ProcessDiedError(Exception):
    """A process ended without an answer."""


@dataclass(frozen=True)
class Child:
    """A process that was started here."""

    connection: Connection
    process: BaseProcess

    def death(self) -> str:
        """Say how it ended."""
        self.process.join(timeout=5)
        code = self.process.exitcode
        if code == -signal.SIGKILL:
            return (
                "out of memory? Its process was killed (signal 9), as the system does when memory runs out."
            )
        return f"its process {ending(code)}; what it said is above."

    def end(self, patience: float = 1.0) -> None:
        """End it, whatever it does."""
        self.connection.close()
        self.process.join(timeout=patience)
        if self.process.is_alive():  # interrupted: it may be in the middle of an image
            self.process.kill()
            self.process.join()


def start(target: Callable[..., None], *arguments: Any) -> Child:
    """Start a process that calls ``target(connection, *arguments)``: a function of a module, and values."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, target, arguments))
    with _environment(PASSIVE):
        process.start()
    theirs.close()  # so that its end is the end of what can be read
    return Child(ours, process)


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function of a module returns in a fresh process.

    Raises:
        ProcessDiedError: the process ended without an answer.
    """
    child = start(_call, function, arguments)
    try:
        return child.connection.recv()
    except EOFError:
        raise ProcessDiedError(child.death()) from None
    finally:
        child.end()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables that are not set, as the processes find them that are started in the block."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


def _main(
    connection: Connection,
    target: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and closes the pipe
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        target(connection, *arguments)


def _end_with_parent() -> None:
    """End this process when the one that started it has: killed, it could not say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    connection.send(function(*arguments))
