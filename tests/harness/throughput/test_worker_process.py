"""A process that does a job: stopped with all its own when it takes too long or the user has enough."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sambench.adapters.spec import ModelSpec
from sambench.harness.throughput import worker_process
from sambench.harness.throughput.worker_process import patience, run_job
from sambench.suites.throughput.job import PAPER, QUICK, Job

JOB = Job(kind="measure", model=ModelSpec("box"))

HANGS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1] + ".child", "w").write(str(child.pid))
time.sleep(600)
"""

ANSWERS = """
import sys, time
open(sys.argv[1] + ".json", "w").write('{"status": "done"}')
time.sleep(600)
"""


@pytest.fixture
def hanging(monkeypatch):
    """A worker that starts a process of its own and never answers."""
    monkeypatch.setattr(worker_process, "COMMAND", (sys.executable, "-c", HANGS))


def ended(pid: int) -> bool:
    """Tell whether a process is gone, or dead and not yet buried by whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def assert_ended(file: Path) -> None:
    pid, until = int(file.read_text()), time.monotonic() + 5
    while not ended(pid):
        assert time.monotonic() < until, "it still runs"
        time.sleep(0.01)


@pytest.mark.usefixtures("hanging")
def test_a_process_that_hangs_is_killed_with_its_children_and_says_why(tmp_path):
    began = time.monotonic()
    found = run_job(JOB, tmp_path / "round-00", 2.0)
    assert 2 <= time.monotonic() - began < 60
    assert found["status"] == "failed"
    assert found["reason"].startswith("timeout: its process was stopped after 2 s")
    assert "--timeout" in found["reason"]
    assert_ended(tmp_path / "round-00.child")


@pytest.mark.usefixtures("hanging")
def test_an_interruption_leaves_no_process_behind(tmp_path, monkeypatch):
    """Ctrl-C reaches the terminal's foreground group, which the worker is not in."""
    child = tmp_path / "round-00.child"

    def communicate(process, given, limit):
        while not child.exists() or not child.read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(worker_process.subprocess.Popen, "communicate", communicate)
    with pytest.raises(KeyboardInterrupt):
        run_job(JOB, tmp_path / "round-00", 60.0)
    assert_ended(child)


def test_an_answer_before_a_process_hangs_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_process, "COMMAND", (sys.executable, "-c", ANSWERS))
    assert run_job(JOB, tmp_path / "gate", 2.0) == {"status": "done"}


@pytest.mark.parametrize("rule", [PAPER, *QUICK.values()])
def test_patience_outlasts_all_that_a_rule_asks_for(rule):
    job = replace(JOB, rule=rule, modes=("pipelined", "serial", "compute"), batch=16)
    at_least = 3 * (rule.warmup_limit_s + rule.min_seconds)
    assert patience(job) >= at_least + 3 * 16 * rule.min_batches  # a second an image
    assert patience(replace(job, audit=True)) - patience(job) >= at_least
    assert patience(replace(job, kind="gate")) >= 2 * rule.gate_images
