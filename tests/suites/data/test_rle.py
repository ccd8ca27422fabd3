"""Encoding masks, judged by pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as official

from sambench.suites.data.rle import encode


def by_pycocotools(masks):
    return [official.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]


@given(arrays.arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 40), st.integers(1, 40))))
def test_random_masks_come_out_byte_for_byte_as_from_pycocotools(masks):
    assert encode(masks) == by_pycocotools(masks)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (480, 640), (641, 427)])
@pytest.mark.parametrize("kind", ["empty", "full", "first pixel", "last pixel", "one in the middle"])
def test_plain_masks_come_out_byte_for_byte_as_from_pycocotools(size, kind):
    mask = np.full((1, *size), kind == "full")
    spots = {"first pixel": 0, "last pixel": -1, "one in the middle": mask.size // 2}
    if kind in spots:
        mask.reshape(-1)[spots[kind]] = True
    found = encode(mask)
    assert found == by_pycocotools(mask)
    assert np.array_equal(official.decode(found).transpose(2, 0, 1).astype(bool), mask)


def test_views_and_other_orders_in_memory_make_no_difference():
    masks = np.random.default_rng(0).random((6, 50, 40)) < 0.5
    want = by_pycocotools(masks)
    assert encode(np.asfortranarray(masks)) == want
    assert encode(np.repeat(masks, 2, axis=2)[:, :, ::2]) == want
    assert encode(masks[::-1])[::-1] == want


def test_no_masks_make_no_encodings():
    assert encode(np.zeros((0, 480, 640), bool)) == []
