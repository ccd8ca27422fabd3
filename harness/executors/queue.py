"""The tasks of a group and who has them: each is done once, whoever dies meanwhile."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sambench.harness.work import Task

TRIES = 3
"""A task whose worker dies is tried again, twice at most."""


@dataclass
class Held:
    """A task that a worker has."""

    task: Task
    images: int = 0
    """How many of them it has evaluated."""

    @property
    def at(self) -> str:
        """The image that it is at, for messages."""
        entries = self.task.entries
        return entries[min(self.images, len(entries) - 1)].file_name


@dataclass
class Queue:
    """Tasks that are not done."""

    source: Iterable[Task]
    _ready: deque[Task] = field(default_factory=deque)
    """Taken from the source, and given to nobody."""
    _held: defaultdict[int, list[Held]] = field(default_factory=lambda: defaultdict(list))
    """By worker, the one that it does first."""
    _tries: Counter[int] = field(default_factory=Counter)
    """By shard, workers that died of it."""
    _over: set[int] = field(default_factory=set)
    """Suites that have failed: nobody does more for them."""

    def __post_init__(self) -> None:
        self.source = iter(self.source)

    def ready(self, most: int = 1) -> int:
        """Return how many tasks nobody has, as far as ``most`` of them."""
        self._ready.extend(itertools.islice(self.source, max(0, most - len(self._ready))))
        return min(most, len(self._ready))

    def take(self, worker: int) -> Task | None:
        """Give a worker a task; ``None`` where nobody has to do more than he has."""
        if not self.ready():
            return None
        task = self._ready.popleft()
        self._held[worker].append(Held(task))
        return task

    @property
    def held(self) -> bool:
        """Whether anybody has a task."""
        return any(self._held.values())

    def tasks_of(self, worker: int) -> tuple[Task, ...]:
        """Return the tasks of a worker, the one that it does first."""
        return tuple(held.task for held in self._held.get(worker, ()))

    def count(self, worker: int, images: int) -> None:
        """Take note that a worker has evaluated some more images."""
        if self._held[worker]:
            self._held[worker][0].images += images

    def keep(self, worker: int, shard: int, files: Mapping[int, bytes]) -> None:
        """Keep what there is of a task, for whoever may have to go on with it."""
        for held in self._held[worker]:
            if held.task.shard == shard:
                held.task = replace(held.task, begun={**held.task.begun, **files})

    def finish(self, worker: int, shard: int) -> None:
        """Take note that a task is done."""
        self._held[worker] = [held for held in self._held[worker] if held.task.shard != shard]

    def end(self, suites: Iterable[int]) -> None:
        """Drop what is there for suites that have failed."""
        self._over.update(suites)
        waiting = list(self._ready)
        self._ready.clear()
        self._take_back(waiting)

    def release(self, worker: int) -> None:
        """Take back what a worker has not begun, and never will."""
        self._take_back([held.task for held in self._held.pop(worker, [])])

    def bury(self, worker: int) -> Held | None:
        """Take back what a dead worker had; return the task that it died of, once that is tried no more."""
        held = self._held.pop(worker, [])
        if not held:
            return None
        first, *rest = held
        self._tries[first.task.shard] += 1
        given_up = self._tries[first.task.shard] >= TRIES
        self._take_back([one.task for one in (rest if given_up else held)])
        return first if given_up else None

    def _take_back(self, tasks: Sequence[Task]) -> None:
        """Put tasks first in the line, as far as somebody still wants them."""
        for task in reversed(tasks):
            if wanted := tuple(i for i in task.suites if i not in self._over):
                self._ready.appendleft(replace(task, suites=wanted))
