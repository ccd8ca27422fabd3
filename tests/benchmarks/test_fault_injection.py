"""A sample of `make faults`: a run and a worker are killed, and what is left is what one left alone gives."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from unittest import mock

import pytest
from command import call

from benchmarks.faults.family import Family
from benchmarks.faults.held import Seen, complaints
from benchmarks.faults.kills import kill
from benchmarks.faults.trial import Bench, Fault
from benchmarks.faults.world import Setting, World

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
SUITES = ("gt_box", "click")


class Here(Bench):
    """Goes on with what was killed in this process, which has torch by now."""

    def finish(self, setting: Setting, out: Path) -> tuple[int, str]:
        without_report = mock.patch.dict(sys.modules, {"jinja2": None})
        with without_report, mock.patch.dict(os.environ, self.world.environment(setting, out, {})):
            done = call(*self.world.arguments(setting, out))
        return done.code, done.err


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Here:
    world = World(tmp_path_factory.mktemp("faults") / "world", images=24, pause=0.1).make()
    return Here(world, watch_memory=False, suites=SUITES)  # other tests are at work


@pytest.mark.slow
def test_a_command_that_is_killed_at_random_loses_nothing(bench: Here) -> None:
    trial = kill(bench, random.Random(0), Setting("inline", 1, SUITES, report=False), "computing")
    assert trial is not None
    assert (trial.code, trial.wrong) == (-signal.SIGKILL, [])


@pytest.mark.slow
def test_a_run_survives_the_end_of_a_worker(bench: Here) -> None:
    def do(family: Family, out: Path) -> str | None:
        if not family.wait(lambda: Seen.of(out).computed):
            return None
        victims = [one for one in family.members() if family.role(one, "processes", 0) == "worker"]
        os.kill(victims[0].pid, signal.SIGKILL)
        return "a worker"

    trial = bench.disturbed(
        Fault("SIGKILL to {}", "computing", do), Setting("processes", 1, SUITES, report=False)
    )
    assert trial is not None
    assert (trial.fault, trial.code, trial.wrong) == ("SIGKILL to a worker", 0, [])
    assert 0 < trial.lost <= 16
    assert "It is replaced, and its shard is done again" in trial.said


def test_what_is_not_as_it_must_be_is_noticed(bench: Here) -> None:
    setting = Setting("inline", 1, SUITES, report=False)
    undisturbed = bench.undisturbed(setting)
    out = bench.world.folder / "broken"
    assert bench.finish(setting, out)[0] == 0
    whole = Seen.of(out)
    nothing = Seen.of(out.with_name("nothing"))

    def found(before: Seen = nothing, kept: Seen = nothing) -> list[str]:
        return complaints(bench.world, setting, out, undisturbed, before, kept)

    assert found() == []
    assert found(whole, whole) == []
    log = out.with_suffix(".log")
    log.write_text(log.read_text() + "slow,3\n")
    assert found(whole, whole) == ["slow: images [3] of a finished shard were computed again"]
    assert found() == []  # it was not finished
    shard = min(out.glob("records/*/*.parquet"))
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + b"?")
    changed = found()
    assert "records differ" in changed
    assert any(one.endswith("half written") for one in changed)
    shard.write_bytes(content)
    again = found(whole, whole)
    assert "a shard that was finished at the fault was written again" in again
    results = out / "results.json"
    results.write_text(results.read_text().replace('"status": "done"', '"status": "failed"'))
    assert "results.json differs" in found()
    session = min(out.glob("records/*/_session-*.json"))
    session.write_text(session.read_text().replace('"images": 24', '"images": 30'))
    assert any("images counted, of 24" in one for one in found())
