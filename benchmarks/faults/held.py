"""What a run's folder is held against: one that nothing disturbed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.faults.world import Setting, World, computed
from sambench.harness.plan import SHARD_IMAGES


@dataclass(frozen=True)
class Seen:
    """A run's folder at one moment."""

    shards: Mapping[str, tuple[int, str]]
    """By path, when each was written and its SHA-256."""
    sessions: Mapping[str, dict[str, int]]
    """By cell and command, images."""
    computed: Counter[tuple[str, int]]

    @classmethod
    def of(cls, out: Path, broken: Sequence[str] = ()) -> Seen:
        """Look, past shards that are broken."""
        shards = {
            file.relative_to(out).as_posix(): (
                file.stat().st_mtime_ns,
                hashlib.sha256(file.read_bytes()).hexdigest(),
            )
            for file in sorted((out / "records").rglob("*.parquet"))
            if file.relative_to(out).as_posix() not in broken
        }
        sessions: dict[str, dict[str, int]] = {}
        for file in (out / "records").rglob("_session-*.json"):
            sessions.setdefault(file.parent.name, {})[file.name] = json.loads(file.read_text())["images"]
        return cls(shards, sessions, computed(out))


def plain(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return a run's cells by model and suite, without times, hosts and commands."""
    cells = json.loads((out / "results.json").read_text())["cells"]
    for cell in cells:
        cell.pop("timing")
        for name in ("command", "git"):
            cell["provenance"].pop(name)
        cell["provenance"].get("hardware", {}).pop("host", None)
    return {(cell["model"], cell["suite"]): cell for cell in cells}


def complaints(
    world: World,
    setting: Setting,
    out: Path,
    undisturbed: Path,
    before: Seen,
    kept: Seen,
    broken: Sequence[str] = (),
) -> list[str]:
    """Say what is not as it must be.

    Args:
        world: of the run.
        setting: of the run.
        out: its folder, at the end.
        undisturbed: that of one with all suites.
        before: what was there when the fault came.
        kept: what was there when the command had ended that it came to.
        broken: shards that were to be computed again.
    """
    now, found = Seen.of(out), []
    whole = {name: digest for name, (_, digest) in Seen.of(undisturbed).shards.items()}
    wanted = {n: d for n, d in whole.items() if _suite_of(n) in setting.suites and _is_of(n, setting)}
    if {name: digest for name, (_, digest) in now.shards.items()} != wanted:
        found.append("records differ")
    theirs, ours = plain(undisturbed), plain(out)
    models = ["slow", "twin"][: setting.models]
    if ours != {key: theirs[key] for key in theirs if key[0] in models and key[1] in setting.suites}:
        found.append("results.json differs")
    for then, when in ((before, "at the fault"), (kept, "after it")):
        if any(now.shards.get(name) != fact for name, fact in then.shards.items()):
            found.append(f"a shard that was finished {when} was written again")
    found += _computed_twice(world, setting, before, now)
    found += _miscounted(world, kept, now, len(broken))
    found += [f"{name}: half written" for name in half_written(out)]
    return found


def _suite_of(shard: str) -> str:
    """Return the suite of a shard's path, ``records/MODEL-SUITE-.../...``."""
    folder = shard.split("/")[1]
    return next(name for name in ("gt_box", "click", "det_box", "everything") if f"{name}" in folder)


def _is_of(shard: str, setting: Setting) -> bool:
    return setting.apart or not shard.split("/")[1].startswith("twin")


def _computed_twice(world: World, setting: Setting, before: Seen, now: Seen) -> list[str]:
    """Say which images of shards that all cells had were computed again."""
    found = []
    for model in ["slow", "twin"][: setting.models]:
        for start in range(0, world.images, SHARD_IMAGES):
            name = f"{start // SHARD_IMAGES:05d}-of-"
            cells = [s for s in before.shards if s.split("/")[1].startswith(model) and name in s]
            if len(cells) < len(setting.suites):
                continue
            images = range(start, min(start + SHARD_IMAGES, world.images))
            if twice := [i for i in images if now.computed[model, i] != 1]:
                found.append(f"{model}: images {twice} of a finished shard were computed again")
    return found


def _miscounted(world: World, kept: Seen, now: Seen, again: int) -> list[str]:
    """Hold what commands say that they did against what was missing."""
    found = []
    for cell, counts in now.sessions.items():
        there = [name for name in kept.shards if name.split("/")[1] == cell]
        missing = world.images - sum(_images(world, name) for name in there)
        later = {name: n for name, n in counts.items() if name not in kept.sessions.get(cell, {})}
        if sum(later.values()) != missing:
            found.append(
                f"{cell}: {sum(later.values())} images done by the second command, {missing} missing"
            )
        if not world.images - SHARD_IMAGES <= sum(counts.values()) <= world.images + again * SHARD_IMAGES:
            found.append(f"{cell}: {sum(counts.values())} images counted, of {world.images}")
    return found


def _images(world: World, shard: str) -> int:
    number = int(Path(shard).name.split("-of-")[0])
    return min(SHARD_IMAGES, world.images - number * SHARD_IMAGES)


def half_written(out: Path) -> list[str]:
    """Return files that have a name and are not whole; what a killed process left has none."""
    found = []
    for file in out.rglob("*"):
        if not file.is_file() or file.name.startswith("."):
            continue
        try:
            if file.suffix == ".parquet":
                pq.read_table(file)
            elif file.suffix == ".json":
                json.loads(file.read_text())
        except Exception:
            found.append(file.relative_to(out).as_posix())
    return found
