"""Stability against its definition."""

import numpy as np
import pytest
import torch

from sambench.suites.metrics.stability import stability

STABLE = [[9.0, 9.0], [-9.0, -9.0]]  # cut at +1 and at -1: 2 and 2 pixels
SHAKY = [[9.0, 0.5], [-0.5, -9.0]]  # 1 and 3
SOFT = [[0.9, 0.9], [0.9, 0.9]]  # 0 and 4


def test_stability_is_the_iou_of_the_mask_cut_high_and_cut_low():
    shares = stability(torch.tensor([[STABLE, SHAKY, SOFT]]))
    assert shares.tolist() == [[1.0, pytest.approx(1 / 3), 0.0]]


def test_stability_on_random_logits_is_the_iou_of_the_two_cuts():
    logits = np.random.default_rng(0).normal(0, 2, (4, 3, 8, 8)).astype(np.float32)
    high, low = logits > 1, logits > -1
    expected = (high & low).sum(axis=(2, 3)) / (high | low).sum(axis=(2, 3))
    np.testing.assert_allclose(stability(torch.from_numpy(logits)), expected, rtol=1e-6)


def test_the_offset_says_how_far_apart_the_cuts_are_and_nothing_has_no_stability():
    logits = torch.tensor(
        [[[3.0, 0.5], [-0.5, -3.0]], [[1.0, -1.0], [-9.0, -9.0]], [[-9.0, -9.0], [-9.0, -9.0]]]
    )
    high, exactly_at_the_cuts, nothing = stability(logits, 1.0).tolist()
    assert high == pytest.approx(1 / 3)
    assert exactly_at_the_cuts == 0
    assert np.isnan(nothing)
    assert stability(logits[:1], 0.25).tolist() == [1.0]
