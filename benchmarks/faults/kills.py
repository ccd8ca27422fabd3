"""Random processes of random runs, killed at random moments."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.family import Family
from benchmarks.faults.trial import Bench, Fault, Trial
from benchmarks.faults.world import SUITES, Setting, computed
from sambench.harness.plan import SHARD_IMAGES

STARTING = 8.0
"""Seconds within which a run that is starting is killed; one takes as long to import torch and to plan."""
ENDING = 6.0
"""Seconds within which one that scores and reports is."""
MOMENTS = ("starting", "computing", "writing", "scoring")


def drawn(draw: random.Random, executors: list[str], moment: str) -> Setting:
    """Draw how a run is done; with a report, which takes longest, where its end is what matters."""
    executor = draw.choice(executors)
    workers = 1 if executor == "inline" else draw.choice([1, 2, 3])
    suites = tuple(name for name in SUITES if draw.random() < 0.5) or ("gt_box",)
    apart, loaders = draw.random() < 0.2, draw.choice([0, 0, 1])
    return Setting(executor, workers, suites, apart, loaders, report=moment == "scoring")


def kill(bench: Bench, draw: random.Random, setting: Setting, moment: str) -> Trial | None:
    """Make one trial; ``None`` where the run ended before its moment came."""

    def do(family: Family, out: Path) -> str | None:
        if not _reached(bench, draw, setting, moment, family, out):
            return None
        members = family.members()
        if not any(one.pid == family.command.pid for one in members):
            return None
        others = [one for one in members if one.pid != family.command.pid]
        head = next(one for one in members if one.pid == family.command.pid)
        victim = head if not others or draw.random() < 0.4 else draw.choice(others)
        role = family.role(victim, setting.executor, setting.loaders)
        os.kill(victim.pid, signal.SIGKILL)
        return role

    return bench.disturbed(Fault("SIGKILL to {}", moment, do, codes=(0, -signal.SIGKILL)), setting)


def _reached(
    bench: Bench, draw: random.Random, setting: Setting, moment: str, family: Family, out: Path
) -> bool:
    """Wait for a moment, drawn within its phase; tell whether it came before the run's end."""
    cells = len(setting.suites) * setting.models
    shards = cells * -(-bench.world.images // SHARD_IMAGES)
    after: Callable[[], object]
    pause = 0.0
    if moment == "starting":
        after, pause = lambda: True, draw.uniform(0, STARTING)
    elif moment == "computing":
        images = draw.randrange(1, bench.world.images * setting.models)
        after, pause = lambda: computed(out).total() >= images, draw.uniform(0, bench.world.pause)
    elif moment == "writing":
        some = draw.randrange(shards)
        after = lambda: _written(out) >= some and any(out.glob("records/*/.*.tmp"))  # noqa: E731
    else:
        after, pause = lambda: _written(out) == shards, draw.uniform(0, ENDING)
    if not family.wait(after):
        return False
    until = time.monotonic() + pause
    family.wait(lambda: time.monotonic() >= until)
    return family.command.poll() is None


def _written(out: Path) -> int:
    return sum(1 for _ in out.glob("records/*/*.parquet"))


def kills(
    bench: Bench, times: int, draw: random.Random, executors: list[str], tell: Callable[[Trial], None]
) -> None:
    """Kill so often, every moment as often as the others."""
    done = 0
    while done < times:
        moment = MOMENTS[done % len(MOMENTS)]
        trial = kill(bench, draw, drawn(draw, executors, moment), moment)
        if trial is not None:
            done += 1
            tell(trial)
