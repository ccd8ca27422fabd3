"""The far end of an actor: it keeps the model of a group, and does tasks as they are asked for."""

from __future__ import annotations

import os
import platform
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sambench.adapters.registry import modules_of
from sambench.adapters.version import version
from sambench.evsam.errors import SambenchError
from sambench.harness.executors.serve import Share
from sambench.harness.provenance import libraries
from sambench.harness.sources import code_digest
from sambench.harness.work import Evaluated, Message, Opened, Outcome, Progress, Task, Work
from sambench.suites.failures import Failure
from sambench.suites.registry import suite_class

Installed = dict[str, str]
"""Software and versions."""


@dataclass(frozen=True)
class Answer:
    """What came of a call."""

    messages: tuple[Message, ...]
    starving: bool = False
    """Whether the worker needs another task to go on with what it has: it reads images ahead."""
    ended: bool = False
    """Whether the worker does no more of the group."""
    error: SambenchError | None = None
    """What ended it, where that is the user's to mend."""


class Worker:
    """An actor. Ray makes it anew where it dies, and calls it again with what it was called with.

    Args:
        share: the cores that it keeps to.
    """

    def __init__(self, share: Share | None) -> None:
        os.dup2(2, 1)  # what a model prints is no output of the command
        self._share = share
        self._number, self._group = 0, cast("_Group | None", None)
        self._answered, self._answer = 0, Answer(())

    def do(
        self, call: int, number: int, given: Sequence[Any], held: Sequence[Task], complete: bool
    ) -> Answer:
        """Go on with a group until the first task is done; without a task, until the model is loaded.

        Args:
            call: its number; one that comes again, for its answer was lost, gets that.
            number: of the group; for another one than before another model is loaded.
            given: where Ray has its `Work`, and what is `installed` where it was planned.
            held: all tasks that this worker has, in order; those that it knows are begun already.
            complete: whether it gets no more.
        """
        if call == self._answered:
            return self._answer
        if self._group is None or self._number != number:
            if self._group is not None:
                self._group.end()
            work, here = self._fetch(given)
            if here and (other := differs(work, here)):
                return Answer((Opened(failure=other),), ended=True)
            self._group, self._number = _Group(work, self._take_share()), number
        self._answer = self._group.do(held, complete)
        self._answered = call
        return self._answer

    @staticmethod
    def _fetch(given: Sequence[Any]) -> tuple[Work, Installed | None]:
        import ray

        fetched: tuple[Work, Installed | None] = ray.get(given[0])
        return fetched

    def _take_share(self) -> Share | None:
        """Return the share once: what it holds for, it holds for all threads of later groups too."""
        share, self._share = self._share, None
        return share


def installed(given: Work) -> Installed:
    """Say what of this machine's software decides records."""
    adapter = given.model.adapter
    own = (adapter.target.rpartition(":")[0],) if adapter is not None else modules_of(given.model.name)
    suites = [suite_class(suite.name).__module__ for suite in given.suites]
    digest = code_digest("sambench.harness.worker", *own, *suites)
    return {"sambench": f"{version()} (code {digest[:12]})"} | libraries()


def differs(given: Work, planned: Installed) -> Failure | None:
    """Refuse to work where other software is than a run was planned with: its records would be other ones."""
    host = platform.node()
    try:
        here = installed(given)
    except OSError as error:
        return Failure("refused", f"{host}: {error}. Files of models must lie at the same path everywhere.")
    other = [
        f"{name} {here.get(name)}, not {planned[name]}" for name in planned if here.get(name) != planned[name]
    ]
    if not other:
        return None
    return Failure(
        "refused", f"{host} has {'; '.join(other)}, as this run was planned with. Install the same."
    )


class _Group:
    """A group at work, in a thread of its own: it does the next task while the last one's answer travels."""

    def __init__(self, given: Work, share: Share | None) -> None:
        self._given = given
        self._known: set[int] = set()
        """Tasks that were given, by shard."""
        self._todo: deque[Task] = deque()
        self._complete = False
        self._messages: list[Message] = []
        self._done: set[int] = set()
        self._starving = False
        self._ended = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        if share is not None:
            share.take()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def do(self, held: Sequence[Task], complete: bool) -> Answer:
        """Take new tasks, and wait for something to answer."""
        with self._changed:
            new = [task for task in held if task.shard not in self._known]
            self._todo.extend(new)
            self._known.update(task.shard for task in new)
            self._complete = complete
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._has_answer(held))
            if self._error is not None and not isinstance(self._error, SambenchError):
                raise self._error
            messages, self._messages = tuple(self._messages), []
            return Answer(messages, self._starves, self._ended, self._error)

    def end(self) -> None:
        """Let it go, and wait until it has."""
        with self._changed:
            self._todo.clear()
            self._complete = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def _starves(self) -> bool:
        return self._starving and not self._todo and not self._complete

    def _has_answer(self, held: Sequence[Task]) -> bool:
        if self._ended:
            return True
        return held[0].shard in self._done or self._starves if held else bool(self._messages)

    def _work(self) -> None:
        from sambench.harness.worker import work  # which the run does without

        images = 0
        try:
            for message in work(self._given, self._tasks()):
                if isinstance(message, Evaluated):
                    images += message.images
                elif isinstance(
                    message, Outcome
                ):  # all of a shard at once: then it counts once, whoever dies
                    self._tell(Evaluated(images), message)
                    images = 0
                elif not isinstance(message, Progress):  # it would come with the outcome, and too late
                    self._tell(message)
        except BaseException as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _tell(self, *messages: Message) -> None:
        with self._changed:
            self._messages.extend(messages)
            self._done.update(message.shard for message in messages if isinstance(message, Outcome))
            self._changed.notify_all()

    def _tasks(self) -> Iterator[Task]:
        while True:
            with self._changed:
                self._starving = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._todo or self._complete)
                self._starving = False
                if not self._todo:
                    return
                task = self._todo.popleft()
            yield task
