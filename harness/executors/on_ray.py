"""Actors on a Ray cluster. Ray says where they run, makes them anew when they die, and tries calls again."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Any, Self

from sambench.adapters.devices import kind_of
from sambench.harness.executors.names import PASSIVE
from sambench.harness.executors.queue import TRIES, Queue
from sambench.harness.executors.ray_cluster import joined, share
from sambench.harness.executors.ray_worker import Answer, Worker, installed
from sambench.harness.executors.serve import Share
from sambench.harness.work import Message, Noted, Opened, Outcome, Task, Work
from sambench.suites.environment import environment
from sambench.suites.failures import LONGEST, Failure

HELD = 2
"""Tasks that an actor has: one that it does, and one whose images it reads ahead."""
WAIT = 60.0
"""Seconds without a word after which it is said that actors wait for a place."""


class Actors:
    """Makes them when they are needed; they end with the block, and so does a cluster of our own.

    Args:
        workers: how many.
        device: of the run: ``cpu``, or ``cuda`` for a card each.
        address: of the cluster; ``None`` is that of ``RAY_ADDRESS``, or one of our own.
    """

    def __init__(self, workers: int, device: str, address: str | None) -> None:
        self.workers, self.device, self.address = workers, device, address
        self._actors: dict[int, Any] = {}
        self._groups = 0
        self._owned = False
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        cards = kind_of(self.device) == "cuda"
        self._owned = self._stack.enter_context(joined(self.address, self.workers, cards))
        if not self._owned:
            self._stack.callback(self._dismiss)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def __call__(self, given: Work, tasks: Iterable[Task]) -> Iterator[tuple[int, Message]]:
        """Do the tasks of a group (see `base.Executor`)."""
        import ray

        if given.apart:
            self._dismiss()
        self._groups += 1
        place = ray.put((given, None if self._owned else installed(given)))
        yield from _Group(self, self._groups, given, [place], Queue(tasks)).do()
        if given.apart:
            self._dismiss()

    def actor(self, worker: int, given: Work) -> Any:
        """Return the actor of a number."""
        if worker not in self._actors:
            self._actors[worker] = self._hire(worker, given)
        return self._actors[worker]

    def _hire(self, worker: int, given: Work) -> Any:
        import ray

        cards = kind_of(self.device) == "cuda"
        alone = self._owned and not cards and self.workers > 1
        cores = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
        options = {
            "num_gpus": 1 if cards else 0,
            "num_cpus": 1 if cards else share(cores, self.workers),
            "max_restarts": -1,  # as often as tasks are tried again
            "max_task_retries": TRIES - 1,
            "runtime_env": {"env_vars": _variables(given.threads)},
        }
        part = Share(worker, self.workers) if alone else None
        return ray.remote(Worker).options(**options).remote(part)

    def _dismiss(self) -> None:
        """End all; the next group gets new ones."""
        import ray

        for actor in self._actors.values():
            ray.kill(actor)
        self._actors.clear()


def _variables(threads: int | None) -> dict[str, str]:
    """Return what the environment of a worker must have: what decides bytes and pace, and where files are."""
    found = {name: os.environ.get(name, value) for name, value in PASSIVE.items()}
    found |= {name: value for name, value in os.environ.items() if name.startswith("SAMBENCH_")}
    if threads is not None:  # else Ray sets its own, which rounds otherwise
        found["OMP_NUM_THREADS"] = str(threads)
    return found | environment()


class _Group:
    """A group at work. Each actor has one call to answer at a time: so Ray counts what dies of which task."""

    def __init__(self, actors: Actors, number: int, given: Work, place: list[Any], queue: Queue) -> None:
        self.actors, self.number, self.given, self.queue = actors, number, given, queue
        self.place = place
        """Where Ray has what workers are given."""
        self.asked: dict[Any, int] = {}
        """By the answer that is to come, the worker that it comes from."""
        self.opened: set[int] = set()
        self.waited = False
        self.calls = itertools.count(self.number << 32)

    def do(self) -> Iterator[tuple[int, Message]]:
        import ray

        for worker in range(self.queue.ready(self.actors.workers)):
            self._call(worker, complete=False)
        while self.asked and (self.queue.held or self.queue.ready()):
            answered, _ = ray.wait(list(self.asked), timeout=None if self.waited else WAIT)
            if not answered and (waiting := set(self.asked.values()) - self.opened):
                self.waited = True
                yield min(waiting), Noted(self._no_place(waiting))
            for answer in answered:
                yield from self._listen(self.asked.pop(answer), answer)

    def _call(self, worker: int, *, complete: bool) -> None:
        """Let a worker go on with what it has."""
        actor, held = self.actors.actor(worker, self.given), self.queue.tasks_of(worker)
        self.asked[actor.do.remote(next(self.calls), self.number, self.place, held, complete)] = worker

    def _give(self, worker: int, tasks: int) -> None:
        """See that a worker has so many tasks, if there are as many."""
        complete = False
        while len(self.queue.tasks_of(worker)) < tasks and not complete:
            complete = self.queue.take(worker) is None
        if self.queue.tasks_of(worker):
            self._call(worker, complete=complete)

    def _listen(self, worker: int, coming: Any) -> Iterator[tuple[int, Message]]:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            answer: Answer = ray.get(coming)
        except RayTaskError:  # a bug, for its author
            raise
        except RayError as error:
            yield from self._lost(worker, " ".join(str(error).split())[:LONGEST])
            return
        for message in answer.messages:
            if isinstance(message, Opened):
                if worker in self.opened:
                    text = f"worker {worker} died. Ray replaced it, and its shard is done again."
                    yield worker, Noted(text)
                self.opened.add(worker)
            elif isinstance(message, Outcome):
                self.queue.finish(worker, message.shard)
                self.queue.end(message.failures)
            yield worker, message
        if answer.error is not None:
            raise answer.error
        if answer.ended:
            self.queue.release(worker)
        else:
            self._give(worker, max(HELD, len(self.queue.tasks_of(worker)) + answer.starving))

    def _lost(self, worker: int, why: str) -> Iterator[tuple[int, Message]]:
        """Give up the task that Ray has given up."""
        held = self.queue.tasks_of(worker)
        if not held:
            yield worker, Opened(failure=Failure("died", f"it died {TRIES} times before it was ready: {why}"))
            return
        task = held[0]
        self.queue.finish(worker, task.shard)
        self.queue.release(worker)
        self.queue.end(task.suites)
        first, last = task.entries[0].file_name, task.entries[-1].file_name
        how = f"its worker died {TRIES} times, of this image or one of the next as far as {last}: {why}"
        failure = Failure("died", how).on_image(first)
        yield worker, Outcome(task.shard, 0, {}, dict.fromkeys(task.suites, failure), {}, {})
        self._give(worker, HELD)

    def _no_place(self, waiting: set[int]) -> str:
        import ray

        wants = "a GPU" if kind_of(self.actors.device) == "cuda" else "its share of the cores"
        free = ray.available_resources()
        has = ", ".join(f"{free.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
        return (
            f"{len(waiting)} of {self.actors.workers} workers are not ready yet. Each wants {wants}, and the "
            f"cluster has {has} free; the others go on."
        )
