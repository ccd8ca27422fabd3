"""Positions to items: the same whatever the processes, and of an image of specks large objects too."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sa1b_forms import as_folder, as_tars, description, pair, picture, thing

from sambench.evsam.train.prompts import choose_objects
from sambench.evsam.train.recipe import Finetune
from sambench.harness.train.config import Data
from sambench.harness.train.loader import Finetuning, Item, Positions, Skipped, load
from sambench.harness.train.order import Order, Share
from sambench.harness.train.sources import Source, open_source

SIDE = 32
LARGE = (900, 1200)


def speck(number: int) -> dict[str, Any]:
    """An object of one pixel in a `LARGE` image: in the frame nothing is left of it."""
    before = 500 * LARGE[0] + 400
    runs = [before, 1, LARGE[0] * LARGE[1] - before - 1]
    return thing(number, 0) | {"segmentation": {"size": list(LARGE), "counts": runs}, "area": 1}


def large(number: int, *things: dict[str, Any]) -> tuple[bytes, bytes]:
    """A `LARGE` image with objects."""
    said = description(number, 0, LARGE) | {"annotations": things}
    return picture(number, LARGE), json.dumps(said).encode()


DAMAGED, EMPTY, SPECK = 3, 5, 7
FILES = {n: pair(n, objects=n % 4 + 1) for n in range(1, 10)}
FILES |= {DAMAGED: (picture(DAMAGED)[:300], pair(DAMAGED)[1]), EMPTY: pair(EMPTY, objects=0)}
FILES |= {SPECK: large(SPECK, speck(1), speck(2))}
RECIPE = Finetune(masks_per_image=3, draw="by_size", colour=0.2, jitter=0.1, clicks=1)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Nine images, of which one is damaged and two have nothing to see."""
    return open_source(Data(format="sa1b", root=as_folder(tmp_path, FILES, into=2)))


def positions(source: Source, recipe: Finetune = RECIPE, seed: int = 4) -> Positions:
    return Positions(source, Order(len(source), seed), Finetuning(recipe, SIDE))


def loaded(source: Source, share: Share, steps: range, workers: int) -> list[list[Item | Skipped]]:
    return list(load(positions(source), share, steps, workers))


def same(one: Item | Skipped, other: Item | Skipped) -> bool:
    if isinstance(one, Skipped) or isinstance(other, Skipped):
        return one == other
    assert one.prompts is not None
    assert other.prompts is not None
    tensors = zip(
        (one.sample.image, one.sample.masks, one.sample.boxes, *one.prompts),
        (other.sample.image, other.sample.masks, other.sample.boxes, *other.prompts),
        strict=True,
    )
    facts = [(x.position, x.name, x.seed, x.sample.size) for x in (one, other)]
    return facts[0] == facts[1] and all(torch.equal(a, b) for a, b in tensors)


def all_same(ours: Sequence[Item | Skipped], others: Sequence[Item | Skipped]) -> bool:
    return len(ours) == len(others) and all(itertools.starmap(same, zip(ours, others, strict=True)))


def test_what_cannot_be_learnt_from_says_why(source: Source) -> None:
    found = [positions(source)[p] for p in range(9)]
    kinds = {one.reason.split("sa_")[-1][0]: one.kind for one in found if isinstance(one, Skipped)}
    assert kinds == {str(DAMAGED): "damaged", str(EMPTY): "empty", str(SPECK): "empty"}
    assert sum(isinstance(one, Item) for one in found) == 6


def test_an_object_that_vanishes_in_the_frame_is_not_asked_for(tmp_path: Path) -> None:
    seen = thing(8, 200, LARGE)
    seen["segmentation"] = {"size": list(LARGE), "counts": [0, LARGE[0] * 600, LARGE[0] * 600]}
    root = as_folder(tmp_path, {1: large(1, speck(7), seen, speck(9))})
    (item,) = loaded(open_source(Data(format="sa1b", root=root)), Share(1, 1), range(1), 0)[0]
    assert isinstance(item, Item)
    assert len(item.sample.masks) == RECIPE.masks_per_image
    half = item.sample.masks[:, : item.sample.size[0]].float().mean() / 255
    assert half == pytest.approx(0.5, abs=0.02)


def test_an_item_is_of_its_position_alone(source: Source) -> None:
    ahead, alone = positions(source), positions(source)
    whole = [ahead[p] for p in range(27)]
    assert all_same(whole, [alone[p] for p in reversed(range(27))][::-1])
    assert not all_same(whole, [positions(source, seed=5)[p] for p in range(27)])
    again = {one.name: one for one in whole[:9] if isinstance(one, Item)}
    later = [one for one in whole[9:18] if isinstance(one, Item)]
    assert any(not torch.equal(one.sample.boxes, again[one.name].sample.boxes) for one in later)


