"""What lines are made of, against counts by hand and a plain bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from sambench.reports.figures.series import by_size, mean_interval, shares_reached
from sambench.reports.records import Scored


def test_shares_reached_are_those_of_a_count_by_hand():
    iou = np.array(
        [
            [0.5, 0.85, 0.7, 0.7, 0.7],  # reached at the second click, though lost again
            [0.9, 0.9, 0.9, 0.9, 0.9],
            [0.1, 0.2, 0.3, 0.4, 0.849],
            [0.0, 0.0, 0.0, 0.0, 0.86],
        ]
    )
    assert shares_reached(iou, 0.85).tolist() == [25, 50, 50, 50, 75]
    assert shares_reached(iou, 0.95).tolist() == [0, 0, 0, 0, 0]


def test_sizes_are_in_half_octaves_and_small_bins_are_left_out():
    size = np.array([16.0] * 10 + [22.6] * 10 + [22.7] * 12 + [100.0] * 9 + [0.0, np.nan])
    iou = np.array([0.5] * 10 + [0.7] * 10 + [0.8] * 12 + [1.0] * 9 + [0.0, 0.0])
    found = by_size(Scored(iou, None, size, np.arange(len(iou))))
    assert found.size.tolist() == pytest.approx([2**4.25, 2**4.75])  # from 16, and from 22.63, to 32
    assert found.mean.tolist() == pytest.approx([60, 80])
    assert found.low[0] < 60 < found.high[0]
    assert found.low[1] == pytest.approx(80)


def test_the_interval_is_that_of_a_bootstrap_over_images():
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(200), rng.integers(1, 12, 200))
    values = rng.normal(60, 10, 200)[image] + rng.normal(0, 10, len(image))
    mean, low, high = mean_interval(values, image)
    members = [np.flatnonzero(image == one) for one in range(200)]
    means = []
    for _ in range(1000):
        drawn = np.concatenate([members[one] for one in rng.integers(0, 200, 200)])
        means.append(values[drawn].mean())
    spread = np.std(means)
    assert mean == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * spread, rel=0.1)
    assert (high - low) / 2 > 1.5 * 1.96 * values.std() / len(values) ** 0.5  # unlike objects of no image


def test_one_image_has_no_interval():
    mean, low, high = mean_interval(np.array([1.0, 3.0]), np.array([7, 7]))
    assert (mean, np.isnan(low), np.isnan(high)) == (2, True, True)
