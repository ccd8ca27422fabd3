"""A step: the same gradients however it is cut, and no trace of one that is not fine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trainings import Heard, Lacking, assert_close, assert_same, gradients, logged, state, trainer, training

from sambench.evsam.errors import SambenchError

FROZEN = {"norms": "frozen"}


def test_a_step_of_four_images_is_the_same_in_one_part_two_or_four(tmp_path: Path) -> None:
    whole, halves, quarters = (
        gradients(trainer(training(tmp_path, batch=4, device_batch=size, optimiser=FROZEN)))
        for size in (4, 2, 1)
    )
    assert len(whole) > 100
    assert_close(whole, halves, 1e-5)
    assert_close(whole, quarters, 1e-5)


def test_gradients_are_the_mean_over_the_images_by_hand(tmp_path: Path) -> None:
    pair = gradients(trainer(training(tmp_path, batch=2, optimiser=FROZEN)))
    ones = []
    for missing in (0, 1):
        config = training(tmp_path, batch=2, optimiser=FROZEN)
        ones.append(gradients(trainer(config, source=Lacking(config, damaged=[missing]))))
    summed = {
        name: sum(one.get(name, torch.zeros(())) for one in ones)
        for name in {**ones[0], **ones[1]}
        if name != "loss"
    }
    assert float(sum(one["loss"] for one in ones)) / 2 == pytest.approx(float(pair.pop("loss")), rel=1e-5)
    assert_close(pair, {name: torch.as_tensor(value) for name, value in summed.items()}, 1e-5)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_an_image_without_a_finite_loss_is_named_and_leaves_no_trace(tmp_path: Path, average: float) -> None:
    config = training(tmp_path, optimiser={"average": average}, steps=3)
    trained = trainer(config, poisoned=[3])  # the second image of the second step
    order = trained.dataset.order
    bad = trained.dataset.source.load(order.at(3)[1]).name
    before: list[dict[str, torch.Tensor]] = []
    heard = Heard(lambda line: before.append(state(trained.phase.model) | _named(trained.learnt)))
    assert trained.run(heard)
    assert heard.notes == [f"step 2: no finite loss, not learnt from: {bad}"]
    assert [line["bad"] for line in logged(tmp_path)] == [False, True, False]
    assert logged(tmp_path)[1]["loss"] is None
    after_1, after_2, after_3 = before
    assert_same(after_1, after_2)  # weights, running statistics, the average
    assert any(not torch.equal(after_2[name], after_3[name]) for name in after_2)
    assert all(bool(torch.isfinite(one).all()) for one in after_3.values())


def _named(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {f"learnt.{name}": one for name, one in state(model).items()}


def test_too_many_steps_without_a_finite_loss_end_the_training(tmp_path: Path) -> None:
    config = training(tmp_path, steps=6, bad_steps=2, save_every=1)
    trained = trainer(config, poisoned=[1, 4, 6])  # steps 1, 3 and 4
    with pytest.raises(SambenchError, match=r"2 steps in a row had no finite loss.*after step 3"):
        trained.run(Heard())
    assert trained.checkpoints.steps() == [1, 2, 3]
    with pytest.raises(SambenchError, match="2 steps in a row"):  # the same command says the same
        trainer(config, poisoned=[1, 4, 6]).run(Heard())
    assert trainer(config).run(Heard())  # the images were mended


def test_damaged_images_are_noted_and_empty_ones_counted(tmp_path: Path) -> None:
    config = training(tmp_path, steps=2, batch=4, device_batch=2)
    source = Lacking(config, damaged=[1], empty=[2, 3, 4])
    trained, heard = trainer(config, source=source), Heard()
    assert trained.run(heard)
    (damaged,) = source.damaged
    assert heard.notes == [f"skipped: image {damaged}: torn"]
    assert trained.totals.skipped == {"damaged": 1, "empty": 3}
    assert [line["skipped"] for line in logged(tmp_path)] == [3, 1]


def test_a_step_without_any_image_moves_nothing(tmp_path: Path) -> None:
    config = training(tmp_path, steps=3)
    states: list[dict[str, torch.Tensor]] = []
    trained = trainer(config, source=Lacking(config, empty=[2, 3]))
    assert trained.run(Heard(lambda line: states.append(state(trained.phase.model))))
    assert_same(states[0], states[1])
    line = logged(tmp_path)[1]
    assert (line["loss"], line["bad"], line["skipped"]) == (None, False, 2)


def test_data_without_any_object_ends_the_training(tmp_path: Path) -> None:
    config = training(tmp_path, steps=100, batch=4, device_batch=4)
    with pytest.raises(SambenchError, match="4 steps in a row had no image to learn from, and there are 16"):
        trainer(config, source=Lacking(config, empty=range(16))).run(Heard())


def test_norms_of_a_frozen_part_keep_their_statistics(tmp_path: Path) -> None:
    trained = trainer(training(tmp_path, optimiser={"frozen": ("image_encoder",)}, steps=1))
    before = state(trained.phase.model)
    assert trained.run(Heard())
    after = state(trained.phase.model)
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"prompt_encoder", "mask_decoder"}


def test_fp16_lowers_its_scale_until_gradients_fit_and_keeps_it(tmp_path: Path) -> None:
    config = training(tmp_path, precision="fp16", steps=6, save_every=1, bad_steps=1)
    trained = trainer(config)
    trained.stepper.scaler.load_state_dict(trained.stepper.scaler.state_dict() | {"scale": 2.0**30})
    assert trained.run(Heard())  # an overflow is no bad step
    lines = logged(tmp_path)
    scales = [line["scale"] for line in lines]
    assert scales[:2] == [2.0**30, 2.0**29]
    assert (lines[0]["grad_norm"], lines[0]["bad"]) == (None, False)
    again = trainer(config)
    assert again.stepper.scaler.state_dict() == trained.stepper.scaler.state_dict()
    assert again.stepper.scaler.get_scale() <= scales[-1] < 2.0**30
