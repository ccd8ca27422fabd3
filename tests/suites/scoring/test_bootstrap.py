"""Draws of images, and the intervals of what they give."""

import tracemalloc

import numpy as np
import pytest

from sambench.suites.scoring import bootstrap
from sambench.suites.scoring.bootstrap import BOOTSTRAP_SEED, RESAMPLES, draws, percentile_interval


def all_draws(*strata):
    return np.concatenate(list(draws(np.array(strata))))


@pytest.mark.parametrize("at_once", [1, 7 * 6, 10**6])
def test_draws_are_the_same_every_time_however_they_are_cut(monkeypatch, at_once):
    monkeypatch.setattr(bootstrap, "DRAWN_AT_ONCE", at_once)
    drawn = all_draws(*[0] * 6)
    assert drawn.shape == (RESAMPLES, 6)
    assert (drawn.sum(axis=1) == 6).all()
    in_one = np.random.default_rng(BOOTSTRAP_SEED).multinomial(6, [1 / 6] * 6, size=RESAMPLES)
    np.testing.assert_array_equal(drawn, in_one)


@pytest.mark.parametrize("at_once", [1, 10**6])
def test_each_group_is_drawn_from_alone(monkeypatch, at_once):
    monkeypatch.setattr(bootstrap, "DRAWN_AT_ONCE", at_once)
    drawn = all_draws(3, 8, 3, 3, 8)
    assert (drawn[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert (drawn[:, [1, 4]].sum(axis=1) == 2).all()
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.1
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.1)


def test_the_draws_of_many_images_are_never_all_in_memory():
    tracemalloc.start()
    block = next(draws(np.zeros(100_000, np.int64)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert block.shape == (10, 100_000)
    assert peak < 30e6  # the counts, the same as floats, and the shares; all 2000 draws would be 1.6e9


def test_an_interval_leaves_out_what_is_no_number():
    assert percentile_interval(np.array([np.nan, np.nan])) is None
    samples = np.arange(1001) / 1000
    assert percentile_interval(np.append(samples, np.nan)) == pytest.approx([0.025, 0.975])
