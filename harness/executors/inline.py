"""This process does the work; models that may not share one get a process that then ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sambench.harness.executors.crew import Crew
from sambench.harness.executors.process import Child, start
from sambench.harness.executors.serve import serve
from sambench.harness.work import Message, Task, Work
from sambench.harness.worker import work


def inline(given: Work, tasks: Iterable[Task]) -> Iterator[tuple[int, Message]]:
    """Do the tasks in this process, or in one of their own where the model may not share one."""
    return alone(given, tasks) if given.apart else ((0, message) for message in work(given, tasks))


def alone(given: Work, tasks: Iterable[Task]) -> Iterator[tuple[int, Message]]:
    """Do the tasks in a fresh process."""
    hired: list[Child] = []

    def hire(_: int) -> Child:
        hired.append(start(serve))
        return hired[-1]

    try:
        yield from Crew(1, hire)(given, tasks)
    finally:
        for child in hired:
            child.end()
