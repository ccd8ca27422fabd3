"""Doing what is planned, group by group, never a shard twice; where one cell fails, the others go on.

Who does the work is an executor's choice (`harness.executors`): what is here knows nothing of models, and
what does the work nothing of cells, files and results.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sambench.harness.account import Account
from sambench.harness.events import Events, Listener
from sambench.harness.executors.base import Executor
from sambench.harness.executors.inline import inline
from sambench.harness.finish import CellState, finish
from sambench.harness.mend import to_do_again
from sambench.harness.plan import Group, Plan
from sambench.harness.provenance import git_state
from sambench.harness.store import session_name
from sambench.harness.work import Evaluated, FailedImage, Noted, Opened, Outcome, Progress, Task, Work
from sambench.suites.failures import Failure, Kind
from sambench.suites.results import CellResult


def run(plan: Plan, events: Events, command: str, execute: Executor = inline) -> list[CellResult]:
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
        its = _computed(group, plan, events, command, execute)
        if any(cell.status == "unfinished" for cell in cells):  # else all was there already, and is scored
            cells[:] = [finish(p, group, plan, command) for p in its]
        for cell in cells:
            events.tell(Listener.cell_done, cell)
        results += cells
    events.tell(Listener.run_done, results)
    return results


def _computed(group: Group, plan: Plan, events: Events, command: str, execute: Executor) -> list[CellState]:
    """Compute what a group lacks, and once more what turns out damaged."""
    computed: dict[int, Counter[int]] = defaultdict(Counter)
    while True:
        its = _GroupRun(group, plan, events, command, computed)
        its.run(execute)
        again = False
        for i, p in enumerate(its.cells):
            for shard, why in to_do_again(p, computed[i]):
                p.cell.store.discard(shard)
                events.tell(Listener.noted, why)
                again = True
        if not again:
            return its.cells


def _so_far(group: Group) -> list[CellState]:
    """What to say of a group before its turn: cells that an earlier command finished are done."""
    cells = _begin(group)
    for p in cells:
        if p.status == "done" and not p.cell.is_settled:
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
    computed: dict[int, Counter[int]]
    """By cell, how often this command has computed each shard."""
    cells: list[CellState] = field(init=False)
    name: str = field(default_factory=session_name)
    accounts: dict[int, Account] = field(default_factory=dict)
    """By worker."""
    openings: int = 0
    unopened: Failure | None = None
    """Why a worker could not begin."""
    failed: dict[int, list[FailedImage]] = field(default_factory=dict)
    """Images that the model failed on, by cell."""

    def __post_init__(self) -> None:
        self.cells = _begin(self.group)

    def run(self, execute: Executor) -> None:
        """Evaluate what is not done yet; every cell ends with a status."""
        group, variant = self.group, self.group.variant
        shards = group.data.shards()
        missing = [i for i in range(len(shards)) if self._lacking(i)]
        images = len(group.data.entries)
        left = sum(shards.images(i) for i in missing)
        self.events.tell(Listener.group_started, group.title, images, images - left)
        if not missing:
            return
        if variant.not_applicable or variant.weights is None:
            kind: Kind = "not_applicable" if variant.not_applicable else "refused"
            self._fail(self._unfinished, Failure(kind, variant.reason or "no weights"))
            return
        for worker, message in execute(self._work(), self._tasks(missing)):
            match message:
                case Opened():
                    self._opened(worker, message)
                case Evaluated():
                    self.events.tell(Listener.images_done, message.images)
                case Noted():
                    self.events.tell(Listener.noted, message.text)
                case Progress():
                    for i, content in message.files.items():
                        self.cells[i].cell.store.begin(message.shard, content)
                case Outcome():
                    self._take(worker, message)
        if self._unfinished:
            self._fail(self._unfinished, self.unopened or Failure("died", "no worker was left to do it"))

    def _work(self) -> Work:
        group, config = self.group, self.plan.config
        return Work(
            group.model,
            tuple(cell.suite for cell in group.cells),
            config.batch_size,
            group.variant.weights,
            group.variant.loaded,
            group.apart,
            self.plan.threads,
            config.max_failures,
        )

    def _lacking(self, shard: int) -> list[int]:
        """The cells that want a shard and have it not."""
        return [i for i, p in enumerate(self.cells) if p.status == "done" and not p.cell.store.has(shard)]

    def _tasks(self, missing: Sequence[int]) -> Iterator[Task]:
        """Give out the shards, each as it is when its turn comes: another command may have done it."""
        shards = self.group.data.shards()
        for shard in missing:
            lacking = self._lacking(shard)
            if not lacking:
                self.events.tell(Listener.images_done, shards.images(shard))
                continue
            stores = {i: self.cells[i].cell.store for i in lacking}
            begun = {i: content for i, store in stores.items() if (content := store.begun(shard))}
            yield Task(shard, shards[shard], tuple(lacking), begun)

    def _opened(self, worker: int, opened: Opened) -> None:
        failure = opened.failure or self._stranger(opened)
        if failure is not None:
            self.unopened = self.unopened or failure
            if self.accounts:  # the others go on
                self.events.tell(Listener.noted, f"worker {worker} cannot take part: {failure.reason}")
            return
        about: dict[str, Any] = {"command": self.command, "git": git_state(), "started": self.name}
        self.openings += 1  # one that replaces another is another
        self.accounts[worker] = Account.of(opened, f"{self.name}-{self.openings}", about)
        for i, p in enumerate(self.cells):
            if i in opened.refusals:
                self._fail([p], opened.refusals[i])
                if p.status == "not_applicable" and p.reason:
                    p.cell.store.refuse(p.reason)
            elif p.status == "done":
                p.cell.store.describe(p.cell.key)

    def _take(self, worker: int, outcome: Outcome) -> None:
        """Write the files of a shard, and keep account of it."""
        stores = {i: p.cell.store for i, p in enumerate(self.cells)}
        start = time.perf_counter()
        for i, content in outcome.files.items():
            stores[i].write(outcome.shard, content)
            self.computed[i][outcome.shard] += 1
        if worker in self.accounts:
            self.accounts[worker].take(outcome, stores, time.perf_counter() - start)
        for failure in dict.fromkeys(outcome.failures.values()):
            self._fail([self.cells[i] for i, f in outcome.failures.items() if f == failure], failure)
        for i, images in outcome.failed.items():
            self._count_failed(i, images)
        self.events.tell(Listener.shard_done, self.group.title, outcome.shard)

    def _count_failed(self, i: int, images: Sequence[FailedImage]) -> None:
        """Say which images a cell goes without, and end it where they are too many."""
        p, known = self.cells[i], self.failed.setdefault(i, [])
        known += images
        for image in images:
            where = f"{self.group.title}, {p.cell.suite.name}"
            self.events.tell(Listener.noted, f"{where}: image {image['file_name']}: {image['reason']}")
        if len(known) > p.cell.max_failures:
            p.fail_on_images(known)

    def _stranger(self, opened: Opened) -> Failure | None:
        """Refuse a worker on other hardware than the plan is of: its records would be another cell's."""
        reason = opened.hardware and opened.hardware.unlike(self.group.cells[0].key)
        return Failure("refused", reason) if reason else None

    def _fail(self, cells: Sequence[CellState], failure: Failure) -> None:
        if failure.trace:
            print(failure.trace, file=sys.stderr)  # a bug: its author wants to see where
        for p in cells:
            p.stop("not_applicable" if failure.kind == "not_applicable" else "failed", failure.reason)

    @property
    def _unfinished(self) -> list[CellState]:
        """The cells that lack something; numbers of before stand, whatever becomes of this command."""
        return [p for p in self.cells if p.status == "done" and not p.cell.store.is_whole]
