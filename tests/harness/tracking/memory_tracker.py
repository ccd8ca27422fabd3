"""A tracker of the tests' own: what it is sent stays in memory, and it fails where it is told to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sambench.harness.tracking.content import Entry, Model, Point
from sambench.harness.tracking.tracker import Tracker


class DiedError(BaseException):
    """The end of a process: nothing between it and the outside handles it."""


@dataclass
class Run:
    """One run at the place."""

    name: str
    identity: str
    parent: str | None
    began: float
    params: dict[str, str] = field(default_factory=dict)
    points: list[tuple[str, int, float, float]] = field(default_factory=list)
    """Name, step, value, time; the same four are kept once, as MLflow's database does."""
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    status: str = "running"


@dataclass
class Server:
    """What outlives the trackers that send to it."""

    runs: dict[str, Run] = field(default_factory=dict)
    versions: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Model, checksum, run and place."""
    names: Iterator[int] = field(default_factory=itertools.count)

    def content(self) -> dict[str, Any]:
        """All that is there by the names of the runs, but for times and what the runs are called."""
        names = [run.name for run in self.runs.values()]
        assert len(set(names)) == len(names), f"a run is there twice: {names}"
        runs = {
            run.name: {
                "parent": run.parent and self.runs[run.parent].name,
                "params": run.params,
                "points": sorted((name, step, value) for name, step, value, _ in run.points),
                "tags": run.tags,
                "files": run.files,
                "status": run.status,
            }
            for run in self.runs.values()
        }
        return {"runs": runs, "versions": [version[:2] for version in self.versions]}

    def of(self, model: str) -> Run:
        """The one run of a model's cell."""
        (found,) = [run for run in self.runs.values() if run.params.get("model") == model]
        return found


class MemoryTracker(Tracker):
    """Sends to a `Server`.

    Args:
        server: where to.
        where: what the place is called.
        fail_at: which of its calls fails, from 0.
        took_effect: whether that call had done what it was asked when it failed.
        error: what it fails with.

    Attributes:
        asked: the calls that were made, ...
        changed: ... and those of them that are there to change something.
    """

    name = "memory"

    def __init__(
        self,
        server: Server,
        where: str = "here",
        fail_at: int | None = None,
        took_effect: bool = False,
        error: BaseException | None = None,
    ) -> None:
        self.server, self.where = server, where
        self.fail_at, self.took_effect = fail_at, took_effect
        self.error = error or ConnectionError("torn")
        self.asked: list[str] = []
        self.changed: list[str] = []

    def _call(self, what: str, changes: bool = True) -> bool:
        """Count a call; return whether it is to fail after it took effect."""
        place = len(self.asked)
        self.asked.append(what)
        if changes:
            self.changed.append(what)
        if place == self.fail_at and not self.took_effect:
            raise self.error
        return place == self.fail_at

    def _end(self, fails: bool) -> None:
        if fails:
            raise self.error

    def reach(self) -> None:
        self._end(self._call("reach", changes=False))

    def find(self, identity: str) -> str | None:
        self._end(self._call("find", changes=False))
        return next((run for run, one in self.server.runs.items() if one.identity == identity), None)

    def exists(self, run: str) -> bool:
        self._end(self._call("exists", changes=False))
        return run in self.server.runs

    def create(self, entry: Entry, identity: str, began: float, parent: str | None) -> str:
        fails = self._call("create")
        assert parent is None or parent in self.server.runs
        run = f"run {next(self.server.names)} of {self.where}"
        self.server.runs[run] = Run(entry.name, identity, parent, began)
        self._end(fails)
        return run

    def describe(self, run: str, params: Mapping[str, str]) -> None:
        fails = self._call("describe")
        there = self.server.runs[run].params
        assert not {k for k in params if there.get(k, params[k]) != params[k]}, "a parameter never changes"
        there.update(params)
        self._end(fails)

    def log(self, run: str, points: Sequence[Point]) -> None:
        fails = self._call("log")
        there = self.server.runs[run].points
        for point in points:
            assert point.time is not None
            if (one := (point.name, point.step, point.value, point.time)) not in there:
                there.append(one)
        self._end(fails)

    def tag(self, run: str, tags: Mapping[str, str]) -> None:
        fails = self._call("tag")
        self.server.runs[run].tags.update(tags)
        self._end(fails)

    def upload(self, run: str, source: Path, place: str) -> None:
        fails = self._call("upload")
        assert source.name == Path(place).name
        self.server.runs[run].files[place] = source.read_bytes()
        self._end(fails)

    def end(self, run: str, status: str, ended: float) -> None:
        fails = self._call("end")
        self.server.runs[run].status = status
        self._end(fails)

    def register(self, run: str, model: Model) -> str:
        fails = self._call("register")
        assert run in self.server.runs
        known = [
            place for place, one in enumerate(self.server.versions) if one[:2] == (model.name, model.sha256)
        ]
        if not known:
            known = [len(self.server.versions)]
            self.server.versions.append((model.name, model.sha256, run, model.place))
        self._end(fails)
        return str(known[0] + 1)

    def close(self) -> None:
        self._end(self._call("close", changes=False))


def silent(what: str, size: int) -> None:
    """Hear what is sent, and say nothing."""
