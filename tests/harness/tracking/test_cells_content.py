"""What a folder of results has to say is what its results.json says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import call, cells_of, flags
from folders import COMMAND, cell, write_cells
from tiny_coco import make_tiny

from sambench.harness.tracking.cells import bare, entries_of_cells
from sambench.harness.tracking.content import Entry


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of a tiny data set by two models, and a third, with another command, by all of it."""
    root = tmp_path_factory.mktemp("real")
    tiny = make_tiny(root / "data", images=3)
    assert call(*flags(tiny, root / "run", suites="gt_box"), "--limit", 2).code == 0
    assert call(*flags(tiny, root / "run", "grabcut", "gt_box,click")).code == 0
    return root / "run"


def by_key(out: Path, running: str | None = None, **made: bytes) -> dict[str, Entry]:
    entries = entries_of_cells(out, running, made)
    found = {entry.key: entry for entry in entries}
    assert len(found) == len(entries)
    return found


def children(entries: dict[str, Entry]) -> list[Entry]:
    return [entry for entry in entries.values() if entry.parent is not None]


def numbers(entry: Entry) -> dict[str, float]:
    assert {(point.step, point.time) for point in entry.points} <= {(0, None)}
    found = {point.name: point.value for point in entry.points}
    assert len(found) == len(entry.points)
    return found


def test_numbers_parameters_tags_and_files_are_those_of_the_file(run: Path) -> None:
    entries = children(by_key(run))
    assert len(entries) == len(cells_of(run)) == 4
    for one, entry in zip(cells_of(run), entries, strict=True):
        wanted = {name: value for name, value in one["metrics"].items() if value is not None}
        for name, (low, high) in one["intervals"].items():
            wanted[f"{name}.low"], wanted[f"{name}.high"] = low, high
        wanted |= {"n_images": one["n_images"], "n_instances": one["n_instances"]}
        wanted |= {f"count.{name}": count for name, count in one["counts"].items()}
        wanted |= {f"timing.{name}": seconds for name, seconds in one["timing"].items()}
        assert numbers(entry) == wanted
        assert {"miou", "miou.low", "miou.high"} <= set(wanted) or one["suite"] == "click"

        asked = ("model", "suite", "dataset", "engine", "precision", "device")
        axes = {f"protocol.{axis}": str(value) for axis, value in one["protocol"].items()}
        part = {f"partial.{name}": str(value) for name, value in (one["partial"] or {}).items()}
        assert entry.params == {name: one[name] for name in asked} | axes | part
        assert bool(part) == (one["model"] != "grabcut")

        provenance = one["provenance"]
        assert entry.tags["annotations.sha256"] == provenance["annotations"]["sha256"]
        assert entry.tags["images.sha256"] == provenance["images"]["sha256"]
        assert entry.tags["git.commit"] == provenance["git"]["commit"]
        assert entry.tags["versions.torch"] == provenance["versions"]["torch"]
        assert entry.tags["git.dirty"] == str(provenance["git"]["dirty"]).lower()
        assert entry.tags["records"] == one["records"]
        assert (entry.tags["status"], entry.status) == ("done", "finished")
        assert not [name for name, text in entry.tags.items() if not text]

        shards = {f"records/{file.name}": file for file in (run / one["records"]).iterdir()}
        assert entry.files == {place: file for place, file in shards.items() if file.name[0] != "."}
        assert any(place.endswith(".parquet") for place in entry.files)
        assert json.loads(entry.texts["cell.json"]) == one


def test_each_command_is_a_parent_of_its_own_cells(run: Path) -> None:
    entries = by_key(run, a=b"x,y\n")
    parents = [entry for entry in entries.values() if entry.parent is None]
    commands = list(dict.fromkeys(one["provenance"]["command"] for one in cells_of(run)))
    assert [entry.tags["command"] for entry in parents] == commands
    assert len(commands) == 2
    for entry in children(entries):
        assert entry.parent is not None
        assert entries[entry.parent].tags["command"] == entry.tags["command"]
    first, second = parents
    assert (first.tags["models"], second.tags["suites"]) == ("box, ellipse", "gt_box, click")
    counts = {"cells_failed": 0, "cells_invalid": 0, "cells_not_applicable": 0, "cells_done": 2}
    assert numbers(first) == numbers(second) == counts
    assert first.files == {name: run / name for name in ("results.json", "report.html", "report.md")}
    assert first.texts == {"a": "x,y\n"}
    assert first.name == "run"


