"""Clicks to a quality, by hand."""

import numpy as np
import pytest

from sambench.suites.metrics.clicks import clicks_to, number_of_clicks

IOU = np.array(
    [
        [0.85, 0.2, 0.2, 0.2, 0.2],  # there at once; what is lost again does not matter
        [0.1, 0.84, 0.85, 0.9, 1.0],
        [0.1, 0.1, 0.1, 0.1, 0.85],
        [0.84999, 0.8, 0.7, 0.6, 0.5],
    ]
)


def test_the_first_click_at_which_it_is_as_good():
    assert clicks_to(IOU, 0.85).tolist() == [1, 3, 5, 0]
    assert clicks_to(IOU, 0.80).tolist() == [1, 2, 5, 1]
    assert clicks_to(IOU, 0.90).tolist() == [0, 4, 0, 0]


def test_who_never_gets_there_counts_all_clicks_as_the_field_does():
    clicks, never = number_of_clicks(IOU, 0.85)
    assert clicks.mean() == pytest.approx((1 + 3 + 5 + 5) / 4)
    assert never.tolist() == [False, False, False, True]


def test_nothing_to_count():
    clicks, never = number_of_clicks(np.zeros((0, 5)), 0.9)
    assert (len(clicks), len(never)) == (0, 0)
