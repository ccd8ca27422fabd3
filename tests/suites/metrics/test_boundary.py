"""Boundary IoU, judged by its definition: distances counted pixel by pixel."""

import math

import cv2
import numpy as np
import pytest

from sambench.suites.data.masks import to_window
from sambench.suites.metrics.boundary import boundary, boundary_iou, boundary_width


def near_outline(mask):
    """Pixels of a mask from which some pixel outside of it, or of the image, is at most d away (a square)."""
    height, width = mask.shape
    d = max(1, round(0.02 * math.sqrt(height**2 + width**2)))
    outside = np.pad(~mask, d, constant_values=True)
    found = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        found[y, x] = outside[y : y + 2 * d + 1, x : x + 2 * d + 1].any()
    return found


def by_definition(one, other):
    a, b = near_outline(one), near_outline(other)
    return (a & b).sum() / max((a | b).sum(), 1)


def blob(rng, size):
    """A smooth random shape, which may touch the image's border and have holes."""
    noise = cv2.GaussianBlur(rng.normal(size=size).astype(np.float32), (0, 0), float(rng.uniform(1, 6)))
    return noise > np.quantile(noise, rng.uniform(0.05, 0.95))


@pytest.mark.parametrize("size", [(40, 31), (9, 12), (64, 120), (1, 7), (120, 90)])
def test_it_is_its_authors_definition(size):
    rng = np.random.default_rng(size[0])
    for _ in range(6):
        truth, mask = blob(rng, size), blob(rng, size)
        np.testing.assert_array_equal(boundary(to_window(truth)).full(), near_outline(truth))
        (found,) = boundary_iou(mask[None], [boundary(to_window(truth))])
        assert found == pytest.approx(by_definition(mask, truth), abs=1e-12)


def test_edge_cases():
    size = (20, 30)
    empty, full = np.zeros(size, bool), np.ones(size, bool)
    corner = empty.copy()
    corner[:3, :3] = True
    truths = [boundary(to_window(mask)) for mask in (empty, full, corner, corner)]
    assert boundary_iou(np.stack([empty, full, full, empty]), truths).tolist() == [
        0.0,
        1.0,
        pytest.approx(by_definition(full, corner)),
        0.0,
    ]
    assert len(boundary_iou(np.zeros((0, *size), bool), [])) == 0


def test_a_thin_part_weighs_more_than_in_iou():
    truth = np.zeros((200, 200), bool)
    truth[40:160, 40:160] = True
    mask = truth.copy()
    truth[98:102, 160:200] = True  # a handle that the mask lacks
    iou = (truth & mask).sum() / (truth | mask).sum()
    (found,) = boundary_iou(mask[None], [boundary(to_window(truth))])
    assert found < iou


def test_the_width_is_two_percent_of_the_diagonal():
    assert [boundary_width(size) for size in ((480, 640), (3, 4), (1024, 1024))] == [16, 1, 29]