def test_while_a_command_runs_what_is_of_the_whole_folder_waits(run: Path) -> None:
    commands = dict.fromkeys(one["provenance"]["command"] for one in cells_of(run))
    for running in commands:
        for entry in by_key(run, running).values():
            at_work = entry.parent is None and entry.tags["command"] == running
            assert (entry.status == "running") == at_work
            assert not (at_work and (entry.files or entry.texts or entry.points))
    tracked = f"{next(iter(commands))} --track tensorboard,mlflow"
    assert [entry.status for entry in by_key(run, tracked).values()].count("running") == 1


@pytest.mark.parametrize(
    "command",
    [
        f"{COMMAND} --track",
        f"{COMMAND} --track mlflow",
        f"{COMMAND} --track=tensorboard",
        f"{COMMAND} --track 'mlflow, tensorboard'",
        COMMAND.replace("run ", "run --track tensorboard,mlflow ", 1),
        COMMAND.replace("run ", "run --track ", 1),
    ],
)
def test_with_and_without_tracking_it_is_one_command(tmp_path: Path, command: str) -> None:
    assert bare(command) == bare(COMMAND) == COMMAND
    entries = by_key(write_cells(tmp_path, cell(command, model="a"), cell(model="b")), command)
    assert [entry.parent for entry in entries.values()] == [None, f"command {COMMAND}", f"command {COMMAND}"]
    assert [entry.status for entry in entries.values()] == ["running", "finished", "finished"]


@pytest.mark.parametrize("command", ["", "sambench run --out 'torn", "sambench run --tracks x --out mlflow"])
def test_a_command_that_says_nothing_of_tracking_is_kept(command: str) -> None:
    assert bare(command) == command


@pytest.mark.parametrize(
    ("statuses", "parent", "child"),
    [
        (("done",), "finished", ["finished"]),
        (("not_applicable", "done"), "finished", ["finished", "finished"]),
        (("done", "failed"), "failed", ["finished", "failed"]),
        (("invalid",), "failed", ["failed"]),
        (("done", "unfinished"), "killed", ["finished"]),
        (("failed", "unfinished"), "killed", ["failed"]),
        (("unfinished",), "killed", []),
    ],
)
def test_the_worst_cell_is_the_commands_status(
    tmp_path: Path, statuses: tuple[str, ...], parent: str, child: list[str]
) -> None:
    bad: dict[str, Any] = {"metrics": {}, "intervals": {}, "reason": "out of memory", "weights": {}}
    cells = [cell(model=f"m{n}", status=s, **({} if s == "done" else bad)) for n, s in enumerate(statuses)]
    command, *entries = by_key(write_cells(tmp_path, *cells)).values()
    assert command.status == parent
    assert [entry.status for entry in entries] == child
    for entry in entries:
        assert bool(entry.points) == (entry.tags["status"] == "done")
        assert (entry.tags.get("reason") == "out of memory") == (entry.tags["status"] != "done")


def test_cells_are_told_apart_by_what_was_asked_of_which_weights(tmp_path: Path) -> None:
    other = {"source": "file", "path": "/data/tuned.pt", "sha256": "ef" * 32}
    drawn = {"source": "random", "seed": 1}
    part = {"limit": 2, "of": 3, "seed": 0}
    cells = [
        cell(),
        cell(weights=other),
        cell(weights=drawn),
        cell(weights=drawn | {"seed": 2}),
        cell(weights={}, status="failed", metrics={}, intervals={}),
        cell(partial=part),
        cell(partial=part | {"seed": 1}),
        cell(protocol={"preset": "paper", "crowd": "keep"}),
        cell(engine="onnxruntime"),
    ]
    entries = children(by_key(write_cells(tmp_path, *cells)))
    assert len({entry.name for entry in entries[:2]}) == 2  # their files' names
    assert entries[5].name.endswith("2 of 3 images")
    again = children(by_key(write_cells(tmp_path, *reversed(cells))))
    assert [entry.key for entry in again] == [entry.key for entry in reversed(entries)]
    anew = cell("sambench run --dataset other", metrics={"miou": 3.0}, timing={}, records="records/other")
    (entry,) = children(by_key(write_cells(tmp_path / "anew", anew)))
    assert entry.key == entries[0].key


