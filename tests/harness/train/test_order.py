"""The order of samples, by brute force: nothing repeated, nothing lost, whatever the processes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from sambench.evsam.errors import SambenchError
from sambench.harness.train.order import Order, Share

SPLITS = [(ranks, at_once) for ranks in (1, 2, 3, 4, 6, 12) for at_once in (1, 2, 3, 4, 12)]
BATCH = 12
FIT = [(ranks, at_once) for ranks, at_once in SPLITS if BATCH % (ranks * at_once) == 0]


def of_step(step: int, ranks: int, at_once: int) -> list[int]:
    """The positions that all processes take in a step."""
    shares = [Share(BATCH, at_once, rank, ranks) for rank in range(ranks)]
    return sorted(p for share in shares for part in share.positions(step, step + 1) for p in part)


def images_of(order: Order, positions: Iterable[int]) -> list[int]:
    return [order.at(p)[1] for p in positions]


@pytest.mark.parametrize("images", [1, 2, 7, 100])
def test_every_epoch_has_each_image_once(images: int) -> None:
    order = Order(images, seed=3)
    for epoch in range(4):
        places = range(epoch * images, (epoch + 1) * images)
        assert {order.at(p)[0] for p in places} == {epoch}
        assert sorted(images_of(order, places)) == list(range(images))


def test_the_order_is_of_seed_epoch_and_index_alone() -> None:
    ahead, back = Order(50, seed=3), Order(50, seed=3)
    places = list(range(150))
    assert images_of(ahead, places) == images_of(back, reversed(places))[::-1]
    epochs = [tuple(images_of(Order(50, seed), range(k, k + 50))) for seed in (3, 4) for k in (0, 50, 100)]
    assert len(set(epochs)) == 6


@pytest.mark.parametrize(("ranks", "at_once"), FIT)
def test_any_processes_take_the_same_positions_in_a_step(ranks: int, at_once: int) -> None:
    for step in (0, 1, 17):
        assert of_step(step, ranks, at_once) == list(range(step * BATCH, (step + 1) * BATCH))


@pytest.mark.parametrize(("ranks", "at_once"), FIT)
def test_each_pass_has_as_many_images_as_fit(ranks: int, at_once: int) -> None:
    share = Share(BATCH, at_once, ranks - 1, ranks)
    passes = list(share.positions(2, 5))
    assert len(passes) == 3 * share.parts
    assert {len(one) for one in passes} == {at_once}


@pytest.mark.parametrize("stop", [0, 1, 4, 9])
def test_on_other_processes_after_any_step_nothing_is_repeated_or_lost(stop: int) -> None:
    """Steps of 12 of 31 images: epochs end in the middle of steps."""
    steps, order = 10, Order(31, seed=1)
    whole = [order.at(p) for p in range(steps * BATCH)]
    for before, after in itertools.product(FIT, FIT):
        taken = [p for step in range(stop) for p in of_step(step, *before)]
        taken += [p for step in range(stop, steps) for p in of_step(step, *after)]
        assert [order.at(p) for p in taken] == whole


def test_a_step_that_does_not_divide_is_refused_with_one_that_does() -> None:
    for ranks, at_once in SPLITS:
        if (ranks, at_once) in FIT:
            continue
        with pytest.raises(
            SambenchError, match=f"batch 12 is not a multiple of device_batch {at_once}"
        ) as caught:
            Share(BATCH, at_once, 0, ranks)
        proposed = int(str(caught.value).rstrip(".").split()[-1])
        Share(proposed, at_once, 0, ranks)
