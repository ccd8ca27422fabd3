"""What lies in the folder of a run: cells, how much of each, who made it, and what results refer to."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.harness.store import CellStore
from sambench.suites.protocol import Protocol
from sambench.suites.results import CellResult, load_results

Use = Literal["in results", "unfinished", "unused"]
"""A result has numbers of a cell; or it has none yet, and they may come from the cell; or neither."""

SPEEDS = "throughput"
"""The folder among the records that holds what ``sambench throughput`` measured."""

_SHARD = re.compile(r"(\d{5,})-of-(\d{5,})\.parquet")
_ROUND = re.compile(r"round-\d+\.json")


@dataclass(frozen=True)
class Held:
    """A cell on disk, whether or not any result is made of it.

    Attributes:
        run: the folder of the run.
        folder: the cell's.
        results: that refer to it.
        awaited: results without a number that its records may yet become.
    """

    run: Path
    folder: Path
    results: tuple[CellResult, ...] = ()
    awaited: tuple[CellResult, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name, of speeds with that of theirs before it."""
        return self.folder.relative_to(self.run / "records").as_posix()

    @property
    def is_speed(self) -> bool:
        """Whether it holds the rounds of a throughput."""
        return self.folder.parent.name == SPEEDS

    @property
    def use(self) -> Use:
        """What results say of it."""
        return "in results" if self.results else "unfinished" if self.awaited else "unused"

    @cached_property
    def files(self) -> dict[Path, tuple[int, float]]:
        """Size, and time of the last change, of each file."""
        found = {}
        for file in sorted(self.folder.rglob("*")):
            try:
                stat = file.stat()
            except OSError:  # gone meanwhile
                continue
            if file.is_file():
                found[file] = (stat.st_size, stat.st_mtime)
        return found

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(size for size, _ in self.files.values())

    @property
    def changed(self) -> float:
        """When it last changed, in seconds of `time.time`."""
        return max((at for _, at in self.files.values()), default=self.folder.stat().st_mtime)

    @cached_property
    def key(self) -> dict[str, Any]:
        """What decides the records, as the cell says itself; of speeds what the result says of them."""
        if self.is_speed:
            result = next(iter(self.results), None)
            return {} if result is None else {name: getattr(result, name) for name in _OF_RESULT}
        try:
            found = json.loads((self.folder / "_cell.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @cached_property
    def store(self) -> CellStore | None:
        """Its shards; ``None`` where there are none yet, and of speeds."""
        found = [match for file in self.files if (match := _SHARD.fullmatch(file.name))]
        return CellStore(self.folder, int(found[0][2])) if found and not self.is_speed else None

    @property
    def done(self) -> int:
        """Shards, or rounds, that are there."""
        pattern = _ROUND if self.is_speed else _SHARD
        return sum(bool(pattern.fullmatch(file.name)) for file in self.files)

    @property
    def of(self) -> int | None:
        """Shards of a finished cell, where that is known."""
        return self.store.shards if self.store else None

    @cached_property
    def sessions(self) -> list[dict[str, Any]]:
        """What the commands that computed the records say of themselves, the first one first."""
        return CellStore(self.folder, 0).sessions()

    @property
    def commands(self) -> list[str]:
        """The commands that computed it, each once."""
        found = [s.get("command") for s in self.sessions]
        found += [result.provenance.get("command") for result in self.results] if self.is_speed else []
        return list(dict.fromkeys(str(command) for command in found if command))

    @property
    def images(self) -> int:
        """Images whose records are there, from what the commands say; two at once may have done the same."""
        if self.store and self.done == self.of and self.results:
            return self.results[0].n_images
        computed = sum(int(session.get("images", 0)) for session in self.sessions)
        return min(computed, self.done * int(self.key.get("shard_images", 0)))

    @property
    def departures(self) -> list[str]:
        """Choices of the protocol that decide the records, and are not the default's."""
        default, axes = Protocol(), self.key.get("protocol") or {}
        return [f"{k}={v}" for k, v in axes.items() if k != "preset" and v != getattr(default, k, None)]

    def to_json(self) -> dict[str, Any]:
        """Return what there is to say in a list."""
        key = self.key
        return {
            "run": self.run.as_posix(),
            "cell": self.name,
            "model": key.get("model"),
            "engine": key.get("engine"),
            "precision": key.get("precision"),
            "weights": (key.get("weights") or {}).get("source"),
            "suite": key.get("suite"),
            "dataset": key.get("dataset"),
            "protocol": self.departures,
            "shards_done": self.done,
            "shards": self.of,
            "images": self.images,
            "bytes": self.bytes,
            "changed": datetime.fromtimestamp(self.changed, UTC).isoformat(timespec="seconds"),
            "use": self.use,
            "commands": self.commands,
        }


_OF_RESULT = ("model", "engine", "precision", "suite", "dataset")


@dataclass(frozen=True)
class Inventory:
    """All that is in the folder of a run."""

    run: Path
    cells: tuple[Held, ...]
    results: tuple[CellResult, ...] | None
    """What ``results.json`` has; ``None`` where there is no such file."""
    looked: float = field(default_factory=time.time)
    """When, in seconds of `time.time`."""

    @classmethod
    def of(cls, run: Path) -> Inventory:
        """Look at the folder of a run.

        Raises:
            SambenchError: it is none, or its results cannot be read.
        """
        if not is_run(run):
            raise SambenchError(
                f"{run}: no folder of a run; there is neither results.json nor records in it. Name the "
                "--out folder of a run, or one that holds such folders."
            )
        results = tuple(load_results(run)) if (run / "results.json").exists() else None
        cells = [_held(run, folder, results or ()) for folder in _cell_folders(run)]
        return cls(run, tuple(cells), results)

    def cell(self, name: str) -> Held:
        """Return a cell by its name, or by what only its name begins with.

        Raises:
            SambenchError: none is called so, or several are.
        """
        found = [cell for cell in self.cells if cell.name == name]
        found = found or [cell for cell in self.cells if cell.name.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise SambenchError(f"{self.run}: {name!r} is of {', '.join(cell.name for cell in found)}.")
        near = did_you_mean(name, [cell.name for cell in self.cells])
        raise SambenchError(f"{self.run}: no cell {name!r}.{near} 'sambench runs list {self.run}' has them.")


def is_run(folder: Path) -> bool:
    """Tell whether a folder looks like the ``--out`` of a run."""
    return (folder / "results.json").is_file() or (folder / "records").is_dir()


def runs_in(folder: Path) -> list[Path]:
    """Return the folder of a run, or those that a folder holds.

    Raises:
        SambenchError: there is none.
    """
    if is_run(folder):
        return [folder]
    found = sorted(child for child in folder.glob("*") if is_run(child))
    if not found:
        raise SambenchError(
            f"{folder}: no run, nor folders of runs in it. Name the --out folder of 'sambench run', or the "
            "folder that holds some."
        )
    return found


def _cell_folders(run: Path) -> Iterator[Path]:
    for folder in sorted((run / "records").glob("*")):
        if folder.name == SPEEDS:
            yield from sorted(child for child in folder.glob("*") if child.is_dir())
        elif folder.is_dir():
            yield folder


def _held(run: Path, folder: Path, results: Sequence[CellResult]) -> Held:
    name = folder.relative_to(run).as_posix()
    referring = tuple(result for result in results if result.records == name)
    cell = Held(run, folder, referring)
    if referring:
        return cell
    open_ = [result for result in results if result.records is None]
    return Held(run, folder, (), tuple(result for result in open_ if _may_become(cell, result)))


def _may_become(cell: Held, result: CellResult) -> bool:
    """Tell whether a result without a number may come from a cell, whose key may be of other code."""
    if cell.is_speed:
        return cell.folder.name.startswith(f"{result.model}-{result.engine}-{result.precision}-")
    return bool(cell.key) and all(cell.key.get(name) == getattr(result, name) for name in _OF_RESULT)
