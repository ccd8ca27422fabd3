"""What a training says of itself: who it is for good, and whether its weights passed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from trainings import training

from sambench.harness.train.config import Data, Validation
from sambench.harness.train.result import notes_of, passed, write_about, write_model

DECIDES = {"model": "tiny", "data": {"format": "shapes", "seed": 5}, "steps": 4, "seed": 0}
VALIDATION = Validation(data=Data(format="coco", images=Path("/data/images")), every=2, least=60.0)


def about_of(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "training.json").read_text()))


def test_it_says_what_is_trained_and_by_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["sambench", "train", "finetune", "my file.yaml"])
    name = write_about(training(tmp_path, validation=VALIDATION), DECIDES, "cpu")
    about = about_of(tmp_path)
    assert about["id"] == name
    assert (about["kind"], about["decides"]) == ("finetune", DECIDES)
    assert about["command"] == "sambench train finetune 'my file.yaml'"
    assert (about["validation"]["metric"], about["validation"]["least"]) == ("box", 60.0)
    assert about["validation"]["data"]["images"] == "/data/images"
    assert about["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert about["hardware"]["device"]


def test_a_training_that_goes_on_is_itself_whatever_its_command_and_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = write_about(training(tmp_path), DECIDES, "cpu")
    began = about_of(tmp_path)["began"]
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    monkeypatch.setattr("sys.argv", ["sambench", "train", "finetune", "x.yaml", "--track"])
    monkeypatch.setattr("time.time", lambda: began + 1000.0)
    again = write_about(training(tmp_path, workers=2, validation=VALIDATION), DECIDES, "cpu")
    about = about_of(tmp_path)
    assert (again, about["began"]) == (name, began)
    assert about["command"].endswith("--track")
    assert about["validation"]["least"] == 60.0
    assert (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize("change", [{"steps": 5}, {"data": {"format": "shapes", "seed": 6}}, {"more": 1}])
def test_another_training_has_a_name_of_its_own_and_none_of_the_earlier_ones_steps(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    name = write_about(training(tmp_path), DECIDES, "cpu")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    other = write_about(training(tmp_path), DECIDES | change, "cpu")
    assert other != name
    assert about_of(tmp_path)["decides"] == DECIDES | change
    assert not (tmp_path / "metrics.jsonl").exists()
    assert write_about(training(tmp_path / "another"), DECIDES, "cpu") != name


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1}'])
def test_one_that_an_earlier_version_began_keeps_its_steps(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    if content:
        (tmp_path / "training.json").write_text(content)
    name = write_about(training(tmp_path), DECIDES, "cpu")
    assert about_of(tmp_path)["id"] == name
    assert (tmp_path / "metrics.jsonl").exists() == (not content.endswith("}"))


def test_no_secret_is_in_it_or_in_the_weights_and_it_stays_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOO_TOKEN", "from-environment")
    monkeypatch.setattr("sys.argv", ["sambench", "train", "finetune", "https://me:from-url@host/t.yaml"])
    decides = DECIDES | {"sam": "/data/from-environment/sam.pt"}
    found = {write_about(training(tmp_path), decides, "cpu") for _ in range(2)}
    assert len(found) == 1
    path = write_model(tmp_path, {"weight": torch.ones(2)}, decides | {"training": found.pop()})
    assert notes_of(path)["sam"] == "/data/***/sam.pt"
    for file in tmp_path.iterdir():
        assert b"from-" not in file.read_bytes()


def lines(*scores: tuple[int, dict[str, float | None]]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [{"step": n, "loss": 1.0} for n in range(1, 5)]
    return steps + [{"step": step, "validation": named} for step, named in scores]


@pytest.mark.parametrize(
    ("metric", "least", "log", "wanted"),
    [
        ("box", None, lines((4, {"box": 0.0})), True),
        ("box", 60.0, lines((4, {"box": 60.0})), True),
        ("box", 60.0, lines((4, {"box": 59.9})), False),
        ("box", 60.0, lines((2, {"box": 70.0}), (4, {"box": 50.0})), False),
        ("box", 60.0, lines((2, {"box": 70.0})), False),
        ("box", None, lines((2, {"box": 70.0})), False),
        ("box", None, lines((4, {"box": None})), False),
        ("box", None, lines((4, {"box": 70.0, "click_1": None})), False),
        ("box", 0.0, lines((4, {"box": -1.0})), False),
        ("click_1", 60.0, lines((4, {"box": 50.0, "click_1": 61.0})), True),
        ("click_1", None, lines((4, {"box": 50.0})), False),
        ("embedding", 0.5, lines((4, {"embedding": 0.5})), True),
        ("embedding", 0.5, lines((4, {"embedding": 0.51})), False),
        ("embedding", None, lines((4, {"embedding": 9.0})), True),
        ("embedding", 0.0, lines((4, {"embedding": 0.1})), False),
        ("box", None, lines(), False),
        ("box", None, [], False),
    ],
)
def test_weights_pass_where_the_last_validation_says_so(
    metric: str, least: float | None, log: list[dict[str, Any]], wanted: bool
) -> None:
    about = {"decides": {"steps": 4}, "validation": {"metric": metric, "least": least}}
    assert passed(about, log) is wanted


@pytest.mark.parametrize("validation", [None, {}])
def test_weights_without_a_validation_pass_none(validation: Any) -> None:
    log = lines((4, {"box": 70.0}))
    assert passed({"decides": {"steps": 4}, "validation": validation}, log) is False
    assert passed({"decides": {"steps": 4}}, log) is False
