"""The mean over data sets: each drawn within itself, all or none for the plain mean."""

from types import SimpleNamespace

import numpy as np
import pytest

from sambench.suites.scoring.bootstrap import draws, percentile_interval
from sambench.suites.scoring.evidence import Paired, encode, load
from sambench.suites.scoring.ground_truth import Dense
from sambench.suites.scoring.matches import Matches
from sambench.suites.scoring.matching import Matched
from sambench.suites.scoring.sets import Sets


def part(seed, images, first=0, better=0.0):
    """A data set of one category, an object and two results an image."""
    rng, places = np.random.default_rng(seed), np.arange(images)
    image, score = np.repeat(places, 2), rng.random(2 * images)
    hits = rng.random(images) < 0.6 + better
    found, counted = (np.zeros((2 * images, 4), np.uint16) for _ in range(2))
    found[::2, 0], counted[:, 0] = np.where(hits, 31, 1), 1023
    looked_for = np.zeros((images, 4), bool)
    looked_for[:, 0] = True
    truth = SimpleNamespace(
        images=Dense(range(images)),
        categories=Dense([1]),
        style="coco",
        listed_categories=lambda: [{"id": 1}],
    )
    ones = np.ones(images, np.int64)
    matched = Matched(image + 1, np.repeat(ones, 2), score, found, counted, places + 1, ones, looked_for)
    return Matches.of(truth, matched).numbered_from(first)


def three(better=0.0, expected=3):
    sizes = {"a": 5, "b": 40, "c": 12}
    return Sets({name: part(i, n, 100 * i, better) for i, (name, n) in enumerate(sizes.items())}, expected)


def test_numbers_are_those_of_the_sets_and_their_mean_and_median():
    sets = three()
    own = {name: p.numbers()["ap"] for name, p in sets.parts.items()}
    assert len(set(own.values())) == 3
    mean = sum(own.values()) / 3
    assert sets.numbers() == pytest.approx(
        {"ap": mean, "ap_median": sorted(own.values())[1], "ap_of_those_there": mean}
        | {f"ap_{name}": value for name, value in own.items()}
    )
    assert three(expected=4).names == ("ap_of_those_there", "ap_a", "ap_b", "ap_c")
    assert sets.instances == 57


def test_each_set_is_drawn_within_itself():
    sets = three()
    assert sets.image_ids.tolist() == [*range(5), *range(100, 140), *range(200, 212)]
    drawn = np.concatenate(list(draws(sets.strata, 500)))
    for k, n in enumerate((5, 40, 12)):
        assert (drawn[:, sets.strata == k].sum(axis=1) == n).all()
    found = sets.resampled(drawn)
    each = [p.resampled(drawn[:, sets.strata == k])[:, 0] for k, p in enumerate(sets.parts.values())]
    np.testing.assert_allclose(found[:, 0], np.mean(each, axis=0), rtol=0, atol=1e-12)
    low, high = percentile_interval(found[:, 0])
    mean = sets.numbers()["ap"]
    assert sets.intervals()["ap"] == pytest.approx([2 * mean - high, 2 * mean - low])


def test_a_set_of_one_image_is_in_the_mean_and_has_no_interval_of_its_own():
    sets = Sets({"one": part(0, 1), "many": part(1, 30, 100)}, 2)
    assert set(sets.intervals()) == {"ap", "ap_median", "ap_of_those_there", "ap_many"}


def test_the_difference_of_two_models_is_over_the_sets_and_images_of_both():
    a, b = three(), three(better=0.3)
    fewer = Sets({name: p for name, p in b.parts.items() if name != "b"}, 3)
    both = Paired.of(a, fewer)
    assert list(both.a.parts) == list(both.b.parts) == ["a", "c"]
    assert "ap" not in both.names
    assert Paired.of(a, b).intervals()["ap"][0] > 0


def test_it_is_read_as_it_was_written(tmp_path):
    sets = three(expected=25)
    (tmp_path / "e.npz").write_bytes(encode(sets))
    read = load(tmp_path / "e.npz")
    assert isinstance(read, Sets)
    assert read.numbers() == sets.numbers()
    assert read.intervals() == sets.intervals()
    assert read.expected == 25
