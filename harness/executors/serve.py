"""The far end of a pipe: a process that does what it is given, group after group."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import torch

from sambench.evsam.errors import SambenchError
from sambench.harness.work import Task, Work
from sambench.suites.environment import settings


@dataclass(frozen=True)
class Wanted:
    """The worker can take another task; the answer is one, or ``None`` where there are no more."""


@dataclass(frozen=True)
class Ended:
    """The worker has done its part of the group."""

    error: Exception | None = None
    """What ended it, where that is the user's to mend."""


@dataclass(frozen=True)
class Share:
    """A worker's part of the cores of its machine: as many as others have, or one that it shares."""

    worker: int
    workers: int

    def of(self, cores: list[int]) -> list[int]:
        """Choose among cores."""
        if self.workers >= len(cores):
            return [cores[self.worker % len(cores)]]
        first, last = (i * len(cores) // self.workers for i in (self.worker, self.worker + 1))
        return cores[first:last]

    def take(self) -> None:
        """Let what this process does from now on run there alone, where the system can do that.

        Libraries have counted the cores by then: how they cut their work does not depend on the share.
        """
        counted = settings()["interop_threads"]
        with contextlib.suppress(RuntimeError):  # which it is where work has begun
            torch.set_num_interop_threads(counted)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.of(sorted(os.sched_getaffinity(0))))


@dataclass
class Asked:
    """Tasks that come through a pipe, each asked for when the one before it begins: so none is waited for."""

    connection: Connection
    due: bool = field(default=False, init=False)
    """Whether an answer is still to come."""

    def __iter__(self) -> Iterator[Task]:
        self._ask()
        while (task := self._receive()) is not None:
            self._ask()
            yield task

    def drain(self) -> None:
        """Take what still comes, so that the next group begins with an empty pipe."""
        if self.due:
            self._receive()

    def _ask(self) -> None:
        self.connection.send(Wanted())
        self.due = True

    def _receive(self) -> Task | None:
        task: Task | None = self.connection.recv()
        self.due = False
        return task


def serve(
    connection: Connection,
    share: Share | None = None,
    apart: Callable[[Connection, Work], None] | None = None,
) -> None:
    """Do groups as they come, each a `Work` and its tasks, until there is none or the other end is gone.

    Args:
        connection: to whoever gives them.
        share: of the cores, where they are shared.
        apart: does those of models that may share no process; by default this process is theirs alone.
    """
    while True:
        try:
            given = connection.recv()
        except EOFError:
            return
        if given is None:
            return
        if share is not None:
            share.take()
            share = None
        (apart if apart and given.apart else serve_group)(connection, given)


def serve_group(connection: Connection, given: Work) -> None:
    """Do one group."""
    from sambench.harness.worker import work  # which the parent does without

    asked = Asked(connection)
    error = None
    try:
        for message in work(given, asked):
            connection.send(message)
    except SambenchError as damaged:
        error = damaged
    asked.drain()
    connection.send(Ended(error))
