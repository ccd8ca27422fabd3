"""Numbers from samples, against numpy and by hand."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sambench.suites.throughput.statistics import paired_ratio, rate, spread, summarise, variation

seconds = st.lists(st.floats(1e-4, 10.0), min_size=1, max_size=30)


@given(st.lists(seconds, min_size=1, max_size=6), st.integers(1, 64))
def test_a_summary_is_what_its_parts_say(rounds, images):
    speed = summarise(rounds, images)
    rates = [images * len(one) / sum(one) for one in rounds]
    medians = [1000 * statistics.median(one) for one in rounds]
    assert speed.img_s.median == pytest.approx(statistics.median(rates))
    assert (speed.img_s.low, speed.img_s.high) == pytest.approx((min(rates), max(rates)))
    assert speed.latency_ms[50] == pytest.approx(statistics.median(medians))
    assert speed.img_s_p50 == pytest.approx(1000 * images / statistics.median(medians))
    pooled = sorted(1000 * s for one in rounds for s in one)
    for p in (90, 95, 99):
        place = (len(pooled) - 1) * p / 100  # linear between the two nearest ranks
        low, high = pooled[math.floor(place)], pooled[math.ceil(place)]
        assert speed.latency_ms[p] == pytest.approx(low + (high - low) * (place - math.floor(place)))
    assert speed.batches == len(pooled)


def test_no_sample_is_left_out():
    usual = [0.1] * 99
    assert rate([*usual, 10.0], 1) == pytest.approx(100 / 19.9)
    assert summarise([[*usual, 10.0]], 1).latency_ms[99] > 100


def test_the_variation_is_the_sample_standard_deviation_over_the_mean():
    values = [1.0, 2.0, 4.0]
    assert variation(values) == pytest.approx(100 * statistics.stdev(values) / statistics.mean(values))
    assert variation([3.0]) == 0.0


def test_a_spread_of_an_even_number_lies_between_the_middle_two():
    assert spread([4.0, 1.0, 2.0, 8.0]).median == 3.0


def test_paired_ratios_cancel_what_a_round_has_in_common():
    weather = [1.0, 0.5, 0.8, 0.3]  # one machine, now fast, now slow
    ours, theirs = [30 * w for w in weather], [10 * w for w in weather]
    ratio = paired_ratio(ours, theirs)
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((3.0, 3.0, 3.0))


def test_the_interval_of_a_ratio_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hit = 0
    for _ in range(2000):
        ours, theirs = np.exp(rng.normal(1.0, 0.1, 5)), np.exp(rng.normal(0.0, 0.1, 5))
        ratio = paired_ratio(list(ours), list(theirs))
        hit += ratio.low <= math.e <= ratio.high
    assert 0.93 < hit / 2000 < 0.97


def test_the_ratio_does_not_depend_on_which_is_on_top():
    ours, theirs = [3.0, 4.0, 5.0], [1.0, 1.1, 0.9]
    up, down = paired_ratio(ours, theirs), paired_ratio(theirs, ours)
    assert (up.median, up.low, up.high) == pytest.approx((1 / down.median, 1 / down.high, 1 / down.low))


def test_one_round_has_no_interval_but_itself():
    ratio = paired_ratio([4.0], [2.0])
    assert (ratio.low, ratio.median, ratio.high) == pytest.approx((2.0, 2.0, 2.0))


def test_intervals_shrink_with_rounds_also_beyond_the_table():
    widths = []
    for n in (2, 3, 5, 11, 20):
        pattern = list(itertools.islice(itertools.cycle([1.0, 1.2]), n))
        ratio = paired_ratio(pattern, [1.0] * n)
        widths.append(math.log(ratio.high / ratio.low))
    assert widths == sorted(widths, reverse=True)
