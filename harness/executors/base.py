"""What an executor is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sambench.harness.work import Message, Task, Work

Executor = Callable[[Work, Iterable[Task]], Iterator[tuple[int, Message]]]
"""Does the tasks of a group, in any order, by one worker or several; each message comes with its worker's
number. Tasks are asked for when there is somebody to do them, and every one that was asked for has an
`Outcome`, unless no worker is left or none of its suites."""
