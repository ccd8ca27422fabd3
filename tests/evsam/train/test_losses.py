"""Losses against sums written out pixel by pixel, and gradients against differences."""

import math

import numpy as np
import pytest
import torch

from sambench.evsam.train.losses import bce, dice, focal, mask_losses, released, soft_iou
from sambench.evsam.train.points import POINTS, look_up, uncertain_points
from sambench.evsam.train.recipe import Finetune


def drawn(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0, 3, shape)), torch.from_numpy(rng.random(shape))


def uniform(seed=0):
    rng = np.random.default_rng(seed)
    return lambda shape: torch.from_numpy(rng.random(shape))


def by_hand(x, t, kind):
    p = 1 / (1 + math.exp(-x))
    entropy = -(t * math.log(p) + (1 - t) * math.log(1 - p))
    if kind == "bce":
        return entropy
    right = p * t + (1 - p) * (1 - t)
    return (0.25 * t + 0.75 * (1 - t)) * (1 - right) ** 2 * entropy


@pytest.mark.parametrize(("kind", "loss"), [("bce", bce), ("focal", focal)])
def test_the_loss_of_a_pixel(kind, loss):
    logits, targets = drawn(40)
    expected = [by_hand(x, t, kind) for x, t in zip(logits.tolist(), targets.tolist(), strict=True)]
    assert np.allclose(loss(logits, targets), expected, rtol=1e-10)


def test_focal_of_hard_targets_is_the_formula_of_its_paper():
    logits, _ = drawn(50)
    targets = (torch.arange(50) % 2).double()
    chance = torch.where(targets > 0, logits.sigmoid(), 1 - logits.sigmoid())
    alpha = torch.where(targets > 0, 0.25, 0.75)
    assert torch.allclose(focal(logits, targets), -alpha * (1 - chance) ** 2 * chance.log())


def test_dice():
    logits, targets = drawn(3, 30)
    for one, truth, found in zip(logits.tolist(), targets.tolist(), dice(logits, targets), strict=True):
        p = [1 / (1 + math.exp(-x)) for x in one]
        shared = sum(a * b for a, b in zip(p, truth, strict=True))
        assert float(found) == pytest.approx(1 - (2 * shared + 1) / (sum(p) + sum(truth) + 1), rel=1e-12)


@pytest.mark.parametrize("kind", ["bce", "focal"])
@pytest.mark.parametrize("pixels", ["all", "uncertain"])
def test_gradients_are_those_of_differences(kind, pixels):
    logits, targets = drawn(2, 1, 6, 7)
    recipe = Finetune(mask_loss=kind, pixels=pixels, area_weight=1.0)

    def loss(x):
        masks, area, overlap = mask_losses(x, targets, recipe, uniform())
        return 20 * masks + area + overlap

    if pixels == "uncertain":  # which points are chosen jumps: a fixed choice is differentiated
        xy = uncertain_points(logits, uniform())

        def loss(x):
            seen, truth = look_up(x, xy), look_up(targets, xy)
            return 20 * (bce if kind == "bce" else focal)(seen, truth).mean(dim=1) + dice(seen, truth)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_(), eps=1e-6, atol=1e-5)


def test_points_are_read_between_pixel_centres():
    maps = torch.arange(12.0).reshape(1, 1, 3, 4)
    xy = torch.tensor([[[0.125, 1 / 6], [0.25, 1 / 6], [0.875, 5 / 6], [0.5, 0.5], [0.0, 0.0]]])
    # the centre of pixel (0, 0); halfway to (0, 1); the last centre; the middle; a corner is half outside
    assert look_up(maps, xy)[0].tolist() == pytest.approx([0, 0.5, 11, 5.5, 0.0], abs=1e-5)


def test_uncertain_points_are_the_least_certain_of_three_times_as_many():
    logits, _ = drawn(2, 1, 20, 20)
    calls = []

    def draw(shape):
        calls.append((shape, uniform(len(calls))(shape)))
        return calls[-1][1]

    xy = uncertain_points(logits, draw)
    (first, candidates), (second, free) = calls
    certain = POINTS * 3 // 4
    assert first == (2, 3 * POINTS, 2)
    assert second == (2, POINTS - certain, 2)
    assert torch.equal(xy[:, certain:], free)
    for i in range(2):
        doubt = look_up(logits[i : i + 1], candidates[i : i + 1]).abs()[0]
        least = doubt.sort().values[:certain]
        assert torch.allclose(
            look_up(logits[i : i + 1], xy[i : i + 1, :certain]).abs()[0].sort().values, least
        )


def test_the_recipe_of_the_released_code_is_its_loss():
    logits, targets = drawn(3, 1, 16, 16)
    recipe = Finetune(mask_loss="bce", pixels="uncertain")
    masks, area, overlap = mask_losses(logits, targets, recipe, uniform())
    expected = released(logits, targets, uniform())
    assert torch.equal(masks, expected[0])
    assert torch.equal(overlap, expected[1])
    assert not area.any()


def test_the_loss_over_an_objects_area_does_not_shrink_with_it():
    sides = (8, 16, 32)
    targets = torch.zeros(3, 1, 64, 64)
    for i, side in enumerate(sides):
        targets[i, 0, :side, :side] = 1
    logits = torch.where(targets > 0, -4.0, -20.0)  # nothing is predicted
    masks, area, _ = mask_losses(logits, targets, Finetune(mask_loss="bce", area_weight=1.0), uniform())
    assert area.tolist() == pytest.approx([float(area[0])] * 3, rel=1e-3)
    assert masks[2] / masks[0] == pytest.approx(16, rel=1e-3)


def test_iou_of_masks():
    logits = torch.tensor([[1.0, 1, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, -1]]).reshape(3, 2, 2)
    targets = torch.tensor([[1.0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0.4]]).reshape(3, 2, 2)
    assert soft_iou(logits, targets).tolist() == pytest.approx([1 / 3, 0, 1])
