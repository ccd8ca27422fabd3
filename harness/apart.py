"""Work in a process of its own, for models from outside that run beside others.

What such a model sets or patches in its process ends with it, and so does what it breaks.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from sambench.harness.work import Message, Opened, Outcome, Task, Work, work
from sambench.suites.failures import Failure


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function of a module returns in a fresh process.

    Raises:
        ProcessDiedError: the process ended without an answer.
    """
    with _process(_call, function, arguments) as (connection, process):
        try:
            return connection.recv()
        except EOFError:
            raise ProcessDiedError(_death(process)) from None


def work_apart(given: Work, tasks: Iterable[Task]) -> Iterator[Message]:
    """Do what `harness.work.work` does, in a fresh process; one that dies fails what it had left."""
    todo = list(tasks)
    left = {task.shard: task for task in todo}
    opened = False
    with _process(_work, given, todo) as (connection, process):
        while True:
            try:
                message = connection.recv()
            except EOFError:
                break
            if message is None:
                return
            if isinstance(message, Exception):
                raise message
            opened = opened or isinstance(message, Opened)
            if isinstance(message, Outcome):
                left.pop(message.shard)
            yield message
        failure = Failure("died", _death(process))
    if not opened:
        yield Opened(failure=failure)
        return
    for task in left.values():
        yield Outcome(task.shard, 0, {}, dict.fromkeys(task.suites, failure), {}, {})


class ProcessDiedError(Exception):
    """A process ended without an answer."""


@contextmanager
def _process(target: Callable[..., None], *arguments: Any) -> Iterator[tuple[Connection, BaseProcess]]:
    """Start a process that sends, and end it, whatever it does, at the end."""
    import torch

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_main, args=(theirs, torch.get_num_threads(), target, arguments))
    process.start()
    theirs.close()  # so that its end is the end of what can be read
    try:
        yield ours, process
    finally:
        ours.close()
        process.join(timeout=1)
        if process.is_alive():  # interrupted: it may be in the middle of an image
            process.kill()
            process.join()


def _main(
    connection: Connection, threads: int, target: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and closes the pipe
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    try:
        target(connection, *arguments)
    except BrokenPipeError:
        return


def _end_with_parent() -> None:
    """End this process when the one that started it has: killed, it could not say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    connection.send(function(*arguments))


def _work(connection: Connection, given: Work, tasks: list[Task]) -> None:
    try:
        for message in work(given, tasks):
            connection.send(message)
    except BrokenPipeError:
        raise
    except Exception as error:  # the data's fault, which ends the run
        connection.send(error)
    else:
        connection.send(None)


def _death(process: BaseProcess) -> str:
    process.join(timeout=5)
    code = process.exitcode
    if code == -signal.SIGKILL:
        return "out of memory? Its process was killed (signal 9), as the system does when memory runs out."
    how = (
        f"died of {signal.Signals(-code).name}"
        if code is not None and code < 0
        else f"ended with code {code}"
    )
    return f"its process {how}; what it said is above."
