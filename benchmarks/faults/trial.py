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
            done = self.start(Setting(suites=self.suites, apart=setting.apart), out)
            code, _ = done.end()
            assert code == 0, done.text()
        return out

    def start(self, setting: Setting, out: Path, more: Mapping[str, str] | None = None) -> Family:
        """Start a setting's command."""
        words = command(self.world.arguments(setting, out))
        said = out.with_suffix(".said")
        return Family(words, self.world.environment(setting, out, more or {}), said)

    def disturbed(
        self,
        fault: str,
        when: str,
        setting: Setting,
        do: Callable[[Family, Path], str | None],
        *,
        more: Mapping[str, str] | None = None,
        codes: Sequence[int] = (0,),
        broken: Sequence[str] = (),
        prepare: Callable[[Path], object] = lambda out: None,
        mend: Callable[[Path], object] = lambda out: None,
    ) -> Trial | None:
        """Start a run, let something happen to it, go on with it where it ended, and look at all of it.

        Args:
            fault: what happens, for the table.
            when: it does.
            setting: of the run.
            do: makes it happen, and says to whom; ``None`` where the run had ended by then.
            more: environment variables of the first command.
            codes: those that the first command may end with.
            broken: shards that ``do`` breaks, by their paths; filled by it.
            prepare: is called with the run's folder before the first command.
            mend: is called with it before the second one.

        Returns:
            What became of it; ``None`` where nothing had happened.
        """
        number = len(list(self.world.folder.glob("*.said")))
        out = self.world.folder / f"run-{number:03d}"
        memory = set(_names(SHM))
        prepare(out)
        family = self.start(setting, out, more)
        victim = do(family, out)
        start = time.monotonic()
        before = Seen.of(out, broken)
        if victim is None:
            family.end()
            return None
        code, left_s = family.end()
        names = ", ".join(setting.suites)
        trial = Trial(
            fault.format(victim), setting.title, names, when, code, time.monotonic() - start - left_s
        )
        trial.left_s, trial.said = round(left_s, 2), _last(family.text())
        trial.seconds = round(trial.seconds, 2)
        self._look(trial, setting, out, family, before, codes, broken, mend)
        if self.watch_memory and (new := set(_names(SHM)) - memory):
            trial.wrong.append(f"left in /dev/shm: {', '.join(sorted(new))}")
        if not trial.wrong:
            shutil.rmtree(out, ignore_errors=True)  # which may be a disk
        return trial

    def _look(
        self,
        trial: Trial,
        setting: Setting,
        out: Path,
        family: Family,
        before: Seen,
        codes: Sequence[int],
        broken: Sequence[str],
        mend: Callable[[Path], object],
    ) -> None:
        if left := family.kill():
            trial.wrong.append(f"still alive: {'; '.join(one.words for one in left)}")
        if trial.code not in codes:
            trial.wrong.append(f"exit code {trial.code}")
        if "Traceback" in family.text():
            trial.wrong.append("a trace was shown")
        kept = Seen.of(out, broken)
        mend(out)
        if trial.code:
            again = self.start(setting, out)
            code, _ = again.end()
            if code:
                trial.wrong.append(f"the second command ended with {code}: {_last(again.text())}")
            if left := again.kill():
                trial.wrong.append(
                    f"still alive after the second command: {'; '.join(m.words for m in left)}"
                )
        trial.wrong += complaints(self.world, setting, out, self.undisturbed(setting), before, kept, broken)
        trial.lost = sum(times - 1 for times in Seen.of(out).computed.values())


def _names(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def _last(text: str) -> str:
    """Return the last line that says what happened: none of a result's tables, or of progress."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    words = ("worker", "Stopped", "error", "rank", "Error", "warning", "killed", "torchrun")
    told = [line for line in lines if any(word in line for word in words)]
    return (told or lines or [""])[-1][:300]
