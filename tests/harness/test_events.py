"""Whoever listens to a run is told all of it, and cannot end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from command import call, cells_of, flags
from tiny_coco import TinyCoco

from sambench.adapters.files import write_atomic
from sambench.harness.config.run import load_run
from sambench.harness.events import Events, Listener
from sambench.harness.plan import make_plan
from sambench.harness.results import ResultsFile
from sambench.harness.run import run
from sambench.suites.results import CellResult

EVENTS = ("run_started", "group_started", "images_done", "shard_done", "cell_done", "run_done")


@dataclass
class Diary(Listener):
    """Writes down what it is told."""

    told: list[tuple[Any, ...]] = field(default_factory=list)

    def run_started(self, cells: Sequence[CellResult]) -> None:
        self.told.append(("run_started", [cell.status for cell in cells]))

    def group_started(self, title: str, images: int, done: int) -> None:
        self.told.append(("group_started", title, images, done))

    def images_done(self, images: int) -> None:
        self.told.append(("images_done", images))

    def shard_done(self, title: str, shard: int) -> None:
        self.told.append(("shard_done", title, shard))

    def cell_done(self, cell: CellResult) -> None:
        self.told.append(("cell_done", cell.model, cell.suite, cell.status))

    def run_done(self, cells: Sequence[CellResult]) -> None:
        self.told.append(("run_done", [cell.status for cell in cells]))


class Broken(Listener):
    """Fails at one event."""

    def __init__(self, event: str) -> None:
        def fail(*facts: Any) -> None:
            raise ConnectionError("the server is gone")

        setattr(self, event, fail)


@pytest.fixture
def go(tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[CellResult]]:
    """Run two models on four images, two a shard, with listeners."""
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 2)
    content = {"models": "box,ellipse", "suites": "gt_box", "out": tmp_path / "run", "dataset": "tiny"}
    content |= {"images": tiny.images, "annotations": tiny.annotations}

    def go(*listeners: Listener, warnings: list[str] | None = None) -> list[CellResult]:
        said: list[str] = [] if warnings is None else warnings
        return run(make_plan(load_run(None, content)[0]), Events(listeners, said.append), "test")

    return go


def test_a_listener_is_told_everything_in_order(go: Callable[..., list[CellResult]]) -> None:
    first, second = Diary(), Diary()
    go(first)
    group = [("group_started", "box on tiny", 4, 0)]
    group += [("images_done", 1), ("images_done", 1), ("shard_done", "box on tiny", 0)]  # type: ignore[list-item]
    group += [("images_done", 1), ("images_done", 1), ("shard_done", "box on tiny", 1)]  # type: ignore[list-item]
    assert first.told[0] == ("run_started", ["unfinished", "unfinished"])
    assert first.told[1:8] == group
    assert first.told[8] == ("cell_done", "box", "gt_box", "done")
    assert first.told[-2:] == [("cell_done", "ellipse", "gt_box", "done"), ("run_done", ["done", "done"])]
    go(second)  # all is there
    assert second.told == [
        ("run_started", ["done", "done"]),
        ("group_started", "box on tiny", 4, 4),
        ("cell_done", "box", "gt_box", "done"),
        ("group_started", "ellipse on tiny", 4, 4),
        ("cell_done", "ellipse", "gt_box", "done"),
        ("run_done", ["done", "done"]),
    ]


@pytest.mark.parametrize("event", EVENTS)
def test_a_listener_that_fails_is_said_once_and_fails_nothing(
    go: Callable[..., list[CellResult]], event: str
) -> None:
    diary, warnings = Diary(), []
    cells = go(Broken(event), diary, warnings=warnings)
    assert [cell.status for cell in cells] == ["done", "done"]
    assert diary.told[-1] == ("run_done", ["done", "done"])
    assert warnings == ["Broken failed, the run goes on: the server is gone"]


def test_every_event_is_there_to_be_overridden() -> None:
    own = {name for name in vars(Listener) if not name.startswith("_")}
    assert own == {
        *EVENTS,
        "cells_so_far",
        "noted",
    }  # the first is told by throughput, the other where something is odd


def test_results_are_written_as_cells_end_and_once_more_where_that_failed(
    go: Callable[..., list[CellResult]], tmp_path: Path
) -> None:
    results, blocked = ResultsFile(tmp_path / "run"), tmp_path / "run" / "results.json"

    class Blocks(Listener):
        """Puts a folder where the file should be, and takes it away before the end."""

        def group_started(self, title: str, images: int, done: int) -> None:
            if title.startswith("box"):
                blocked.unlink()
                blocked.mkdir()
            else:
                assert results.error is not None
                blocked.rmdir()

    warnings: list[str] = []
    go(Blocks(), results, warnings=warnings)
    assert len(warnings) == 1
    assert "ResultsFile failed, the run goes on" in warnings[0]
    assert results.error is None
    assert [(c["model"], c["status"]) for c in cells_of(tmp_path / "run")] == [
        ("box", "done"),
        ("ellipse", "done"),
    ]


def test_cells_that_stand_there_already_are_not_written_again(
    go: Callable[..., list[CellResult]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def count(path: Path, content: bytes) -> None:
        written.append(path.name)
        write_atomic(path, content)

    monkeypatch.setattr("sambench.harness.results.write_atomic", count)
    go(ResultsFile(tmp_path / "run"))
    assert len(written) == 3  # at the start, and as each of two cells ends
    go(ResultsFile(tmp_path / "run"))
    assert len(written) == 4


def test_results_that_cannot_be_written_end_the_command_with_2_and_keep_the_records(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sambench.evsam.errors import SambenchError

    def full(path: Path, content: bytes) -> None:
        raise SambenchError(f"{path}: cannot be written (No space left on device).")

    monkeypatch.setattr("sambench.harness.results.write_atomic", full)
    done = call(*flags(tiny, tmp_path / "out", "box", "gt_box"))
    assert done.code == 2
    assert "results.json: cannot be written" in done.err
    assert len(list((tmp_path / "out" / "records").rglob("*.parquet"))) == 1
