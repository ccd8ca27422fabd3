"""``sambench runs gc``: what is offered for removal is what nobody needs, and nothing else ever goes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command import call, cells_of, flags, metrics
from tiny_coco import TinyCoco, make_tiny

from sambench.harness import garbage
from sambench.harness.garbage import AT_WORK, find_waste
from sambench.harness.inventory import Inventory


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyCoco, Path]:
    """A run of two models, all of whose files are old."""
    root = tmp_path_factory.mktemp("garbage")
    tiny = make_tiny(root / "data")
    assert call(*flags(tiny, root / "tiny", suites="gt_box")).code == 0
    return tiny, root / "tiny"


@pytest.fixture
def out(made: tuple[TinyCoco, Path], tmp_path: Path) -> Path:
    """A copy for the test, with its times."""
    shutil.copytree(made[1], tmp_path / "tiny")
    age(tmp_path / "tiny")
    return tmp_path / "tiny"


def age(folder: Path, seconds: float = 2 * AT_WORK) -> None:
    """Make everything in a folder so much older, in step."""
    for file in [*folder.rglob("*"), folder]:
        stat = file.stat()
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns - int(seconds * 1e9)))


def put(file: Path, content: bytes = b"{}", *, old: bool = True) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    if old:
        age(file)
    return file


def all_files(folder: Path) -> set[str]:
    return {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}


def cell_folder(out: Path, model: str) -> Path:
    return out / next(c["records"] for c in cells_of(out) if c["model"] == model)


def another_cell(out: Path) -> Path:
    """Another cell, such as an older version of the code left behind."""
    old = out / "records" / "box-gt_box-tiny-0123456789ab"
    shutil.copytree(cell_folder(out, "box"), old)
    return old


def waste(out: Path) -> set[str]:
    return {one.path.relative_to(out).as_posix() for one in find_waste(Inventory.of(out)).waste}


def test_of_a_run_that_is_just_done_nothing_is_waste(out: Path) -> None:
    assert waste(out) == set()
    assert "nothing to remove" in call("runs", "gc", out).err


def test_it_is_listed_and_with_yes_removed_and_the_rest_stays(made: tuple[TinyCoco, Path], out: Path) -> None:
    before = all_files(out)
    old = another_cell(out)
    scores = put(cell_folder(out, "box") / "_scores-aaaaaaaaaaaa.json")
    evidence = put(cell_folder(out, "box") / "_evidence-aaaaaaaaaaaa.npz")
    shard = next(cell_folder(out, "ellipse").glob("*.parquet"))
    begun = put(shard.with_name(f"_begun-{shard.stem}.part"))
    half = put(out / f".report.html.{'0' * 16}.tmp")
    expected = {p.relative_to(out).as_posix() for p in (old, scores, evidence, begun, half)}
    assert waste(out) == expected

    listed = call("runs", "gc", out, "--json")
    assert {Path(w["path"]).relative_to(out).as_posix() for w in json.loads(listed.out)["waste"]} == expected
    assert old.exists()
    said = call("runs", "gc", out)
    assert "--yes removes them" in said.err
    assert all(path in said.out for path in expected)
    assert old.exists()

    done = call("runs", "gc", out, "--yes")
    assert done.code == 0
    assert all_files(out) - {".results.json.lock"} == before - {".results.json.lock"}
    assert waste(out) == set()
    numbers = metrics(out)
    assert call(*flags(made[0], out, suites="gt_box")).code == 0
    assert metrics(out) == numbers


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda out, old: put(old / "_session-1.json", old=False), "changed 1 s ago"),
        (lambda out, old: put(old / "notes.txt"), "not known: notes.txt"),
        (lambda out, old: put(old / "deeper" / "_cell.json"), "not known: deeper/_cell.json"),
        (lambda out, old: (old / "_cell.json").unlink(), "not known: no _cell.json"),
        (lambda out, old: (out / "results.json").unlink(), "there is no results.json"),
    ],
    ids=["at work", "notes", "deeper", "no key", "no results"],
)
def test_what_is_not_surely_waste_stays_and_why_is_said(
    out: Path, change: Callable[[Path, Path], object], why: str
) -> None:
    old = another_cell(out)
    change(out, old)
    before = all_files(out)
    done = call("runs", "gc", out, "--yes")
    assert done.code == 0
    assert f"kept: {old}: {why}" in done.err
    assert old.exists()
    assert all_files(out) >= before


def test_days_of_work_without_a_number_yet_stay(out: Path) -> None:
    """A run that was interrupted has a cell with shards, and a result that is not done."""
    content = json.loads((out / "results.json").read_text())
    for cell in content["cells"]:
        cell |= {"status": "failed", "reason": "out of memory", "records": None, "metrics": {}}
    (out / "results.json").write_text(json.dumps(content))
    before = all_files(out)
    done = call("runs", "gc", out, "--yes")
    assert done.err.count("a result without a number may come from it") == 2
    assert all_files(out) - {".results.json.lock"} == before - {".results.json.lock"}


def test_a_young_temporary_file_is_that_of_a_command_at_work(out: Path) -> None:
    young = put(out / f".results.json.{'1' * 16}.tmp", old=False)
    assert waste(out) == set()
    os.utime(young, (time.time() - 2 * AT_WORK,) * 2)
    assert waste(out) == {young.name}


def test_files_of_people_and_a_part_that_is_needed_stay(out: Path) -> None:
    folder = cell_folder(out, "box")
    put(folder / "_begun-00007-of-00009.part")
    put(out / ".mine.tmp")
    put(out / "notes.txt")
    put(out / "records" / "README")
    assert waste(out) == set()


def test_scores_of_a_result_without_evidence_stay(out: Path) -> None:
    content = json.loads((out / "results.json").read_text())
    for cell in content["cells"]:
        cell["evidence"] = None
    (out / "results.json").write_text(json.dumps(content))
    put(cell_folder(out, "box") / "_scores-aaaaaaaaaaaa.json")
    assert waste(out) == set()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    file = put(tmp_path / "box-gt_box-tiny-0123456789ab" / "_cell.json")
    done = call("runs", "gc", tmp_path, "--yes")
    assert done.code == 2
    assert "no folder of a run" in done.err
    assert file.exists()


def test_rounds_that_no_result_has_go_and_gates_stay(tmp_path: Path) -> None:
    speeds = tmp_path / "records" / "throughput"
    rounds = put(speeds / "box-eager-fp32-E-b1-0123456789ab" / "round-00.json")
    put(rounds.with_name("round-00.parquet"))
    put(speeds / "box-eager-fp32-gate-0123456789ab" / "gate.json")
    put(tmp_path / "results.json", b'{"schema": 1, "cells": []}')
    assert waste(tmp_path) == {rounds.parent.relative_to(tmp_path).as_posix()}


def test_what_is_removed_from_a_mirror_is_removed_in_the_store(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(garbage, "AT_WORK", -1.0)  # the copies in the mirror are new
    old = another_cell(out)
    kept = cell_folder(out, "box")
    assert call("runs", "gc", f"file://{out}", "--yes").code == 0
    assert all_files(old) == set()
    assert all_files(kept)
