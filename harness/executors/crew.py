"""Workers behind pipes: who gets which task, and what becomes of those that die."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from sambench.harness.executors.queue import Queue
from sambench.harness.executors.serve import Ended, Wanted
from sambench.harness.work import Evaluated, Message, Noted, Opened, Outcome, Progress, Task, Work
from sambench.suites.failures import Failure

OPENINGS = 3
"""How often a worker may die before it has opened."""


class Member(Protocol):
    """A worker, from here."""

    @property
    def connection(self) -> Connection:
        """The pipe to it."""

    def death(self) -> str:
        """Say how it ended."""


class Crew:
    """Does groups by several workers.

    Args:
        size: how many there are at most.
        hire: makes the worker of a number, or says that there is none any more by ``None``.
        device_of: the device of the worker of a number, where the group's is the one given.
    """

    def __init__(
        self,
        size: int,
        hire: Callable[[int], Member | None],
        device_of: Callable[[str, int], str] = lambda device, _: device,
    ) -> None:
        self.size = size
        self._hire, self._device_of = hire, device_of
        self.members: dict[int, Member] = {}

    def __call__(self, given: Work, tasks: Iterable[Task]) -> Iterator[tuple[int, Message]]:
        """Do the tasks of a group (see `base.Executor`)."""
        yield from _Group(self, given, Queue(tasks)).do()

    def engage(self, worker: int, given: Work) -> bool:
        """Let a worker begin a group, hiring it where it is not there; tell whether there is one."""
        member = self.members.get(worker) or self._hire(worker)
        if member is None:
            return False
        self.members[worker] = member
        device = self._device_of(given.model.device, worker)
        tell(member, replace(given, model=replace(given.model, device=device)))
        return True


def tell(member: Member, thing: Any) -> None:
    """Send something; a worker that is gone is found when it is listened to."""
    with contextlib.suppress(OSError):
        member.connection.send(thing)


class _Group:
    """A group at work."""

    def __init__(self, crew: Crew, given: Work, queue: Queue) -> None:
        self.crew, self.given, self.queue = crew, given, queue
        self.at_work: set[int] = set()
        self.opened: set[int] = set()
        self.closed_early = 0
        """Workers that died before they had opened."""

    def do(self) -> Iterator[tuple[int, Message]]:
        for worker in range(self.queue.ready(self.crew.size)):
            self._engage(worker)
        while self.at_work:
            members = {self.crew.members[worker].connection: worker for worker in self.at_work}
            for connection in wait(list(members)):
                yield from self._listen(members[connection])  # type: ignore[index]

    def _engage(self, worker: int) -> None:
        if self.crew.engage(worker, self.given):
            self.at_work.add(worker)

    def _listen(self, worker: int) -> Iterator[tuple[int, Message]]:
        try:
            message = self.crew.members[worker].connection.recv()
        except (EOFError, OSError):
            yield from self._died(worker)
            return
        match message:
            case Wanted():
                tell(self.crew.members[worker], self.queue.take(worker))
                return
            case Ended():
                self.at_work.discard(worker)
                self.queue.release(worker)
                if message.error is not None:
                    raise message.error
                return
            case Opened():
                self.opened.add(worker)
            case Evaluated():
                self.queue.count(worker, message.images)
            case Progress():
                self.queue.keep(worker, message.shard, message.files)
            case Outcome():
                self.queue.finish(worker, message.shard)
                self.queue.end(message.failures)
        yield worker, message

    def _died(self, worker: int) -> Iterator[tuple[int, Message]]:
        """Give a dead worker's tasks to others, and its place to another."""
        how = self.crew.members.pop(worker).death()
        self.at_work.discard(worker)
        given_up = self.queue.bury(worker)
        if worker not in self.opened:
            self.closed_early += 1
            if self.closed_early >= OPENINGS:
                yield worker, Opened(failure=Failure("died", how))
                return
        self.opened.discard(worker)
        if given_up is not None:
            failure = Failure("died", how).on_image(given_up.at)
            task = given_up.task
            self.queue.end(task.suites)
            yield worker, Outcome(task.shard, 0, {}, dict.fromkeys(task.suites, failure), {}, {})
        else:
            yield worker, Noted(f"worker {worker}: {how} It is replaced, and its shard is done again.")
        if self.queue.ready():
            self._engage(worker)
