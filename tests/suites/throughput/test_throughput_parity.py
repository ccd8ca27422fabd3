"""The gate: a speed of wrong masks is no speed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from speed_fakes import Known

from sambench.adapters.base import Prediction
from sambench.suites.throughput.inputs import choose
from sambench.suites.throughput.parity import Gate, compare, iou, masks_of, refusal


@pytest.fixture(scope="module")
def images(coco_mini):
    return choose(coco_mini.images, coco_mini.annotations, 1, 0, count=5)


def gate_of(spoil, images, batch=1):
    reference = list(masks_of(Known(), images, batch, alternatives=True))
    return compare(list(masks_of(Known(spoil=spoil), images, batch)), reference)


def test_equal_masks_pass_at_any_batch_size(images):
    for batch in (1, 2, 5, 7):
        gate = gate_of(None, images, batch)
        assert (gate.images, gate.mean_iou, gate.finite) == (5, 1.0, True)
        assert gate.masks == sum(len(image.boxes) for image in images)
        assert refusal(gate, "fp32") is None


def test_masks_moved_by_a_pixel_are_refused_in_fp32(images):
    gate = gate_of(lambda logits: logits.roll(2, dims=-1), images)
    assert gate.mean_iou < 0.99
    assert "parity: mean mask IoU" in refusal(gate, "fp32")
    assert refusal(gate, "fp16") is not None


def test_lower_precisions_have_a_lower_bar(images):
    assert refusal(Gate(5, 9, True, 0.995), "fp32")
    assert refusal(Gate(5, 9, True, 0.995), "bf16") is None
    assert refusal(Gate(5, 9, True, 0.989), "int8")
    assert refusal(Gate(5, 9, True, float("nan")), "int8")


class Undecided(Known):
    """Two alternatives, the box and its rest, of nearly the same predicted IoU."""

    def __init__(self, first, second):
        super().__init__()
        self.predicted = torch.tensor([[first, second]])

    def decode_batch(self, embedding, prompts, multimask):
        logits = super().decode_batch(embedding, prompts, multimask).logits
        return Prediction(torch.cat([logits, -logits], dim=1), self.predicted.expand(len(prompts), -1))


@pytest.mark.parametrize(("second", "passes"), [(0.5004, True), (0.6, False)])
def test_another_choice_is_compared_with_its_own_alternative(images, second, passes):
    """The masks are right; whether the choice is depends on what the reference thinks of it."""
    reference = list(masks_of(Undecided(0.5, second), images, 1, alternatives=True))
    gate = compare(list(masks_of(Undecided(0.9, 0.1), images, 1)), reference)
    assert (gate.mean_iou, gate.same_choice) == (1.0, 0.0)
    assert gate.choice_loss == pytest.approx(second - 0.5, abs=1e-6)
    found = refusal(gate, "fp32")
    assert found is None if passes else "lose 0.1000 of predicted IoU" in found


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_single_number_that_is_not_finite_is_refused(images, value):
    def spoil(logits):
        logits = logits.clone()
        logits[0, 0, 0, 0] = value
        return logits

    assert "NaN or infinite" in refusal(gate_of(spoil, images), "bf16")
    alone = compare(list(masks_of(Known(spoil=spoil), images, 1)), None)  # the reference itself
    assert alone.mean_iou is None
    assert "NaN or infinite" in refusal(alone, "fp32")


def test_iou_of_packed_masks_is_that_of_their_pixels():
    rng = np.random.default_rng(0)
    a, b = rng.random((9, 1003)) < 0.4, rng.random((9, 1003)) < 0.6
    a[0] = b[0] = False
    a[1] = False
    expected = [
        1.0 if not (x | y).any() else (x & y).sum() / (x | y).sum() for x, y in zip(a, b, strict=True)
    ]
    assert iou(np.packbits(a, axis=1), np.packbits(b, axis=1)) == pytest.approx(expected)


def test_the_last_batch_is_full_too(images):
    model = Known()
    list(masks_of(model, images, 4))
    assert [len(batch) for batch in model.encoded] == [4, 4]
    assert torch.device("cpu") == model.device
