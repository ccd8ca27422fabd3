"""What is asked: the shares that the recipe says, points on their objects, boxes where a point is short."""

import numpy as np
import pytest
import torch

from sambench.evsam.prompt_encoder import BACKGROUND, BOTTOM_RIGHT, FOREGROUND, PAD, TOP_LEFT
from sambench.evsam.train.clicks import corrective
from sambench.evsam.train.prompts import by_box, choose_objects, draw_prompts
from sambench.evsam.train.recipe import Finetune
from sambench.evsam.train.sample import Sample

SIDE = 32


def sample(*sides):
    masks = torch.zeros(len(sides), SIDE, SIDE, dtype=torch.uint8)
    for i, side in enumerate(sides):
        masks[i, 3 : 3 + side, 5 : 5 + side] = 200
    boxes = torch.tensor([[5.0, 3, 5 + side, 3 + side] for side in sides])
    return Sample(torch.zeros(3, SIDE, SIDE), masks, boxes, (SIDE, SIDE))


def test_an_image_is_asked_by_boxes_or_by_points_and_never_by_both():
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(600):
        xy, labels = draw_prompts(sample(8, 12), Finetune(), rng)
        if TOP_LEFT in labels:
            assert labels.tolist() == [[TOP_LEFT, BOTTOM_RIGHT]] * 2
            assert xy[0].tolist() == [[5, 3], [13, 11]]
            counts.append(0)
        else:
            assert set(labels[:, :-1].flatten().tolist()) == {FOREGROUND}
            assert set(labels[:, -1].tolist()) == {PAD}
            counts.append(labels.shape[1] - 1)
            for mask, points in zip(sample(8, 12).masks, xy[:, :-1], strict=True):
                places = {(int(x), int(y)) for x, y in points}
                assert len(places) == len(points)  # each pixel once
                assert all(mask[y, x] > 0 for x, y in places)
    shares = np.bincount(counts, minlength=11) / len(counts)
    assert shares[0] == pytest.approx(0.5, abs=0.06)
    assert all(0.02 < share < 0.09 for share in shares[1:])


@pytest.mark.parametrize(("short", "by_boxes"), [("boxes", True), ("repeat", False)])
def test_an_object_with_too_few_pixels(short, by_boxes):
    recipe = Finetune(boxes=0.0, points=(6, 6), short_of_points=short)
    xy, labels = draw_prompts(sample(2, 9), recipe, np.random.default_rng(0))
    assert (TOP_LEFT in labels) == by_boxes
    if not by_boxes:
        assert all(5 <= x < 7 and 3 <= y < 5 for x, y in xy[0, :-1].tolist())


def test_boxes_are_shaken_and_stay_boxes():
    rng = np.random.default_rng(0)
    recipe = Finetune(jitter=0.1)
    found = torch.stack([by_box(sample(20), recipe, rng)[0][0] for _ in range(500)])
    assert bool((found[:, 0] <= found[:, 1]).all())
    assert found[:, 0, 0].std() == pytest.approx(2.0, rel=0.15)
    assert found[:, 0, 0].mean() == pytest.approx(5.0, abs=0.4)


def test_objects_are_drawn_without_repeats_or_repeated_to_the_number_asked():
    rng = np.random.default_rng(0)
    many = choose_objects([10.0] * 100, Finetune(masks_per_image=64), rng)
    assert len(set(many)) == 64
    few = choose_objects([10.0] * 5, Finetune(masks_per_image=64), rng)
    assert np.bincount(few).tolist() == [13, 13, 13, 13, 12] or sorted(np.bincount(few)) == [
        12,
        13,
        13,
        13,
        13,
    ]
    assert sorted(choose_objects([10.0] * 5, Finetune(fill=False), rng)) == [0, 1, 2, 3, 4]
    assert choose_objects([], Finetune(), rng) == []


def test_large_objects_are_found_among_hundreds_of_specks():
    areas = [4.0] * 495 + [400.0] * 4 + [40000.0]
    rng = np.random.default_rng(0)
    share = {}
    for draw in ("uniform", "by_size"):
        recipe = Finetune(masks_per_image=12, draw=draw)
        drawn = [choose_objects(areas, recipe, rng) for _ in range(200)]
        share[draw] = np.mean([499 in one for one in drawn])
    assert share["uniform"] < 0.06
    assert share["by_size"] > 0.95


def test_a_corrective_click_is_in_the_larger_error():
    truth = torch.zeros(4, SIDE, SIDE)
    truth[:, 8:20, 8:20] = 1
    logits = torch.full((4, SIDE, SIDE), -3.0)
    logits[0, 8:20, 8:12] = 3  # much is lacking
    logits[1, 8:20, 8:31] = 3  # much is in excess
    logits[2, 8:20, 8:20] = 3  # nothing is wrong
    generator = torch.Generator().manual_seed(0)
    seen = {0: set(), 1: set()}
    for _ in range(200):
        xy, labels = corrective(logits, truth, lambda shape: torch.rand(shape, generator=generator))
        assert labels[:, 0].tolist() == [FOREGROUND, BACKGROUND, PAD, FOREGROUND]
        for i, places in seen.items():
            places.add(tuple(xy[i, 0].int().tolist()))
    assert {x for x, _ in seen[0]} == set(range(12, 20))
    assert {y for _, y in seen[0]} == set(range(8, 20))
    assert {x for x, _ in seen[1]} == set(range(20, 31))
    assert len(seen[1]) > 100  # uniform, not the middle