def test_processes_together_load_what_one_loads(source: Source) -> None:
    one = [item for part in loaded(source, Share(4, 4), range(2, 5), 0) for item in part]
    shares = [Share(4, 1, rank, 2) for rank in (0, 1)]
    parts = [loaded(source, share, range(2, 5), 0) for share in shares]
    joined = [item for together in zip(*parts, strict=True) for part in together for item in part]
    assert all_same(one, joined)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["folder", "tars"])
def test_workers_load_what_is_loaded_without(layout: str, tmp_path: Path) -> None:
    form = as_folder if layout == "folder" else as_tars
    source = open_source(Data(format="sa1b", root=form(tmp_path, FILES)))
    share, steps = Share(4, 2), range(1, 6)
    alone, ahead = (loaded(source, share, steps, workers) for workers in (0, 2))
    assert len(alone) == len(ahead) == 10
    assert all(itertools.starmap(all_same, zip(alone, ahead, strict=True)))
    assert {one.kind for part in ahead for one in part if isinstance(one, Skipped)} == {"damaged", "empty"}


def thirds(areas: Sequence[float]) -> list[int]:
    """Which third of the range of the logarithms each area is in."""
    logs = [float(np.log(area)) for area in areas]
    low, high = min(logs), max(logs)
    return [min(int(3 * (one - low) / (high - low)), 2) for one in logs]


def weights(areas: Sequence[float]) -> list[float]:
    """Chances with which each third that has objects is as likely as another."""
    third = thirds(areas)
    return [1 / third.count(t) / len(set(third)) for t in third]


def inclusion(chances: Sequence[float], count: int) -> list[float]:
    """With what probability each is among so many that are drawn one after the other: all orders, summed."""
    total = [0.0] * len(chances)
    for order in itertools.permutations(range(len(chances)), count):
        probability, left = 1.0, 1.0
        for i in order:
            probability *= chances[i] / left
            left -= chances[i]
        for i in order:
            total[i] += probability
    return total


def test_objects_are_drawn_with_the_probabilities_of_all_orders_summed() -> None:
    areas = [2.0, 2.5, 3.0, 3.0, 90.0, 4000.0, 5000.0]
    recipe, draws = Finetune(masks_per_image=3, draw="by_size"), 4000
    rng = np.random.default_rng(0)
    drawn = np.bincount([i for _ in range(draws) for i in choose_objects(areas, recipe, rng)], minlength=7)
    expected = np.array(inclusion(weights(areas), 3))
    assert expected.sum() == pytest.approx(3)
    deviation = np.sqrt(expected * (1 - expected) / draws)
    np.testing.assert_array_less(abs(drawn / draws - expected), 4.5 * deviation)


def one_after_the_other(chances: Sequence[float], count: int, rng: random.Random) -> list[int]:
    """Draw as the definition says."""
    left = dict(enumerate(chances))
    found = []
    for _ in range(count):
        (i,) = rng.choices(list(left), list(left.values()))
        found.append(i)
        del left[i]
    return found


def test_of_hundreds_of_specks_and_a_few_large_objects_many_are_large() -> None:
    """Uniformly drawn, 12 of 306 objects have a large one in every fourth image; by size all."""
    rng = np.random.default_rng(1)
    areas = [*rng.uniform(10, 40, 300), *rng.uniform(20_000, 60_000, 6)]
    means = {}
    for draw in ("uniform", "by_size"):
        recipe = Finetune(masks_per_image=12, draw=draw)  # type: ignore[arg-type]
        means[draw] = np.mean([sum(i >= 300 for i in choose_objects(areas, recipe, rng)) for _ in range(400)])
    chances, dice = weights(areas), random.Random(2)
    oracle = np.mean([sum(i >= 300 for i in one_after_the_other(chances, 12, dice)) for _ in range(400)])
    assert means["uniform"] == pytest.approx(12 * 6 / 306, abs=0.12)
    assert means["by_size"] == pytest.approx(oracle, abs=0.25)
    assert means["by_size"] > 3


def test_nothing_is_drawn_twice_unless_there_are_too_few() -> None:
    rng = np.random.default_rng(3)
    for count in (1, 5, 12, 40):
        for draw in ("uniform", "by_size"):
            areas = list(rng.uniform(1, 1000, count))
            filled = choose_objects(areas, Finetune(masks_per_image=12, draw=draw), rng)  # type: ignore[arg-type]
            assert len(filled) == 12
            times = [filled.count(i) for i in set(filled)]
            assert len(times) == min(count, 12)
            assert max(times) - min(times) <= 1
            recipe = Finetune(masks_per_image=12, draw=draw, fill=False)  # type: ignore[arg-type]
            assert (
                sorted(set(choose_objects(areas, recipe, rng))) == sorted(choose_objects(areas, recipe, rng))
                or count > 12
            )
    assert choose_objects([], Finetune(), rng) == []


def test_equal_areas_and_areas_of_nothing_can_be_drawn() -> None:
    rng = np.random.default_rng(4)
    for areas in ([5.0] * 30, [0.0] * 30, [0.0] * 29 + [9.0]):
        found = choose_objects(areas, Finetune(masks_per_image=8, draw="by_size"), rng)
        assert len(set(found)) == 8
