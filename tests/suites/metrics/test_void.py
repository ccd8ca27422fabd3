"""Void pixels leave masks, and nothing else does."""

import numpy as np
import pytest
import torch
from fakes import target
from pycocotools import mask as rle

from sambench.suites.data.masks import to_window
from sambench.suites.data.rle import encode
from sambench.suites.metrics.recall import match, times_matched
from sambench.suites.metrics.void import without_void, without_void_coded
from sambench.suites.protocol import make_protocol

SIZE = (30, 41)


def random(rng, share=0.4):
    return rng.random(SIZE) < share


@pytest.mark.parametrize("seed", range(4))
def test_masks_and_run_lengths_lose_the_same_pixels(seed):
    rng = np.random.default_rng(seed)
    void, masks = random(rng, 0.1 * seed), np.stack([random(rng) for _ in range(5)])
    window = to_window(void)
    before = masks.copy()
    given = torch.from_numpy(masks)
    np.testing.assert_array_equal(without_void(given, window).numpy(), masks & ~void)
    np.testing.assert_array_equal(given.numpy(), before)  # what is recorded is the whole prediction
    coded = without_void_coded(encode(masks), window)
    np.testing.assert_array_equal(np.moveaxis(rle.decode(coded), 2, 0).astype(bool), masks & ~void)


def test_without_void_nothing_is_touched():
    masks = torch.ones((1, *SIZE), dtype=torch.bool)
    coded = encode(masks.numpy())
    assert without_void(masks, None) is masks
    assert without_void_coded(coded, None) is coded


@pytest.mark.parametrize("seed", range(3))
def test_recall_is_that_of_ious_without_void(seed):
    rng = np.random.default_rng(seed)
    void = random(rng, 0.3)
    truths = [np.zeros(SIZE, bool) for _ in range(3)]
    for k, truth in enumerate(truths):
        truth[:, 13 * k : 13 * k + 12] = True
    masks = np.stack([truth ^ random(rng, share) for truth in truths for share in (0.02, 0.1, 0.2)])
    counts = np.stack([truth & ~void for truth in truths])
    iou = np.array([[((m & t) & ~void).sum() / ((m | t) & ~void).sum() for t in truths] for m in masks])
    found = match(
        without_void_coded(encode(masks), to_window(void)),
        [target(truth, ann_id=k + 1) for k, truth in enumerate(counts)],
        make_protocol("strict"),
    )
    assert [one["all"] for one in found] == times_matched(iou).tolist()
    assert sum(one["all"] for one in found) > 0
