"""A run that a fault comes to, the command that goes on, and what became of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.family import Family
from benchmarks.faults.held import Seen, complaints
from benchmarks.faults.world import SUITES, Setting, World, command

SHM = Path("/dev/shm")
TOLD = ("worker", "Stopped", "error", "rank", "Error", "warning", "killed", "torchrun", "damaged")
"""Words of lines that say what happened, among those of progress and results."""


def nothing(out: Path) -> None:
    """Leave a run's folder as it is."""


@dataclass(frozen=True)
class Fault:
    """What comes to a run."""

    title: str
    """With ``{}`` for whom it came to."""
    when: str
    do: Callable[[Family, Path], str | None]
    """Makes it happen to a command and its folder, and says to whom; ``None`` where the run had ended."""
    more: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the command."""
    codes: Sequence[int] = (0,)
    """Those that the command may end with."""
    broken: list[str] = field(default_factory=list)
    """Shards that it breaks, by their paths; filled by ``do``."""
    prepare: Callable[[Path], None] = nothing
    """Is called with the run's folder before the command ..."""
    mend: Callable[[Path], None] = nothing
    """... and before the second one."""


@dataclass
class Trial:
    """One fault, and what it did."""

    fault: str
    executor: str
    suites: str
    when: str
    code: int = 0
    """Of the command that the fault came to."""
    seconds: float = 0.0
    """From the fault to its end."""
    left_s: float = 0.0
    """From its end to that of the last of its processes."""
    lost: int = 0
    """Images that were computed again."""
    said: str = ""
    """What the user saw last of it."""
    wrong: list[str] = field(default_factory=list)
    """What is not as it must be."""


@dataclass(frozen=True)
class Bench:
    """Where trials are made."""

    world: World
    watch_memory: bool = True
    """Whether what is new in /dev/shm is ours: nobody else is at work."""
    suites: Sequence[str] = SUITES
    """All that its runs have."""

    def undisturbed(self, setting: Setting) -> Path:
        """Return the folder of a run of all suites in one process that nothing disturbs."""
        out = self.world.folder / f"undisturbed-{setting.models}"
        if not out.exists():
            code, said = self.finish(Setting(suites=self.suites, apart=setting.apart, report=False), out)
            if code:
                raise RuntimeError(f"a run that nothing disturbs ended with {code}: {said}")
        return out

    def start(self, setting: Setting, out: Path, more: Mapping[str, str] | None = None) -> Family:
        """Start a setting's command."""
        words = command(self.world.arguments(setting, out))
        return Family(words, self.world.environment(setting, out, more or {}), out.with_suffix(".said"))

    def finish(self, setting: Setting, out: Path) -> tuple[int, str]:
        """Run a setting's command to its end; return its exit code and what it said last."""
        family = self.start(setting, out)
        code, _ = family.end()
        return (1, f"still alive: {left}") if (left := family.kill()) else (code, _last(family.text()))

    def disturbed(self, fault: Fault, setting: Setting) -> Trial | None:
        """Start a run, let something happen to it, go on with it where it ended, and look at all of it.

        Returns:
            What became of it; ``None`` where the run ended before anything had happened.
        """
        number = len(list(self.world.folder.glob("*.said")))
        out = self.world.folder / f"run-{number:03d}"
        memory = _names(SHM)
        fault.prepare(out)
        family = self.start(setting, out, fault.more)
        victim = fault.do(family, out)
        start = time.monotonic()
        if victim is None:
            family.end()
            return None
        before = Seen.of(out, fault.broken)
        code, left_s = family.end()
        seconds = time.monotonic() - start - left_s
        trial = Trial(fault.title.format(victim), setting.title, ", ".join(setting.suites), fault.when, code)
        trial.seconds, trial.left_s, trial.said = round(seconds, 2), round(left_s, 2), _last(family.text())
        trial.wrong += _said_wrong(trial, family, fault.codes)
        self._go_on(trial, setting, out, fault, before)
        if self.watch_memory and (new := _names(SHM) - memory):
            trial.wrong.append(f"left in /dev/shm: {', '.join(sorted(new))}")
        if not trial.wrong:
            shutil.rmtree(out, ignore_errors=True)  # which may be a disk
        return trial

    def _go_on(self, trial: Trial, setting: Setting, out: Path, fault: Fault, before: Seen) -> None:
        """Run the same command again where it did not end well, and hold its folder against another."""
        kept = Seen.of(out, fault.broken)
        fault.mend(out)
        if trial.code:
            code, said = self.finish(setting, out)
            if code:
                trial.wrong.append(f"the second command ended with {code}: {said}")
                return
            if fault.broken and "damaged" not in said:
                trial.wrong.append(f"the damaged shard is not named: {said}")
        undisturbed = self.undisturbed(setting)
        trial.wrong += complaints(self.world, setting, out, undisturbed, before, kept, fault.broken)
        trial.lost = sum(times - 1 for times in Seen.of(out).computed.values())


def _said_wrong(trial: Trial, family: Family, codes: Sequence[int]) -> list[str]:
    """Return what is wrong with the end of a command."""
    found = []
    if left := family.kill():
        found.append(f"still alive: {'; '.join(one.words for one in left)}")
    if trial.code not in codes:
        found.append(f"exit code {trial.code}")
    if "Traceback" in family.text():
        found.append("a trace was shown")
    return found


def _names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def _last(text: str) -> str:
    """Return the last line that says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if any(word in line for word in TOLD) and "needs jinja2" not in line]
    return (told or lines or [""])[-1][:300]
