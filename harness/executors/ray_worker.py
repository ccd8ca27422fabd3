"""The far end of an actor: it keeps the model of a group, and does tasks as they are asked for."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sambench.evsam.errors import SambenchError
from sambench.harness.executors.serve import Share
from sambench.harness.work import Evaluated, Message, Outcome, Progress, Task, Work

THREADS = "OMP_NUM_THREADS"


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
        threads: ``OMP_NUM_THREADS`` where the run was planned. Ray sets one of its own, which rounds otherwise.
    """

    def __init__(self, share: Share | None, threads: str | None) -> None:
        os.dup2(2, 1)  # what a model prints is no output of the command
        if threads is not None:
            os.environ[THREADS] = threads
        else:
            os.environ.pop(THREADS, None)
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
            given: where Ray has its `Work`.
            held: all tasks that this worker has, in order; those that it knows are begun already.
            complete: whether it gets no more.
        """
        if call == self._answered:
            return self._answer
        if self._group is None or self._number != number:
            if self._group is not None:
                self._group.end()
            self._group, self._number = _Group(self._fetch(given), self._take_share()), number
        self._answer = self._group.do(held, complete)
        self._answered = call
        return self._answer

    @staticmethod
    def _fetch(given: Sequence[Any]) -> Work:
        import ray

        work: Work = ray.get(given[0])
        return work

    def _take_share(self) -> Share | None:
        """Return the share once: what it holds for, it holds for all threads of later groups too."""
        share, self._share = self._share, None
        return share


class _Group:
    """A group at work, in a thread of its own, which does the next task while the last one's answer travels."""

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
        from sambench.harness.worker import work  # torch, which takes its settings as it is imported

        images = 0
        try:
            for message in work(self._given, self._tasks()):
                if isinstance(message, Evaluated):
                    images += message.images
                elif isinstance(message, Outcome):  # all of a shard at once: then it counts once, whoever dies
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
