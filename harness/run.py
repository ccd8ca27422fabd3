"""Doing what is planned, group by group, never a shard twice; where one cell fails, the others go on."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sambench.harness import apart
from sambench.harness.events import Events, Listener
from sambench.harness.finish import CellState, finish
from sambench.harness.plan import Group, Plan
from sambench.harness.provenance import git_state
from sambench.harness.store import session_name
from sambench.harness.work import Evaluated, Message, Opened, Outcome, Progress, Task, Work, work
from sambench.suites.base import Stopwatch
from sambench.suites.failures import Failure, Kind
from sambench.suites.results import CellResult

Executor = Callable[[Work, Iterable[Task]], Iterator[Message]]
"""Who does the tasks of a group. Shards may come in any order."""


def here_or_apart(given: Work, tasks: Iterable[Task]) -> Iterator[Message]:
    """Do the tasks in this process, or in one of their own where the model may not share one."""
    return apart.work_apart(given, tasks) if given.apart else work(given, tasks)


def run(plan: Plan, events: Events, command: str, execute: Executor = here_or_apart) -> list[CellResult]:
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
        its = _GroupRun(group, plan, events, command).run(execute)
        if any(cell.status == "unfinished" for cell in cells):  # else all was there already, and is scored
            cells[:] = [finish(p, group, plan, command) for p in its]
        for cell in cells:
            events.tell(Listener.cell_done, cell)
        results += cells
    events.tell(Listener.run_done, results)
    return results


def _so_far(group: Group) -> list[CellState]:
    """What to say of a group before its turn: cells that an earlier command finished are done."""
    cells = _begin(group)
    for p in cells:
        if p.status == "done" and not p.cell.store.is_whole:
            p.stop("unfinished", "not run yet")
    return cells


def _begin(group: Group) -> list[CellState]:
    """Return a group's cells; those that are known not to apply have ended."""
    cells = [CellState(cell) for cell in group.cells]
    for p in cells:
        if reason := p.cell.store.refusal():
            p.stop("not_applicable", reason)
    return cells


@dataclass
class _GroupRun:
    """A group at work: one variant on one data set, for all suites at once."""

    group: Group
    plan: Plan
    events: Events
    command: str
    cells: list[CellState] = field(init=False)
    name: str = field(default_factory=session_name)
    session: dict[str, Any] = field(default_factory=dict)
    """What all cells of the group say of this command."""
    shared: Counter[str] = field(default_factory=Counter)
    """Seconds by stage of what the suites share: waiting for data, encoding, writing."""
    own: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Seconds by cell and stage."""
    images: Counter[int] = field(default_factory=Counter)
    """By cell, computed by this command."""
    inputs: set[str] = field(default_factory=set)
    """Types and shapes that images were prepared to."""

    def __post_init__(self) -> None:
        self.cells = _begin(self.group)

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
        given = Work(
            group.model,
            tuple(cell.suite for cell in group.cells),
            self.plan.config.batch_size,
            variant.weights,
            variant.loaded,
            group.apart,
        )
        for message in execute(given, tasks):
            match message:
                case Opened():
                    self._opened(message)
                case Evaluated():
                    self.events.tell(Listener.images_done, message.images)
                case Progress():
                    for i, content in message.files.items():
                        self.cells[i].cell.store.begin(message.shard, content)
                case Outcome():
                    self._take(message)
        return self.cells

    def _tasks(self) -> list[Task]:
        """The shards that some cell lacks."""
        tasks = []
        for shard, entries in enumerate(self.group.data.shards()):
            lacking = {i: p.cell.store for i, p in enumerate(self.cells) if p.status == "done"}
            lacking = {i: store for i, store in lacking.items() if not store.has(shard)}
            begun = {i: content for i, store in lacking.items() if (content := store.begun(shard))}
            if lacking:
                tasks.append(Task(shard, entries, tuple(lacking), begun))
        return tasks

    def _opened(self, opened: Opened) -> None:
        if opened.failure is not None:
            self._fail(self._lacking, opened.failure)
            return
        self.session = {
            "command": self.command,
            "git": git_state(),
            "hardware": opened.hardware and asdict(opened.hardware),
            "settings": dict(opened.settings),
        }
        for i, p in enumerate(self.cells):
            if i in opened.refusals:
                self._fail([p], opened.refusals[i])
                if p.status == "not_applicable" and p.reason:
                    p.cell.store.refuse(p.reason)
            elif p.status == "done":
                p.cell.store.describe(p.cell.key)

    def _take(self, outcome: Outcome) -> None:
        """Write the files of a shard, and keep account of it."""
        watch = Stopwatch()
        with watch("write"):
            for i, content in outcome.files.items():
                self.cells[i].cell.store.write(outcome.shard, content)
        self.shared.update(outcome.seconds)
        self.shared.update(watch.seconds)
        self.inputs.update(outcome.inputs)
        for i, seconds in outcome.own_seconds.items():
            self.own[i].update(seconds)
            self.images[i] += outcome.images
            spent = {"images": self.images[i], "shared_s": dict(self.shared), "own_s": dict(self.own[i])}
            spent["inputs"] = sorted(self.inputs)
            self.cells[i].cell.store.keep_session(self.name, self.session | spent)
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
        return [p for p in self.cells if p.status == "done" and not p.cell.store.is_whole]
