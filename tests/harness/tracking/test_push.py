"""What is sent is there once, wherever sending was broken off, and whatever the folder became meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command import call, cells_of, flags
from folders import ABOUT, DECIDES, STEPS, scores, step, write_lines, write_training
from memory_tracker import DiedError, MemoryTracker, Server, silent
from tiny_coco import make_tiny

from sambench.adapters.base import Segmenter
from sambench.adapters.files import locked
from sambench.adapters.registry import create
from sambench.evsam.errors import SambenchError
from sambench.harness.tracking.content import Point
from sambench.harness.tracking.push import UnreachableError, push
from sambench.reports.pieces import pieces

DEATHS = [ConnectionError("torn"), DiedError()]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run that was stopped before its second model, and the same once it was done."""
    root = tmp_path_factory.mktemp("runs")
    command = flags(make_tiny(root / "data", images=3), root / "run", suites="gt_box")

    def create_or_stop(name: str, **options: Any) -> Segmenter:
        if name == "ellipse":
            raise KeyboardInterrupt
        return create(name, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sambench.adapters.spec.create", create_or_stop)
        assert call(*command).code == 130
    shutil.copytree(root / "run", root / "stopped" / "run")
    assert call(*command).code == 0
    return root / "stopped" / "run", root / "run"


@pytest.fixture(scope="module")
def drawn(folders: tuple[Path, Path]) -> dict[str, bytes]:
    """Tables and figures of the whole run."""
    return pieces([folders[1]])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, drawn: dict[str, bytes]) -> None:
    """Figures are drawn once for all tests, and no disk is waited for."""
    monkeypatch.setattr("sambench.harness.tracking.push.pieces", lambda runs: drawn)
    monkeypatch.setattr(os, "fsync", lambda file: None)


def copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target, dirs_exist_ok=True))


def sent(out: Path, server: Server, running: str | None = None, **options: Any) -> MemoryTracker:
    tracker = MemoryTracker(server, **options)
    assert push(out, tracker, silent, running) == 0 or tracker.changed
    return tracker


def assert_sent_once(out: Path, server: Server, whole: dict[str, Any]) -> None:
    """A push completes what is there; another has nothing to change."""
    sent(out, server)
    assert server.content() == whole
    again = MemoryTracker(server)
    assert push(out, again, silent) == 0
    assert again.changed == []
    assert server.content() == whole


def broken_anywhere(out: Path, target: Path, error: BaseException, took_effect: bool) -> int:
    """Break the first push off at every of its calls; return how many there are."""
    untouched = Server()
    calls = len(sent(copied(out, target / "untouched" / out.name), untouched).asked)
    for n in range(calls):
        folder, server = copied(out, target / str(n) / out.name), Server()
        with pytest.raises((UnreachableError, DiedError)):
            push(folder, MemoryTracker(server, "here", n, took_effect, error), silent)
        assert_sent_once(folder, server, untouched.content())
    return calls


@pytest.mark.parametrize("took_effect", [False, True])
@pytest.mark.parametrize("error", DEATHS, ids=["refused", "died"])
def test_a_run_is_there_once_wherever_its_push_broke_off(
    folders: tuple[Path, Path], tmp_path: Path, error: BaseException, took_effect: bool
) -> None:
    assert broken_anywhere(folders[1], tmp_path, error, took_effect) > 30


@pytest.mark.parametrize("took_effect", [False, True])
@pytest.mark.parametrize("error", DEATHS, ids=["refused", "died"])
def test_a_training_and_its_model_are_there_once_wherever_their_push_broke_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, took_effect: bool
) -> None:
    monkeypatch.setattr("sambench.harness.tracking.push.BATCH", 5)
    lines = [{key: value for key, value in line.items() if key != "time"} for line in STEPS]  # an older log
    out = write_training(tmp_path / "training", lines)
    assert broken_anywhere(out, tmp_path / "broken", error, took_effect) > 12


@pytest.fixture
def halfway(folders: tuple[Path, Path], tmp_path: Path) -> Callable[[], tuple[Path, Server]]:
    """Makes a folder that was sent while it was worked on and when that was stopped; then it was finished."""
    command = cells_of(folders[0])[0]["provenance"]["command"]
    number = itertools.count()

    def make() -> tuple[Path, Server]:
        out, server = copied(folders[0], tmp_path / str(next(number)) / "run"), Server()
        sent(out, server, command)
        assert [run.status for run in server.runs.values()] == ["running", "finished"]
        sent(out, server)
        assert [run.status for run in server.runs.values()] == ["killed", "finished"]
        return copied(folders[1], out), server

    return make


