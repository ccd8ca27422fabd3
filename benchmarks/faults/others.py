"""Faults that are no chance: signals, models and shards that are bad in one particular way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.family import Family
from benchmarks.faults.trial import Bench, Fault, Trial
from benchmarks.faults.world import Setting, computed

BOTH = ("gt_box", "click")
AT = 20
"""The image that a model fails on."""
SOON = 2.0
"""Seconds that a run may take to end."""
AT_ONCE = 0.5
"""Seconds that it may take where it is asked twice."""

Tell = Callable[[Trial], None]


def others(bench: Bench, tell: Tell) -> None:
    """Make all of them."""
    for executor, workers in (("inline", 1), ("processes", 2), ("torchrun", 2)):
        setting = Setting(executor, workers, BOTH, report=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signalled(bench, tell, setting, number)
    for setting in (Setting(suites=BOTH, report=False), Setting("processes", 2, BOTH, report=False)):
        signalled(bench, tell, setting, signal.SIGTERM, "call")
        signalled(bench, tell, setting, signal.SIGINT, "call", twice=True)
    signalled(bench, tell, Setting("processes", 2, BOTH, report=False), signal.SIGTERM, "held")
    failing(bench, tell)
    for setting in (Setting(suites=BOTH, report=False), Setting("processes", 2, BOTH, report=False)):
        damaged(bench, tell, setting)


def signalled(
    bench: Bench, tell: Tell, setting: Setting, number: signal.Signals, kind: str = "", *, twice: bool = False
) -> None:
    """Tell a run to end, in the middle of its work."""
    when = {"": "computing", "call": "in a call", "held": "in a call, lock held"}[kind]

    def do(family: Family, out: Path) -> str | None:
        there = (lambda: computed(out)["slow", AT]) if kind else (lambda: computed(out).total() > AT)
        if not family.wait(there):
            return None
        time.sleep(0.1)
        os.kill(family.command.pid, number)
        if twice:
            time.sleep(0.1)
            os.kill(family.command.pid, number)
        return "the command"

    name = f"{number.name}{' twice' if twice else ''} to {{}}"
    more = {"FAULT": f"{kind}:{AT}"} if kind else {}
    trial = bench.disturbed(Fault(name, when, do, more, codes=(128 + number,)), setting)
    if trial is None:
        raise RuntimeError(f"{name}: the run ended before")
    limit = AT_ONCE if twice else SOON
    if trial.seconds + trial.left_s > limit:
        trial.wrong.append(f"took {trial.seconds:.2f} s and {trial.left_s:.2f} s, more than {limit} s")
    tell(trial)


def failing(bench: Bench, tell: Tell) -> None:
    """Let the model fail on one image, for the moment: the same command makes it whole."""

    def do(family: Family, out: Path) -> str | None:
        return "the model" if family.wait(lambda: computed(out)["slow", AT]) else None

    for setting in (Setting(suites=BOTH, report=False), Setting("processes", 2, BOTH, report=False)):
        dies = -signal.SIGSEGV if setting.executor == "inline" else 0  # where its process is the command
        for title, kind, code in (
            ("the model raises an error", "raise", 1),
            ("the model gives NaN", "nan", 1),
            ("an engine dies of SIGSEGV", "die", dies),
        ):
            fault = Fault(title, "computing", do, {"FAULT": f"{kind}:{AT}"}, codes=(code,))
            _told(bench.disturbed(fault, setting), tell, title)


def damaged(bench: Bench, tell: Tell, setting: Setting) -> None:
    """Turn a bit of a finished shard round, after a kill, as a disk might."""

    def do(family: Family, out: Path) -> str | None:
        if not family.wait(lambda: len(list(out.glob("records/*/*.parquet"))) > 2):
            return None
        os.kill(family.command.pid, signal.SIGKILL)
        family.end()
        victim = min(out.glob("records/*/*.parquet"))
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
        fault.broken.append(victim.relative_to(out).as_posix())
        return "a finished shard"

    fault = Fault("a bit of {} is turned", "afterwards", do, codes=(-signal.SIGKILL,))
    _told(bench.disturbed(fault, setting), tell, fault.title)


def _told(trial: Trial | None, tell: Tell, title: str) -> None:
    if trial is None:
        raise RuntimeError(f"{title}: the run ended before")
    tell(trial)
