"""Doing what is planned: the gates first, then rounds of fresh processes, each in an order of its own."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sambench.harness.events import Events, Listener
from sambench.harness.throughput.cells import Outcome, make_cells
from sambench.harness.throughput.cooling import Cooling
from sambench.harness.throughput.plan import Measurement, Plan
from sambench.harness.throughput.progress import ThroughputProgress
from sambench.harness.throughput.worker_process import read_result, run_job
from sambench.harness.variants import Variant
from sambench.suites.results import CellResult
from sambench.suites.throughput.job import Job


def run(
    plan: Plan, progress: ThroughputProgress, events: Events, command: str, cooling: Cooling | None
) -> list[CellResult]:
    """Measure what is not on disk yet; after each round, whoever listens is told the cells so far.

    Returns:
        The cells in the order of the plan.

    Raises:
        SambenchError: the disk cannot be written, or what lies there is damaged; what was finished is kept.
    """
    work = _State(plan, progress, cooling)
    todo = [(r, m) for r in range(plan.config.rule.rounds) for m in plan.measurements]
    progress.start(len(plan.gates) + len(todo))
    events.tell(Listener.run_started, work.cells(command))
    for gate in plan.gates:
        work.gates[gate.variant] = work.do(
            gate.job, gate.stem, f"{describe(gate.variant)}, parity", is_done(read_result(gate.stem))
        )
    for round_ in range(plan.config.rule.rounds):
        for measurement in order(plan, round_):
            work.measure(measurement, round_)
        events.tell(Listener.cells_so_far, work.cells(command))
    cells = work.cells(command)
    for cell in cells:
        events.tell(Listener.cell_done, cell)
    events.tell(Listener.run_done, cells)
    return cells


def order(plan: Plan, round_: int) -> list[Measurement]:
    """Return a round's measurements: models in an order drawn anew, those of a model together."""
    models = list(plan.config.models)
    random.Random(f"{plan.config.seed}/{round_}").shuffle(models)
    return sorted(plan.measurements, key=lambda m: models.index(m.variant.model))


def is_done(result: dict[str, Any] | None) -> bool:
    """Tell whether a result on disk is whole: no mode of it failed."""
    if result is None or result["status"] != "done":
        return False
    return all(mode["status"] == "done" for mode in result.get("modes", {}).values())


def finished(measurement: Measurement, rounds: int) -> int:
    """Count the rounds of a measurement that are on disk."""
    return sum(is_done(read_result(measurement.stem(r))) for r in range(rounds))


def describe(variant: Variant) -> str:
    """Name a variant in a few words."""
    return f"{variant.model}, {variant.engine}, {variant.precision}"


@dataclass
class _State:
    """What has been found so far."""

    plan: Plan
    progress: ThroughputProgress
    cooling: Cooling | None
    gates: dict[Variant, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[Measurement, list[Outcome]] = field(default_factory=dict)

    def do(self, job: Job, stem: Path, title: str, done: bool) -> dict[str, Any]:
        """Run a job unless its result is there."""
        self.progress.begin(f"{title}{' (on disk)' if done else ''}")
        if not done and self.cooling is not None:
            self.cooling.wait()
        found = (read_result(stem) if done else None) or run_job(job, stem)
        self.progress.end()
        return found

    def measure(self, measurement: Measurement, round_: int) -> None:
        """Run one round of a measurement, unless its gate is shut or an earlier round of it failed."""
        outcomes = self.outcomes.setdefault(measurement, [])
        gate = self.gates[measurement.variant]
        failed = any(outcome.result["status"] == "failed" for outcome in outcomes)
        if gate["status"] == "failed" or gate["refusal"] or failed:
            self.progress.begin(f"{describe(measurement.variant)}, {measurement.scope.name}: left out")
            self.progress.end()
            return
        stem = measurement.stem(round_)
        title = (
            f"{describe(measurement.variant)}, {measurement.scope.name}, batch {measurement.batch}, "
            f"round {round_ + 1}"
        )
        result = self.do(measurement.job, stem, title, is_done(read_result(stem)))
        outcomes.append(Outcome(round_, stem, result))

    def cells(self, command: str) -> list[CellResult]:
        """Make the cells of what there is."""
        return make_cells(self.plan, self.gates, self.outcomes, command)
