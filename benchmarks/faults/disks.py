"""Disks that fill, or turn read-only: real ones, small and in memory, mounted where nobody else sees them.

`make faults` starts everything in a mount namespace of its own; without one there are no such disks.
"""

from __future__ import annotations

import functools
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.family import Family
from benchmarks.faults.trial import Bench, Fault, Trial
from benchmarks.faults.world import SUITES, Setting

SIZES = ("40k", "100k")
"""Of which the first holds not even what is written before the first shard is finished."""
ENOUGH = "64m"
OWN = "FAULTS_OWN_MOUNTS"
"""The environment variable that says that nobody else sees what is mounted here."""

Tell = Callable[[Trial], None]


def mounted(out: Path, options: str) -> None:
    """Mount a disk in memory, or mount it in another way.

    Raises:
        OSError: that is not allowed here.
    """
    out.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(out)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())


def disks(bench: Bench, tell: Tell) -> None:
    """Run on disks that give out."""
    if OWN not in os.environ:
        print("no disks that give out: they want mounts of their own, as the Makefile asks for them")
        return
    for executor, workers in (("inline", 1), ("processes", 2)):
        setting = Setting(executor, workers, SUITES[:3], report=False)
        for size in SIZES:
            full(bench, tell, setting, size)
        read_only(bench, tell, setting)


def full(bench: Bench, tell: Tell, setting: Setting, size: str) -> None:
    """Run on a disk that is too small; then it is made larger."""
    _gives_out(
        bench,
        tell,
        setting,
        f"a disk of {size} is full",
        lambda family, out: "the disk",
        functools.partial(mounted, options=f"size={size}"),
    )


def read_only(bench: Bench, tell: Tell, setting: Setting) -> None:
    """Let the disk turn read-only in the middle."""

    def do(family: Family, out: Path) -> str | None:
        if not family.wait(lambda: any(out.glob("records/*/*.parquet"))):
            return None
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                mounted(out, "remount,ro")
            except OSError:  # a file is open for writing, for a moment
                continue
            return "the disk"
        return None

    prepare = functools.partial(mounted, options=f"size={ENOUGH}")
    _gives_out(bench, tell, setting, "the disk turns read-only", do, prepare)


def _gives_out(
    bench: Bench,
    tell: Tell,
    setting: Setting,
    fault: str,
    do: Callable[[Family, Path], str | None],
    prepare: Callable[[Path], None],
) -> None:
    mend = functools.partial(mounted, options=f"remount,rw,size={ENOUGH}")
    trial = bench.disturbed(Fault(fault, "writing", do, codes=(2,), prepare=prepare, mend=mend), setting)
    if trial is None:
        raise RuntimeError(f"{fault}: the run ended before")
    if "cannot be written" not in trial.said:
        trial.wrong.append("the user is not told what cannot be written")
    for line in Path("/proc/mounts").read_text().splitlines():
        if (disk := line.split()[1]).startswith(str(bench.world.folder)):
            subprocess.run(["umount", disk], check=False)
    tell(trial)
