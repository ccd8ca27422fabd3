"""Several processes learn what one would, and decide together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from trainings import Heard, Lacking, assert_close, gradients, in_ranks, logged, trainer, training

from sambench.harness.train.ranks import Ranks

FROZEN = {"norms": "frozen"}
LeftBy = Callable[[str], Path]


@pytest.fixture(scope="module")
def left_by_two(tmp_path_factory: pytest.TempPathFactory) -> LeftBy:
    """What tells where a job of two processes left its files; each job ended well in both."""
    out = tmp_path_factory.mktemp("two")
    said = in_ranks(2, out)

    def folder(job: str) -> Path:
        assert len(list((out / job).glob("done-*"))) == 2, said
        return out / job

    return folder


def test_one_process_is_everybody() -> None:
    ranks = Ranks(torch.device("cpu"))
    assert ranks.first
    assert not ranks.several
    assert ranks.gather("mine") == ["mine"]
    assert (ranks.any(True), ranks.any(False)) == (True, False)


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one_with_all_images(left_by_two: LeftBy, tmp_path: Path) -> None:
    config = training(tmp_path, batch=4, device_batch=4, optimiser=FROZEN)
    left = left_by_two("gradients")
    for missing, files, count in [([], "all", 6), ([1], "one", 2), ([1, 3], "both", 2)]:
        alone = gradients(trainer(config, source=Lacking(config, empty=missing)))
        found = sorted(left.glob(f"{files}-*.pt"))
        assert len(found) == count
        for file in found:
            assert_close(alone, torch.load(file, weights_only=True), 1e-5)
    still = training(tmp_path, batch=4, device_batch=4, optimiser=FROZEN | {"frozen": ("image_encoder",)})
    alone = gradients(trainer(still))
    assert not any(name.startswith("image_encoder") for name in alone)
    for shard in (False, True):
        assert_close(alone, torch.load(left / f"head-{shard}.pt", weights_only=True), 1e-5)


@pytest.mark.slow
def test_two_processes_go_on_to_the_bit_and_leave_what_one_would(left_by_two: LeftBy, tmp_path: Path) -> None:
    left = left_by_two("training")
    for name, clip in [("False-norm", "norm"), ("True-norm", "norm"), ("True-value", "value")]:
        optimiser = {"average": 0.9, "clip": clip, "clip_at": 0.1, **FROZEN}
        settings = {"steps": 3, "device_batch": 2, "save_every": 2, "optimiser": optimiser}
        alone = training(tmp_path / f"alone-{clip}", **settings)
        assert trainer(alone).run(Heard())
        here, there = logged(alone.out), logged(left / name)
        assert [line["step"] for line in there] == [1, 2, 3]
        for key in ("loss", "dice_loss", "iou", "grad_norm"):
            assert there[0][key] == pytest.approx(here[0][key], rel=1e-5)
        # later AdamW has made steps of gradients' rounding errors, where these are near zero
        assert [line["loss"] for line in there] == pytest.approx([line["loss"] for line in here], rel=1e-3)
        # a checkpoint of two is one of one
        heard = Heard()
        config = training(left / name, **settings)
        (left / name / "checkpoints" / "step-00000003.pt").unlink()
        assert trainer(config).run(heard)
        assert heard.done == 2
        assert [line["loss"] for line in heard.lines] == pytest.approx(
            [line["loss"] for line in here[2:]], rel=1e-3
        )


@pytest.mark.slow
def test_two_processes_meet_trouble_together(left_by_two: LeftBy) -> None:
    left = left_by_two("trouble")
    notes = json.loads((left / "notes.json").read_text())
    assert notes[0].endswith(": torn")
    assert notes[1:] == ["step 1: box 1", "step 2: box 2"]
    assert [line["skipped"] for line in logged(left) if "loss" in line] == [2, 1]
    for name in ("bad-False", "bad-True"):
        lines = logged(left / name)
        assert [line["bad"] for line in lines] == [False, True, False, True, True]
        assert [line["loss"] is None for line in lines] == [line["bad"] for line in lines]
