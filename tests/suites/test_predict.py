"""From prompts to masks: which alternative is chosen, in which order, and how it is upsampled."""

import numpy as np
import pytest
import torch
from fakes import Fake

from sambench.adapters.base import Prediction, Prompts
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Stopwatch
from sambench.suites.predict import choose, predict
from sambench.suites.protocol import make_protocol

STABLE = [[9.0, 9.0], [-9.0, -9.0]]  # cut at +1 and at -1: 2 and 2 pixels
SHAKY = [[9.0, 0.5], [-0.5, -9.0]]  # 1 and 3
SOFT = [[0.9, 0.9], [0.9, 0.9]]  # 0 and 4


def prediction(logits, iou):
    return Prediction(torch.tensor(logits), torch.tensor(iou))


def test_predicted_iou_chooses_for_each_prompt_on_its_own():
    both = prediction([[STABLE, SHAKY, SOFT], [STABLE, SHAKY, SOFT]], [[0.2, 0.9, 0.5], [0.1, 0.2, 0.3]])
    assert choose(both, make_protocol("paper")).choice.tolist() == [1, 2]
    assert choose(both, make_protocol("strict")).choice.tolist() == [1, 2]


def test_stability_chooses_though_predicted_iou_says_otherwise():
    both = prediction([[SOFT, SHAKY, STABLE], [SHAKY, SOFT, SOFT]], [[0.9, 0.5, 0.1], [0.1, 0.5, 0.9]])
    assert choose(both, make_protocol({"select": "stability"})).choice.tolist() == [2, 0]


def test_a_single_mask_is_chosen_whatever_it_is_worth():
    one = prediction([[SOFT], [STABLE]], [[-3.0], [0.5]])
    for select in ("single", "pred_iou", "stability"):
        assert choose(one, make_protocol({"select": select})).choice.tolist() == [0, 0]


@pytest.mark.parametrize("select", ["pred_iou", "stability"])
def test_the_first_among_equals_is_chosen(select):
    equal = prediction([[SHAKY, STABLE, STABLE]], [[0.1, 0.7, 0.7]])
    assert choose(equal, make_protocol({"select": select})).choice.tolist() == [1]


def test_a_mask_without_a_pixel_is_not_stable_and_not_chosen():
    empty = [[-9.0, -9.0], [-9.0, -9.0]]
    chosen = choose(prediction([[empty, SHAKY]], [[0.9, 0.1]]), make_protocol({"select": "stability"}))
    assert chosen.choice.tolist() == [1]


def numbered(prompt, size):
    """Answer box n with the first n pixels of the image; the alternatives have n - 1 and none."""
    n = int(prompt.boxes[0, 0])
    masks = np.arange(size[0] * size[1]).reshape(size)[None] < np.array([n - 1, n, 0])[:, None, None]
    return np.where(masks, 1.0, -1.0) * n, [0.3, 0.5 + n / 1000, 0.1]


def boxes(count):
    return Prompts(boxes=torch.arange(1, count + 1, dtype=torch.float32)[:, None].repeat(1, 4))


def run(segmenter, prompts, protocol="strict", size=(10, 12)):
    (embedding,) = segmenter.encode([np.zeros((*size, 3), np.uint8)])
    return list(predict(segmenter, embedding, prompts, make_protocol(protocol), Stopwatch()))


@pytest.mark.parametrize("count", [1, 3, 16, 17, 50])
@pytest.mark.parametrize("prompt_batch", [1, 3, 16, 64])
def test_masks_come_out_in_the_order_of_the_prompts_for_any_batch(prompt_batch, count):
    segmenter = Fake(numbered, prompt_batch=prompt_batch)
    parts = run(segmenter, boxes(count))
    sizes = [len(p.masks) for p in parts]
    assert sizes[:-1] == [prompt_batch] * (len(sizes) - 1)
    assert sum(sizes) == count
    assert [len(p) for p in segmenter.asked] == sizes
    masks = torch.cat([p.masks for p in parts])
    assert masks.dtype == torch.bool
    assert masks.flatten(1).sum(dim=1).tolist() == list(range(1, count + 1))
    assert torch.cat([p.logits.amax(dim=(1, 2)) for p in parts]).tolist() == list(range(1, count + 1))
    expected = [pytest.approx(0.5 + n / 1000) for n in range(1, count + 1)]
    assert torch.cat([p.pred_iou for p in parts]).tolist() == expected
    assert torch.cat([p.choice for p in parts]).tolist() == [1] * count


