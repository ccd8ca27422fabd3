"""Doing what is planned: the gates first, then rounds of fresh processes, each in an order of its own."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sambench.harness.events import Events, Listener
from sambench.harness.throughput.cells import Outcome, make_cells
from sambench.harness.throughput.cooling import Cooling
from sambench.harness.throughput.plan import Gate, Measurement, Plan
from sambench.harness.throughput.progress import ThroughputProgress
from sambench.harness.throughput.verdict import of_gate, of_rounds, other_weights
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
    progress.start(len(plan.gates) + plan.config.rule.rounds * len(plan.measurements))
    events.tell(Listener.run_started, work.cells(command))
    for gate in plan.gates:
        work.check(gate)
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


def is_done(variant: Variant, result: dict[str, Any] | None) -> bool:
    """Tell whether a result on disk is whole: no mode of it failed, and the weights were the plan's."""
    if result is None or result["status"] != "done" or other_weights(variant, result):
        return False
    return all(mode["status"] == "done" for mode in result.get("modes", {}).values())


def finished(measurement: Measurement, rounds: int) -> set[int]:
    """Return which rounds of a measurement are on disk."""
    return {r for r in range(rounds) if is_done(measurement.variant, read_result(measurement.stem(r)))}


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
    todo: dict[Measurement, set[int]] = field(init=False)
    """Rounds that are neither on disk nor measured by now."""

    def __post_init__(self) -> None:
        rounds = self.plan.config.rule.rounds
        self.todo = {m: set(range(rounds)) - finished(m, rounds) for m in self.plan.measurements}

    def check(self, gate: Gate) -> None:
        """Compare a variant's masks with the reference's."""
        title = f"{describe(gate.variant)}, parity"
        self.gates[gate.variant] = self._do(gate.variant, gate.job, gate.stem, title)

    def measure(self, measurement: Measurement, round_: int) -> None:
        """Run one round of a measurement, unless there will be no number of it anyway."""
        title = f"{describe(measurement.variant)}, {measurement.scope.name}, batch {measurement.batch}"
        if self._is_shut(measurement):
            self.progress.begin(f"{title}: left out")
            self.progress.end()
            return
        stem = measurement.stem(round_)
        result = self._do(measurement.variant, measurement.job, stem, f"{title}, round {round_ + 1}")
        self.outcomes.setdefault(measurement, []).append(Outcome(round_, stem, result))
        self.todo[measurement].discard(round_)

    def _is_shut(self, measurement: Measurement) -> bool:
        """Tell whether a measurement's gate is shut to it, or an earlier round of it failed."""
        variant = measurement.variant
        results = [outcome.result for outcome in self.outcomes.get(measurement, [])]
        verdict = of_gate(variant, measurement.batch, self.gates[variant]) or of_rounds(variant, results)
        return verdict is not None

    def _left(self) -> float | None:
        """Return about how many seconds are left; ``None`` before every measurement has had a round."""
        total = 0.0
        for measurement, rounds in self.todo.items():
            if measurement.variant not in self.gates:
                return None
            if rounds and not self._is_shut(measurement):
                if not self.outcomes.get(measurement):
                    return None
                total += len(rounds) * self.outcomes[measurement][-1].result["seconds"]
        return total

    def _do(self, variant: Variant, job: Job, stem: Path, title: str) -> dict[str, Any]:
        """Run a job unless its result is there."""
        found = read_result(stem)
        if found is not None and is_done(variant, found):
            self.progress.begin(f"{title} (on disk)")
        else:
            self.progress.begin(title, self._left())
            began = time.monotonic()
            if self.cooling is not None:
                self.cooling.wait()
            found = run_job(job, stem, self.plan.config.timeout)
            found["seconds"] = time.monotonic() - began  # with its start, which it does not see
        self.progress.end()
        return found

    def cells(self, command: str) -> list[CellResult]:
        """Make the cells of what there is."""
        return make_cells(self.plan, self.gates, self.outcomes, command)