@pytest.mark.parametrize("took_effect", [False, True])
def test_a_run_that_goes_on_is_the_same_runs_wherever_the_second_push_broke_off(
    halfway: Callable[[], tuple[Path, Server]], took_effect: bool
) -> None:
    out, server = halfway()
    calls = len(sent(out, server).asked)
    untouched = server.content()
    for n in range(calls):
        out, server = halfway()
        before = list(server.runs)
        with pytest.raises(DiedError):
            push(out, MemoryTracker(server, "here", n, took_effect, DiedError()), silent)
        assert_sent_once(out, server, untouched)
        assert list(server.runs)[:2] == before
        assert [run.status for run in server.runs.values()] == ["finished"] * 3
        for run in server.runs.values():
            numbers = [(name, step, value) for name, step, value, _ in run.points]
            assert len(set(numbers)) == len(numbers)


def test_files_that_a_command_changes_wait_for_its_end(folders: tuple[Path, Path], tmp_path: Path) -> None:
    out, server = copied(folders[0], tmp_path / "run"), Server()
    sent(out, server, cells_of(out)[0]["provenance"]["command"])
    parent, child = server.runs.values()
    assert (parent.files, parent.points) == ({}, [])
    assert set(child.files) >= {"cell.json"}
    sent(out, server)
    assert parent.files["results.json"] == (out / "results.json").read_bytes()


