"""Doing what is planned, group by group, never a shard twice; where one cell fails, the others go on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sambench.harness.events import Events, Listener
from sambench.harness.finish import CellState, finish
from sambench.harness.plan import Group, Plan
from sambench.harness.provenance import Hardware
from sambench.harness.work import Evaluated, Message, Opened, Outcome, Task, Work, work
from sambench.suites.base import Stopwatch
from sambench.suites.failures import Failure, Kind
from sambench.suites.results import CellResult

Executor = Callable[[Work, Iterable[Task]], Iterator[Message]]
"""Who does the tasks of a group: `harness.work.work` in this process. Shards may come in any order."""


def run(plan: Plan, events: Events, command: str, execute: Executor = work) -> list[CellResult]:
    """Run all groups, and tell what happens.

    Args:
        plan: what to do.
        events: who is told; ``results.json`` is written by one of them.
        command: for the provenance of the cells.
        execute: who does it.

    Returns:
        The cells' results in the order of the plan.

    Raises:
        SambenchError: the data cannot be read or the disk cannot be written; finished shards are kept.
    """
    before = [[finish(p, group, plan, command) for p in _so_far(group)] for group in plan.groups]
    events.tell(Listener.run_started, [cell for cells in before for cell in cells])
    results: list[CellResult] = []
    for group, cells in zip(plan.groups, before, strict=True):
        its = _GroupRun(group, plan, events).run(execute)
        if any(cell.status == "unfinished" for cell in cells):  # else all was there already, and is scored
            cells[:] = [finish(p, group, plan, command) for p in its]
        for cell in cells:
            events.tell(Listener.cell_done, cell)
        results += cells
    events.tell(Listener.run_done, results)
    return results


def _so_far(group: Group) -> list[CellState]:
    """What to say of a group before its turn: cells that an earlier command finished are done."""
    cells = [CellState(cell) for cell in group.cells]
    for p in cells:
        if p.cell.store.finished() < p.cell.store.shards:
            p.stop("unfinished", "not run yet")
    return cells


@dataclass
class _GroupRun:
    """A group at work: one variant on one data set, for all suites at once."""

    group: Group
    plan: Plan
    events: Events
    cells: list[CellState] = field(init=False)
    shared: Counter[str] = field(default_factory=Counter)
    """Seconds by stage of what the suites share: waiting for data, encoding, writing."""
    hardware: Hardware | None = None
    """Of the worker."""

    def __post_init__(self) -> None:
        self.cells = [CellState(cell, self.shared) for cell in self.group.cells]

    def run(self, execute: Executor) -> list[CellState]:
        """Evaluate what is not done yet; every cell ends with a status."""
        tasks, group = self._tasks(), self.group
        images = len(group.data.entries)
        missing = sum(len(task.entries) for task in tasks)
        self.events.tell(Listener.group_started, group.title, images, images - missing)
        if not tasks:
            return self.cells
        variant = group.variant
        if variant.not_applicable or variant.weights is None:
            kind: Kind = "not_applicable" if variant.not_applicable else "refused"
            self._fail(self._lacking, Failure(kind, variant.reason or "no weights"))
            return self.cells
        suites = tuple(cell.suite for cell in group.cells)
        given = Work(group.model, suites, self.plan.config.batch_size)
        for message in execute(given, tasks):
            match message:
                case Opened():
                    self._opened(message)
                case Evaluated():
                    self.events.tell(Listener.images_done, message.images)
                case Outcome():
                    self._take(message)
        return self.cells

    def _tasks(self) -> list[Task]:
        """The shards that some cell lacks."""
        tasks = []
        for shard, entries in enumerate(self.group.data.shards()):
            suites = tuple(i for i, p in enumerate(self.cells) if not p.cell.store.has(shard))
            if suites:
                tasks.append(Task(shard, entries, suites))
        return tasks

    def _opened(self, opened: Opened) -> None:
        if opened.failure is not None:
            self._fail(self._lacking, opened.failure)
            return
        self.hardware = opened.hardware
        for i, p in enumerate(self.cells):
            if i in opened.refusals:
                self._fail([p], opened.refusals[i])
            else:
                p.cell.store.describe(p.cell.key)

    def _take(self, outcome: Outcome) -> None:
        """Write the files of a shard, and keep account of it."""
        watch = Stopwatch()
        with watch("write"):
            for i, content in outcome.files.items():
                self.cells[i].cell.store.write(outcome.shard, content)
        self.shared.update(outcome.seconds)
        self.shared.update(watch.seconds)
        for i, seconds in outcome.own_seconds.items():
            self.cells[i].seconds.update(seconds)
            self.cells[i].images += outcome.images
            self.cells[i].hardware = self.hardware
        for failure in dict.fromkeys(outcome.failures.values()):
            self._fail([self.cells[i] for i, f in outcome.failures.items() if f == failure], failure)
        self.events.tell(Listener.shard_done, self.group.title, outcome.shard)

    def _fail(self, cells: Sequence[CellState], failure: Failure) -> None:
        if failure.trace:
            print(failure.trace, file=sys.stderr)  # a bug: its author wants to see where
        for p in cells:
            p.stop("not_applicable" if failure.kind == "not_applicable" else "failed", failure.reason)

    @property
    def _lacking(self) -> list[CellState]:
        """The cells that are not finished; numbers of before stand, whatever becomes of this command."""
        return [p for p in self.cells if p.cell.store.finished() < p.cell.store.shards]