@pytest.mark.parametrize(
    ("select", "multimask"), [("pred_iou", True), ("stability", True), ("single", False)]
)
def test_the_model_is_asked_for_alternatives_unless_a_single_mask_is_scored(select, multimask):
    segmenter = Fake(numbered)
    run(segmenter, boxes(2), {"select": select})
    assert segmenter.multimask == [multimask]


def test_the_chosen_alternative_alone_is_upsampled():
    segmenter = Fake(lambda prompt, size: (np.zeros((3, 5, 6)), [0.1, 0.9, 0.2]), prompt_batch=4)
    run(segmenter, boxes(6))
    assert segmenter.upsampled == [(4, 5, 6), (2, 5, 6)]


def test_logits_are_upsampled_before_they_are_cut():
    low = np.array([[3.0, -1.0]])
    segmenter = Fake(lambda prompt, size: (low[None], [1.0]))
    ((part,),) = [run(segmenter, boxes(1), size=(1, 8))]
    at = np.clip((np.arange(8) + 0.5) / 4 - 0.5, 0, 1)  # where each pixel falls between the two logits
    assert part.masks[0, 0].tolist() == (3 - 4 * at > 0).tolist()
    assert part.masks[0, 0].sum() == 5  # cut first, it were 4
    assert part.logits.tolist() == [low.tolist()]


def test_a_logit_of_zero_is_outside():
    ((part,),) = [run(Fake(lambda prompt, size: (np.zeros((1, *size)), [1.0])), boxes(1))]
    assert not part.masks.any()


def test_nothing_is_left_to_differentiate():
    ((part,),) = [run(Fake(numbered), boxes(2))]
    assert part.logits.is_inference()


def test_seconds_are_charged_to_decoding_and_upsampling():
    segmenter = Fake(numbered, prompt_batch=2)
    (embedding,) = segmenter.encode([np.zeros((10, 12, 3), np.uint8)])
    watch = Stopwatch()
    assert len(list(predict(segmenter, embedding, boxes(3), make_protocol("strict"), watch))) == 2
    assert set(watch.seconds) == {"decode", "upsample"}
    assert all(s > 0 for s in watch.seconds.values())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error_and_not_a_bad_mask(value):
    segmenter = Fake(lambda prompt, size: (np.full((1, *size), value), [0.5]))
    (embedding,) = segmenter.encode([np.zeros((6, 8, 3), np.uint8)])
    prompts = Prompts(boxes=torch.tensor([[0.0, 0, 2, 2]]))
    with pytest.raises(SambenchError, match="fake: its logits are not finite"):
        list(predict(segmenter, embedding, prompts, make_protocol("strict"), Stopwatch()))


def test_masks_of_another_size_than_the_image_are_an_error(monkeypatch):
    segmenter = Fake(lambda prompt, size: (np.ones((1, *size)), [0.5]))
    monkeypatch.setattr(segmenter, "upsample", lambda logits, size: torch.ones(len(logits), 7, 9))
    (embedding,) = segmenter.encode([np.zeros((6, 8, 3), np.uint8)])
    prompts = Prompts(boxes=torch.tensor([[0.0, 0, 2, 2]]))
    with pytest.raises(SambenchError, match=r"upsample gave \(1, 7, 9\), the image asks for \(1, 6, 8\)"):
        list(predict(segmenter, embedding, prompts, make_protocol("strict"), Stopwatch()))
