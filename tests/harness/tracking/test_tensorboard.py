"""TensorBoard reads back what results.json and metrics.jsonl say, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from folders import STEPS, cell, step, write_cells, write_training
from memory_tracker import silent
from PIL import Image

from sambench.harness.tracking.push import push
from sambench.harness.tracking.tensorboard import TensorboardTracker

reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def runs_of(out: Path) -> dict[str, Any]:
    """What TensorBoard finds, by the names of the runs."""
    found = {}
    for folder in sorted((out / "tensorboard").iterdir()):
        found[folder.name.rpartition("-")[0]] = reader.EventAccumulator(str(folder), {"scalars": 0}).Reload()
    return found


def scalars(run: Any) -> dict[str, list[tuple[int, float, float]]]:
    """Step, value and time of each number, by name."""
    return {
        name: [(event.step, event.value, event.wall_time) for event in run.Scalars(name)]
        for name in run.Tags()["scalars"]
    }


def words(run: Any, name: str) -> list[str]:
    """The texts of a name."""
    return [event.tensor_proto.string_val[0].decode() for event in run.Tensors(f"{name}/text_summary")]


def pushed(out: Path) -> int:
    return push(out, TensorboardTracker(out), silent)


def test_the_numbers_of_a_run_are_those_of_its_results(tmp_path: Path) -> None:
    out = write_cells(tmp_path / "run", cell(), cell(model="box", metrics={"AP": 1.5}, intervals={}))
    assert pushed(out) > 0
    runs = runs_of(out)
    assert set(runs) == {
        "run",
        "efficientvit_sam_l0_gt_box_tiny_l0.pt_abababab",
        "box_gt_box_tiny_l0.pt_abababab",
    }
    written = {one["model"]: one for one in json.loads((out / "results.json").read_text())["cells"]}
    for name, run in runs.items():
        if name == "run":
            assert scalars(run)["cells_done"][0][:2] == (0, 2.0)
            continue
        one = written["box" if name.startswith("box") else "efficientvit_sam_l0"]
        found = scalars(run)
        for metric, value in one["metrics"].items():
            assert (metric in found) == (value is not None)
            if value is not None:
                ((number, there, time),) = found[metric]
                assert (number, there) == (0, pytest.approx(value, rel=1e-6))  # kept as float32
                assert time > 1_700_000_000
        (parameters,) = words(run, "parameters")
        assert f"| model | {one['model']} |" in parameters
        assert "weights.sha256" in words(run, "tags")[0]


def test_the_curves_of_a_training_are_its_lines(tmp_path: Path) -> None:
    out = write_training(tmp_path / "training", STEPS)
    (out / "pictures").mkdir()
    Image.new("RGB", (4, 3), (255, 0, 0)).save(out / "pictures" / "step-2.png")
    assert pushed(out) > 0
    (run,) = runs_of(out).values()
    steps = [line for line in STEPS if "loss" in line]
    found = scalars(run)
    for name in ("loss", "lr", "epoch"):
        assert found[name] == [(n["step"], pytest.approx(n[name], rel=1e-6), n["time"]) for n in steps]
    tests = [line for line in STEPS if "validation" in line]
    assert found["validation/box"] == [(n["step"], n["validation"]["box"], n["time"]) for n in tests]
    assert found["validation/click_1"] == [(4, 60.5, STEPS[-1]["time"])]
    assert set(run.Tags()["images"]) == {"pictures/step-2.png", "curve.png"}
    assert "| name | efficientvit_sam_nano |" in words(run, "model")[0]


def test_nothing_is_there_twice_and_more_goes_into_the_same_folders(tmp_path: Path) -> None:
    out = write_training(tmp_path / "training", STEPS[:3], whole=False)
    assert pushed(out) > 0
    before = sorted((out / "tensorboard").rglob("*"))
    assert pushed(out) == 0
    assert sorted((out / "tensorboard").rglob("*")) == before
    write_training(out, STEPS)
    assert pushed(out) > 0
    (run,) = runs_of(out).values()
    assert {name: [n for n, *_ in points] for name, points in scalars(run).items()} == {
        **{name: [1, 2, 3, 4] for name in ("loss", "lr", "epoch", "bad")},
        "validation/box": [2, 4],
        "validation/click_1": [4],
    }
    assert len(words(run, "parameters")) == 1


def test_what_the_ledger_says_is_on_the_disk_if_the_process_is_killed(tmp_path: Path) -> None:
    """Nothing of this process is closed, and another reader sees all."""
    out = write_training(tmp_path / "training", [step(1), step(2)], whole=False)
    tracker = TensorboardTracker(out)
    tracker.close = lambda: None  # type: ignore[method-assign]
    push(out, tracker, silent)
    (run,) = runs_of(out).values()
    assert [n for n, *_ in scalars(run)["loss"]] == [1, 2]
    assert words(run, "tags")


def test_a_folder_that_was_moved_or_emptied_has_all_its_events(tmp_path: Path) -> None:
    out = write_training(tmp_path / "training", STEPS)
    pushed(out)
    (tmp_path / "elsewhere").mkdir()
    moved = out.rename(tmp_path / "elsewhere" / "training")
    assert pushed(moved) == 0
    for file in sorted((moved / "tensorboard").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    assert pushed(moved) > 0
    (run,) = runs_of(moved).values()
    assert [n for n, *_ in scalars(run)["loss"]] == [1, 2, 3, 4]


def test_a_name_of_any_length_and_letters_is_a_folder(tmp_path: Path) -> None:
    out = write_cells(tmp_path / "目录", cell(model="ü" * 300), cell(dataset="x" * 300))
    pushed(out)
    assert len(list((out / "tensorboard").iterdir())) == 3
    assert all(path.name.isascii() for path in (out / "tensorboard").iterdir())
