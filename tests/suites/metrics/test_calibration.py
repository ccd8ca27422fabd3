"""Predicted IoU beside the true one, bin by bin."""

import numpy as np
import pytest

from sambench.suites.metrics.calibration import BINS, reliability


def test_bins_and_error_by_hand():
    predicted, actual = np.array([0.05, 0.95, 0.91, 0.5]), np.array([0.15, 0.90, 0.70, 0.5])
    found = reliability(predicted, actual)
    assert found.objects.tolist() == [1, 1, 2]
    assert found.predicted == pytest.approx([0.05, 0.5, 0.93])
    assert found.actual == pytest.approx([0.15, 0.5, 0.80])
    assert found.error == pytest.approx((0.10 + 0 + 2 * 0.13) / 4)


def test_what_lies_outside_goes_into_the_outermost_bins():
    found = reliability(np.array([-0.5, 1.0, 1.7]), np.array([0.0, 1.0, 1.0]))
    assert found.objects.tolist() == [1, 2]
    assert len(found.objects) <= BINS


def test_the_error_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    predicted, actual = rng.random(500), rng.random(500)
    total = 0.0
    for i in range(BINS):
        mine = (predicted >= i / BINS) & (predicted < (i + 1) / BINS)
        if mine.any():
            total += mine.sum() * abs(predicted[mine].mean() - actual[mine].mean())
    assert reliability(predicted, actual).error == pytest.approx(total / 500)
