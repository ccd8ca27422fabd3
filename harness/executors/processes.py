"""Processes of this machine, each with a device of its own or a share of the cores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from sambench.harness.executors.crew import Crew
from sambench.harness.executors.process import Child, start
from sambench.harness.executors.serve import Share, serve
from sambench.harness.work import Message, Task, Work


class Processes:
    """Starts them when they are needed, and again when they die; ends them with the block.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._children: list[Child] = []
        self._crew = self._fresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._dismiss(patience=0.0 if error[0] else 1.0)

    def __call__(self, given: Work, tasks: Iterable[Task]) -> Iterator[tuple[int, Message]]:
        """Do the tasks of a group (see `base.Executor`)."""
        if given.apart:
            self._dismiss()
        yield from self._crew(given, tasks)
        if given.apart:
            self._dismiss()

    def _fresh(self) -> Crew:
        return Crew(self.workers, self._hire, device_of if self.workers > 1 else lambda device, _: device)

    def _hire(self, worker: int) -> Child:
        share = Share(worker, self.workers) if self.workers > 1 else None
        self._children.append(start(serve, share))
        return self._children[-1]

    def _dismiss(self, patience: float = 1.0) -> None:
        """End all; the next group gets new ones."""
        for child in self._children:
            child.end(patience)
        self._children.clear()
        self._crew = self._fresh()


def device_of(device: str, worker: int) -> str:
    """Return a worker's card, where the device is ``cuda``; one that has a number is everybody's."""
    return f"cuda:{worker}" if device == "cuda" else device