def test_a_number_that_changed_is_a_later_one_and_the_others_stay(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out, server = copied(folders[1], tmp_path / "run"), Server()
    sent(out, server)
    box = server.of("box")
    first = list(box.points)
    content = json.loads((out / "results.json").read_text())
    (cell,) = [cell for cell in content["cells"] if cell["model"] == "box"]
    was, cell["metrics"]["miou"] = cell["metrics"]["miou"], 12.5
    (out / "results.json").write_text(json.dumps(content))
    with pytest.raises(UnreachableError):
        push(out, MemoryTracker(server, "here", 3, True), silent)  # it is sent, and that is not noted down
    sent(out, server)
    assert box.points[: len(first)] == first
    ((name, number, value, time),) = box.points[len(first) :]
    assert (name, number, value) == ("miou", 0, 12.5)
    assert time > next(point[3] for point in first if point[:3] == ("miou", 0, was))


def test_a_training_that_goes_on_behind_its_checkpoint_says_no_step_twice(tmp_path: Path) -> None:
    out, server = write_training(tmp_path / "t", [step(1), step(2), step(3)], whole=False), Server()
    sent(out, server, "sambench train")
    write_lines(out, [step(1), step(2)])  # its last checkpoint
    sent(out, server, "sambench train")
    again = [step(3, time=1_800_000_000.0, grad_norm=7.0), step(4, loss=None), scores(4, box=70.0)]
    write_training(out, [step(1), step(2), *again])
    sent(out, server)
    (run,) = server.runs.values()
    steps = {name: [point[1] for point in run.points if point[0] == name] for name, *_ in run.points}
    assert steps == {
        **{key: [1, 2, 3, 4] for key in ("epoch", "lr", "bad")},
        "loss": [1, 2, 3],
        "grad_norm": [3],
        "validation/box": [4],
    }
    assert run.status == "finished"


def test_another_training_in_the_folder_is_another_run(tmp_path: Path) -> None:
    out, server = write_training(tmp_path / "t", STEPS), Server()
    sent(out, server)
    first = dict(server.runs)
    about = ABOUT | {"id": "f" * 32, "decides": DECIDES | {"steps": 2, "model": "mobile_sam"}}
    write_training(out, STEPS[:3], about, seed=1)
    sent(out, server)
    assert len(server.runs) == 2
    assert server.runs.items() >= first.items()
    assert {point[1] for point in server.of("mobile_sam").points} == {1, 2}
    assert [version[0] for version in server.versions] == ["efficientvit_sam_nano", "mobile_sam"]


def test_two_places_get_all_and_one_that_was_wiped_gets_all_again(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out, here, there = copied(folders[1], tmp_path / "run"), Server(), Server()
    sent(out, here)
    sent(out, there, where="there")
    assert here.content() == there.content()
    assert [run.identity for run in here.runs.values()] == [run.identity for run in there.runs.values()]
    assert push(out, MemoryTracker(here), silent) == 0
    wiped = Server()
    assert push(out, MemoryTracker(wiped), silent) > 10
    assert_sent_once(out, wiped, here.content())
    assert push(out, MemoryTracker(there, "there"), silent) == 0


def test_what_was_removed_there_comes_back_when_it_changes_and_the_rest_is_not_sent_again(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out, server = copied(folders[1], tmp_path / "run"), Server()
    sent(out, server)
    whole = server.content()
    parent = next(iter(server.runs))
    del server.runs[parent]
    tracker = sent(out, server)
    assert tracker.changed.count("create") == 1
    assert tracker.changed.count("log") == 1
    for run in server.runs.values():
        run.parent = None  # which went with the command that was removed
    assert server.content()["runs"].keys() == whole["runs"].keys()
    (cell,) = [key for key, run in server.runs.items() if "ellipse" in run.name]
    del server.runs[cell]
    assert push(out, MemoryTracker(server), silent) == 0  # as somebody wished
    for shard in (out / "records").glob("*/*.parquet"):
        os.utime(shard, (1, 1))
    sent(out, server)
    assert server.of("ellipse").parent == next(run for run, one in server.runs.items() if one.name == "run")
    for run in server.runs.values():
        run.parent = None
    whole["runs"] = {name: run | {"parent": None} for name, run in whole["runs"].items()}
    assert server.content() == whole


@pytest.mark.parametrize("name", ["moved", "elsewhere/run"])
def test_a_folder_that_is_moved_or_copied_stays_what_it_was(
    folders: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    out, server = copied(folders[1], tmp_path / "run"), Server()
    sent(out, server)
    moved = copied(out, tmp_path / name)
    tracker = sent(moved, server)
    assert "create" not in tracker.changed
    assert "log" not in tracker.changed
    assert len(server.runs) == 3


def test_one_that_waited_for_another_sends_what_the_folder_has_become(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, server = copied(folders[0], tmp_path / "run"), Server()

    @contextlib.contextmanager
    def waited(path: Path) -> Iterator[None]:
        """The lock, when another command has finished the run and sent it."""
        monkeypatch.setattr("sambench.harness.tracking.push.locked", locked)
        sent(copied(folders[1], out), server)
        with locked(path):
            yield

    sent(out, server)
    monkeypatch.setattr("sambench.harness.tracking.push.locked", waited)
    tracker = sent(out, server, cells_of(out)[0]["provenance"]["command"])
    assert tracker.changed == ["end"]  # for it is at work
    sent(out, server)
    untouched = Server()
    sent(copied(folders[1], tmp_path / "untouched" / "run"), untouched)
    counts = ("cells_done", 0, 1.0)  # when it was stopped
    parent = next(iter(server.runs.values()))
    parent.points = [point for point in parent.points if point[:3] != counts]
    assert server.content() == untouched.content()


def test_a_folder_of_nothing_is_said_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    write_lines(tmp_path / "old", STEPS)  # a training of before it wrote what it is
    for name in ("old", "none"):
        with pytest.raises(SambenchError, match=r"no results.json and no training.json.*--out folder"):
            push(tmp_path / name, MemoryTracker(Server()), silent)
        assert push(tmp_path / name, MemoryTracker(Server()), silent, "sambench run") == 0
    assert [path.name for path in tmp_path.rglob("*")] == ["old", "metrics.jsonl"]


def test_a_damaged_ledger_is_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    out = copied(folders[1], tmp_path / "run")
    sent(out, Server())
    ledger = out / "tracking" / "memory.json"
    for damaged in (
        "{",
        "[]",
        '{"id": 3}',
        ledger.read_text().replace('"entries": {', '"entries": {"x": 3,'),
    ):
        ledger.write_text(damaged)
        with pytest.raises(SambenchError, match=r"memory\.json: damaged .*Remove it"):
            push(out, MemoryTracker(Server()), silent)


def test_no_password_is_in_what_is_said_of_a_place_that_refuses(tmp_path: Path) -> None:
    out = write_training(tmp_path / "t", STEPS)
    for padding in range(200, 310, 3):  # the message is cut somewhere in it
        error = ConnectionError("x" * padding + " http://me:hunter2-hunter2-hunter2@host/api refused")
        with pytest.raises(UnreachableError) as caught:
            push(out, MemoryTracker(Server(), error=error, fail_at=2), silent)
        assert "hunter" not in str(caught.value)


def test_numbers_go_in_batches(tmp_path: Path) -> None:
    sizes = []

    class Counting(MemoryTracker):
        """Writes down how many numbers a call has."""

        def log(self, run: str, points: Any) -> None:
            sizes.append(len(points))
            assert all(isinstance(point, Point) for point in points)
            super().log(run, points)

    out = write_training(tmp_path / "t", [step(n) for n in range(1, 626)], whole=False)
    push(out, Counting(Server()), silent)
    assert sizes == [1000, 1000, 500]  # epoch, loss, lr, bad
