"""``--track`` with and without a name, and ``track`` in files."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import call, flags
from folders import STEPS, write_training
from tiny_coco import TinyCoco

from sambench.harness.cli.track import spelled_out
from sambench.harness.config.run import load_run
from sambench.harness.throughput.config import load_throughput
from sambench.harness.tracking import trackers
from sambench.harness.train.config import Finetuning, read_training


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a folder of runs, and one that is called like a tracker."""
    for name in ("runs", "mlflow", "tensorboard"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("--track", "--track=mlflow"),
        ("--track --out x", "--track=mlflow --out x"),
        ("--out x --track", "--out x --track=mlflow"),
        ("--track runs", "--track=mlflow runs"),
        ("--track run.yaml", "--track=mlflow run.yaml"),
        ("runs --track", "runs --track=mlflow"),
        ("--track mlflow", "--track mlflow"),
        ("--track tensorboard runs", "--track tensorboard runs"),
        ("--track mlflow,tensorboard", "--track mlflow,tensorboard"),
        ("--track=tensorboard runs", "--track=tensorboard runs"),
        ("--track mlflw", "--track mlflw"),
        ("--models a --out runs", "--models a --out runs"),
    ],
)
def test_alone_it_means_mlflow_whatever_folders_there_are(here: Path, given: str, wanted: str) -> None:
    assert spelled_out(given.split()) == wanted.split()


def test_a_file_of_each_command_may_name_trackers(tiny: TinyCoco, tmp_path: Path) -> None:
    data = {"name": "tiny", "images": str(tiny.images), "annotations": str(tiny.annotations)}
    file = tmp_path / "both.yaml"
    content: dict[str, Any] = {"models": ["box"], "suites": ["gt_box"], "dataset": data, "out": "x"}
    for given, names in (
        ("mlflow", ("mlflow",)),
        (["tensorboard", "mlflow"], ("tensorboard", "mlflow")),
        ("mlflow, tensorboard", ("mlflow", "tensorboard")),
    ):
        file.write_text(yaml.safe_dump(content | {"track": given}))
        assert load_run(file, {})[0].track == names
        assert load_throughput(file, {})[0].track == names
        assert load_run(file, {"track": "tensorboard"})[0].track == ("tensorboard",)
    file.write_text(yaml.safe_dump(content))
    assert load_run(file, {})[0].track == ()
    training = {
        "model": "efficientvit_sam_nano",
        "weights": "random",
        "data": {"format": "shapes"},
        "out": "x",
    }
    file.write_text(yaml.safe_dump(training | {"steps": 2, "batch": 2, "track": "tensorboard"}))
    assert read_training(Finetuning, file, {}).track == "tensorboard"
    assert read_training(Finetuning, file, {"track": "mlflow"}).track == "mlflow"


def commands(tiny: TinyCoco, tmp_path: Path) -> list[Sequence[object]]:
    """Every command that takes ``--track``."""
    training = {"model": "efficientvit_sam_nano", "weights": "random", "data": {"format": "shapes"}}
    file = tmp_path / "t.yaml"
    file.write_text(yaml.safe_dump(training | {"steps": 1, "batch": 1, "out": str(tmp_path / "t")}))
    return [
        flags(tiny, tmp_path / "run"),
        ["throughput", "--models", "box", *tiny.flags, "--out", tmp_path / "fast"],
        ["train", "finetune", file],
        ["push", write_training(tmp_path / "trained", STEPS)],
    ]


def test_an_unknown_name_ends_with_2_and_the_nearest(tiny: TinyCoco, tmp_path: Path) -> None:
    for command in commands(tiny, tmp_path):
        done = call(*command, "--track", "mlflw")
        assert done.code == 2, done
        assert "no tracker 'mlflw'; there are mlflow, tensorboard." in done.err
        assert "mlflow'?" in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"data", "t.yaml", "trained"}
    assert not (tmp_path / "trained" / "tracking").exists()


@pytest.mark.parametrize("name", ["mlflow", "tensorboard"])
def test_a_missing_package_ends_with_2_and_the_extra(
    tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def find(package: str) -> Any:
        return None if package == name else importlib.util.find_spec(package)

    monkeypatch.setattr(trackers, "find_spec", find)
    for command in commands(tiny, tmp_path):
        done = call(*command, "--track", name)
        assert done.code == 2, done
        assert f"{name} needs the extra '{name}': pip install 'sambench[{name}]'" in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"data", "t.yaml", "trained"}


def test_push_says_what_it_sent_and_then_that_there_is_nothing(tmp_path: Path) -> None:
    one = write_training(tmp_path / "one", STEPS)
    two = write_training(tmp_path / "two", STEPS[:3], whole=False)
    for wanted in ("sent ", "nothing new for"):
        done = call("push", one, two, "--track", "tensorboard")
        assert done.code == 0, done.err
        first, second = done.out.splitlines()
        assert first.startswith(f"{one}: {wanted}")
        assert second.startswith(f"{two}: {wanted}")
    done = call("push", tmp_path, "--track", "tensorboard")
    assert done.code == 2
    assert f"{tmp_path}: no results.json and no training.json in it" in done.err


def test_push_to_a_place_that_does_not_answer_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    one, two = (write_training(tmp_path / name, STEPS) for name in ("one", "two"))
    done = call("push", "--track", one, two)
    assert done.code == 1
    for out in (one, two):
        assert (
            f"{out}: not all of it arrived. http://127.0.0.1:9, experiment sambench: does not answer"
            in done.err
        )
    assert "hunter2" not in done.err + done.out
