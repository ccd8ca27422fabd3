"""What a training's folder has to say is what its metrics.jsonl, its training.json and its weights say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import call
from folders import ABOUT, DECIDES, STEPS, scores, step, write_lines, write_training
from safetensors.torch import save_file

from sambench.evsam.errors import SambenchError
from sambench.harness.tracking.content import Entry
from sambench.harness.tracking.trainings import entries_of_training

REAL = {
    "model": "efficientvit_sam_nano",
    "weights": "random",
    "tied": True,
    "data": {"format": "shapes", "seed": 555, "images_drawn": 6},
    "validation": {"data": {"format": "shapes", "seed": 556, "images_drawn": 2}, "every": 2},
    "recipe": {"masks_per_image": 2, "mask_loss": "bce"},
    "optimiser": {"lr": 1e-3},
    "steps": 2,
    "batch": 2,
    "device_batch": 2,
    "workers": 0,
    "picture_every": 2,
}


def entry_of(out: Path, running: bool = False) -> Entry:
    (entry,) = entries_of_training(out, running)
    assert (entry.parent, entry.grows) == (None, True)
    return entry


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    (root / "t.yaml").write_text(yaml.safe_dump(REAL))
    done = call("train", "finetune", root / "t.yaml", "--out", root / "out")
    assert done.code == 0, done.err
    return root / "out"


def test_the_curves_of_a_real_training_are_its_lines(trained: Path) -> None:
    wanted = []
    for line in lines_of(trained):
        for name, value in line.items():
            if name == "validation":
                wanted += [(f"validation/{n}", v, line["step"], line["time"]) for n, v in value.items() if v]
            elif name not in ("step", "time") and value is not None:
                wanted.append((name, value, line["step"], line["time"]))
    points = [(point.name, point.value, point.step, point.time) for point in entry_of(trained).points]
    assert sorted(points) == sorted(wanted)
    names = {name for name, *_ in points}
    assert names >= {"loss", "lr", "grad_norm", "images_per_s", "validation/box", "validation/click_1"}
    assert all(isinstance(point.value, float) for point in entry_of(trained).points)


def test_what_a_real_training_was_asked_and_what_came_of_it(trained: Path) -> None:
    entry = entry_of(trained)
    about = json.loads((trained / "training.json").read_text())
    assert entry.key == f"training {about['id']}"
    assert (
        entry.params.items()
        >= {
            "model": "efficientvit_sam_nano",
            "data.images": "6",
            "recipe.mask_loss": "bce",
            "optimiser.lr": "0.001",
            "steps": "2",
        }.items()
    )
    assert entry.tags["kind"] == "finetune"
    assert entry.tags["folder"] == "out"
    assert entry.tags["command"].startswith("sambench train finetune")
    assert entry.tags["best.metric"] == "box"
    places = {"training.json", "metrics.jsonl", "curve.png", "weights/model.safetensors"}
    pictures = {f"pictures/{file.name}" for file in (trained / "pictures").iterdir()}
    assert set(entry.files) == places | pictures
    assert pictures
    assert all(file.read_bytes() for file in entry.files.values())
    assert entry.status == "finished"
    digest = hashlib.sha256((trained / "model.safetensors").read_bytes()).hexdigest()
    assert entry.model is not None
    assert (entry.model.name, entry.model.sha256) == ("efficientvit_sam_nano", digest)
    assert entry.model.place in entry.files
    last = lines_of(trained)[-1]["validation"]
    assert float(entry.model.tags["validation.box"]) == pytest.approx(last["box"], rel=1e-5)
    assert entry.model.tags["sha256"] == digest
    assert entry.model.tags["training"] == about["id"]


def test_while_it_runs_and_where_it_was_stopped_there_is_no_model(tmp_path: Path) -> None:
    out = write_training(tmp_path, STEPS, whole=False)
    (out / "curve.png").write_bytes(b"of an earlier one")
    running, stopped = entry_of(out, running=True), entry_of(out)
    assert (running.status, stopped.status) == ("running", "killed")
    assert (running.model, stopped.model) == (None, None)
    assert running.files == {}
    assert set(stopped.files) == {"training.json", "metrics.jsonl"}
    assert running.points == stopped.points
    assert running.key == stopped.key


def test_weights_of_an_earlier_training_in_the_folder_are_not_this_ones(tmp_path: Path) -> None:
    out = write_training(tmp_path, STEPS)
    about = ABOUT | {"id": "f" * 32, "decides": DECIDES | {"steps": 2}}
    write_training(out, STEPS[:3], about, whole=False)
    entry = entry_of(out)
    assert (entry.status, entry.model) == ("killed", None)
    assert set(entry.files) == {"training.json", "metrics.jsonl"}
    assert "best.metric" not in entry.tags
    save_file({}, out / "model.safetensors")  # another program's
    assert entry_of(out).status == "killed"


@pytest.mark.parametrize(
    ("validation", "lines", "registered"),
    [
        ({"metric": "box", "least": None}, STEPS, True),
        ({"metric": "box", "least": 70.0}, STEPS, True),
        ({"metric": "box", "least": 70.5}, STEPS, False),
        (None, STEPS, False),
        ({"metric": "box", "least": None}, STEPS[:-1], False),
        ({"metric": "embedding", "least": 0.5}, [*STEPS[:-1], scores(4, embedding=0.25)], True),
        ({"metric": "embedding", "least": 0.5}, [*STEPS[:-1], scores(4, embedding=0.75)], False),
        ({"metric": "box", "least": None}, [*STEPS[:-1], scores(4, box=70.0, click_1=None)], False),
    ],
)
def test_weights_are_registered_if_they_passed_their_validation(
    tmp_path: Path, validation: Any, lines: Any, registered: bool
) -> None:
    entry = entry_of(write_training(tmp_path, lines, ABOUT | {"validation": validation}))
    assert (entry.model is not None) == registered
    assert entry.status == "finished"
    assert "weights/model.safetensors" in entry.files


def test_numbers_that_are_none_and_torn_lines_stay_away(tmp_path: Path) -> None:
    out = write_training(tmp_path, [step(1, loss=None, bad=True), scores(1, box=None)], whole=False)
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "loss": 0.')
    points = {(point.name, point.step): point.value for point in entry_of(out).points}
    assert points == {("epoch", 1): pytest.approx(1 / 3), ("lr", 1): 0.001, ("bad", 1): 1.0}
    write_lines(out, [{"step": 1, "loss": 2.0}])  # before lines had times
    assert [(point.value, point.time) for point in entry_of(out).points] == [(2.0, None)]
    (out / "metrics.jsonl").unlink()
    assert entry_of(out).points == ()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"id": "a", "kind": "finetune", "decides": {}}', "3"])
def test_a_training_json_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "training.json").write_text(content)
    with pytest.raises(SambenchError, match=r"training\.json: cannot be read"):
        entries_of_training(tmp_path, running=False)


def test_no_secret_of_it_reaches_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOO_TOKEN", "from-the-environment")
    about = ABOUT | {
        "command": "sambench train finetune https://me:from-the-url@host/t.yaml",
        "validation": {"metric": "box", "data": {"images": "/data/from-the-environment"}},
        "decides": DECIDES | {"sam": "/data/from-the-environment/sam.pt"},
    }
    out = write_training(tmp_path / "from-the-environment", STEPS, about)
    entry = entry_of(out)
    assert entry.model is not None
    assert "from-the" not in repr((entry.key, entry.name, entry.params, entry.tags, entry.model))
