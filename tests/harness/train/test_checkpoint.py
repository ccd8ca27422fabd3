"""Checkpoints: whole or not there, the last three and the best, refused where they are of something else."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from trainings import Heard, assert_same, state, trainer, training

from sambench.evsam.errors import SambenchError
from sambench.harness.train.checkpoint import Checkpoints, differences, whole
from sambench.harness.train.config import Data

EMPTY: dict[str, Any] = {
    "decides": {},
    "totals": {},
    "model": {"weight": torch.arange(6.0)},
    "optimiser": {},
    "scaler": {},
    "average": None,
}


def test_the_last_three_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in range(1, 8):
        checkpoints.save(step, EMPTY, best=2 if step >= 2 else None)
    assert checkpoints.steps() == [2, 5, 6, 7]
    checkpoints.save(8, EMPTY, best=8)
    assert checkpoints.steps() == [6, 7, 8]


def test_what_is_saved_is_loaded_with_tensors_alone(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, EMPTY, None)
    assert torch.equal(checkpoints.load(3)["model"]["weight"], torch.arange(6.0))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "done"),)

    checkpoints = Checkpoints(tmp_path)
    torch.save(EMPTY | {"totals": Evil()}, checkpoints.path(1))
    with pytest.raises(SambenchError, match=r"step-00000001\.pt: a damaged checkpoint"):
        checkpoints.load(1)
    assert not (tmp_path / "done").exists()


def test_a_disk_that_is_full_leaves_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, EMPTY, None)

    def full(state: object, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(SambenchError, match=r"step-00000002\.pt: cannot be written \(No space left"):
        checkpoints.save(2, EMPTY, None)
    assert [file.name for file in tmp_path.iterdir()] == ["step-00000001.pt"]


def test_something_else_of_that_name_is_refused(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    torch.save({"weight": torch.zeros(3)}, checkpoints.path(4))
    with pytest.raises(SambenchError, match=r"step-00000004\.pt: .*not of a training"):
        checkpoints.load(4)


def test_settings_differ_by_their_dotted_keys() -> None:
    now = {"optimiser": {"lr": 2, "betas": [1, 2]}, "seed": 0}
    before = {"optimiser": {"lr": 1, "betas": [1, 2]}, "sam": "x", "seed": 0}
    assert list(differences(now, before)) == [("optimiser.lr", 2, 1), ("sam", None, "x")]
    assert list(differences(now, now)) == []


def test_whole_copies(tmp_path: Path) -> None:
    weight = torch.ones(2)
    copy = whole({"a": [weight, 3], "b": None})
    weight.zero_()
    assert torch.equal(copy["a"][0], torch.ones(2))
    assert copy["a"][1] == 3
    assert copy["b"] is None
    assert whole({"a": weight, "n": 4}, kept=False) == {"a": None, "n": 4}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of two steps, with a checkpoint after each."""
    out = tmp_path_factory.mktemp("saved")
    assert trainer(training(out, steps=2, save_every=1)).run(Heard())
    return out


def test_a_damaged_last_one_is_named_and_without_it_the_one_before_is_taken(
    saved: Path, tmp_path: Path
) -> None:
    names = [f"step-0000000{step}.pt" for step in (1, 2)]
    (tmp_path / "checkpoints").mkdir()
    contents = [(saved / "checkpoints" / name).read_bytes() for name in names]
    first, last = [tmp_path / "checkpoints" / name for name in names]
    first.write_bytes(contents[0])
    last.write_bytes(contents[1][: len(contents[1]) // 2])
    config = training(tmp_path, steps=2, save_every=1)
    with pytest.raises(SambenchError, match=r"step-00000002\.pt: a damaged checkpoint .*Remove it"):
        trainer(config)
    last.unlink()
    heard = Heard()
    again = trainer(config)
    assert again.run(heard)
    assert heard.done == 1
    assert_same(
        torch.load(last, weights_only=True)["model"], state(trainer(training(saved, steps=2)).phase.model)
    )


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"optimiser": {"lr": 2e-3}}, r"optimiser\.lr was 0\.001, now it is 0\.002"),
        ({"recipe": {"masks_per_image": 4}}, r"recipe\.masks_per_image was 3, now it is 4"),
        ({"seed": 1}, "seed was 0, now it is 1"),
        ({"steps": 3}, "steps was 2, now it is 3"),
        ({"batch": 4}, "batch was 2, now it is 4"),
        ({"precision": "bf16"}, "precision was 'fp32', now it is 'bf16'"),
        ({"data": Data(format="shapes", seed=9, images_drawn=18)}, r"data\.seed was 555, now it is 9"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(saved: Path, changes: dict[str, Any], key: str) -> None:
    config = training(saved, **{"steps": 2, **changes})
    with pytest.raises(SambenchError, match=rf"step-00000002\.pt: a checkpoint of another training: {key}"):
        trainer(config)


def test_one_cut_in_other_parts_is_the_same_training(saved: Path) -> None:
    config = dataclasses.replace(training(saved, steps=2), device_batch=2, workers=1, save_every=7)
    heard = Heard()
    assert trainer(config).run(heard)
    assert (heard.done, heard.lines) == (2, [])