def test_cells_of_an_older_file_say_what_they_have(tmp_path: Path) -> None:
    needed = ("model", "engine", "precision", "device", "suite", "dataset", "protocol")
    old = {name: value for name, value in cell().items() if name in needed}
    parent, entry = by_key(write_cells(tmp_path, old)).values()
    assert entry.parent == parent.key == "command "
    assert numbers(entry) == {"n_images": 0, "n_instances": 0}
    assert entry.tags == {"status": "done"}
    assert entry.files == {}
    assert list(by_key(write_cells(tmp_path)).values()) == []


def test_a_cell_of_a_throughput_says_its_scope_and_sends_its_samples(tmp_path: Path) -> None:
    place = {"preset": "quick", "scope": "E2E", "mode": "pipelined", "batch": 16}
    metrics = {"img_s": 80.0, "latency_ms_p50": 200.0, "ratio_vit_h": None}
    fast = cell(suite="throughput", protocol=place, metrics=metrics, intervals={"img_s": [79.0, 81.5]})
    folder = tmp_path / "records" / "speed"
    folder.mkdir(parents=True)
    for name in ("round-00.parquet", ".round-01.parquet.0123456789abcdef.tmp"):
        (folder / name).write_bytes(b"samples")
    (tmp_path / "records" / "other").mkdir()
    out = write_cells(tmp_path, fast | {"records": "records/speed"}, cell(records="records/gone"))
    entry, slow = children(by_key(out))
    assert entry.name.endswith("E2E pipelined batch 16")
    assert numbers(entry).items() >= {"img_s": 80.0, "img_s.low": 79.0, "latency_ms_p50": 200.0}.items()
    assert entry.params["protocol.batch"] == "16"
    assert entry.files == {"records/round-00.parquet": folder / "round-00.parquet"}
    assert slow.files == {}


def test_numbers_that_are_none_stay_away(tmp_path: Path) -> None:
    values = {"c": None, "d": 1e300, "e": 7}
    (entry,) = children(
        by_key(write_cells(tmp_path, cell(metrics=values, intervals={}, counts={}, timing={})))
    )
    assert numbers(entry) == {"d": 1e300, "e": 7.0, "n_images": 3.0, "n_instances": 5.0}


def test_secrets_of_an_older_file_reach_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOO_TOKEN", "from-the-environment")
    options = {"token": "from-the-options", "url": "https://me:from-the-url@host/weights"}
    given = cell(f"{COMMAND} --images /data/from-the-environment/x", reason="?token=from-the-query")
    given["provenance"] |= {"adapter": {"name": "mine", "options": options}}
    out = write_cells(tmp_path / "from-the-environment", given)
    entries = by_key(out)
    assert len(entries) == 2
    assert "from-the" not in repr([(e.key, e.name, e.params, e.tags, e.texts) for e in entries.values()])
    assert json.loads(children(entries)[0].texts["cell.json"])["provenance"]["annotations"]["count"] == 5


def test_images_that_failed_are_a_number_and_named_in_a_tag(tmp_path: Path) -> None:
    images = [{"image_id": 1, "file_name": "a.jpg", "reason": "its logits are not finite"}]
    cells = write_cells(tmp_path, cell(n_failed_images=1, failed_images=images))
    (entry,) = children(by_key(cells))
    assert numbers(entry)["n_failed_images"] == 1
    assert "a.jpg: its logits are not finite" in entry.tags["failed_images"]
    assert "1 of 3 images failed" in entry.name
