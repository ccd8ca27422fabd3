"""COCO's sizes, where their bins meet."""

import numpy as np
import pytest

from sambench.suites.metrics.sizes import SIZES, size_bins, size_of, sized
from sambench.suites.protocol import make_protocol
from sambench.suites.scoring.means import objects_by_size

PAPER, STRICT = make_protocol("paper"), make_protocol("strict")
EDGES = np.array([0.0, 1023.999, 1024.0, 1024.001, 9215.999, 9216.0, 9216.001, 1e9])


def members(area, protocol):
    return {size: mask.tolist() for size, mask in size_bins(area, protocol).items()}


def test_closed_bins_count_an_area_on_an_edge_twice():
    assert members(EDGES, PAPER) == {
        "all": [True] * 8,
        "small": [True, True, True, False, False, False, False, False],
        "medium": [False, False, True, True, True, True, False, False],
        "large": [False, False, False, False, False, True, True, True],
    }


def test_half_open_bins_count_every_area_once():
    found = members(EDGES, STRICT)
    assert found == {
        "all": [True] * 8,
        "small": [True, True, False, False, False, False, False, False],
        "medium": [False, False, True, True, True, False, False, False],
        "large": [False, False, False, False, False, True, True, True],
    }
    assert np.sum([found[s] for s in ("small", "medium", "large")], axis=0).tolist() == [1] * 8


def test_one_object_has_the_size_of_the_half_open_bins():
    found = members(EDGES, STRICT)
    for i, area in enumerate(EDGES.tolist()):
        assert found[size_of(area)][i]


def test_a_metric_of_a_size_is_named_after_it_and_summed_over_its_objects_alone():
    assert [sized("miou", size) for size in SIZES] == ["miou", "miou_small", "miou_medium", "miou_large"]
    area, image = np.array([10.0, 1024.0, 20000.0]), np.array([4, 4, 1])
    found = objects_by_size({"a": np.array([0.5, 0.25, 1.0])}, image, area, STRICT)
    assert found.names == ("a", "a_small", "a_medium", "a_large")
    assert found.image_ids.tolist() == [1, 4]
    assert found.numbers() == pytest.approx({"a": 175 / 3, "a_small": 50, "a_medium": 25, "a_large": 100})
    assert found.counts() == {"a": 3, "a_small": 1, "a_medium": 1, "a_large": 1}
