"""IoU of masks, its mean by size and its interval, judged by loops over objects and by closed formulas."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from fakes import rectangle
from hypothesis import given
from hypothesis import strategies as st

from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.masks import to_window
from sambench.suites.metrics.iou import count_on_device, mask_iou
from sambench.suites.protocol import make_protocol
from sambench.suites.scoring.bootstrap import BOOTSTRAP_SEED, RESAMPLES
from sambench.suites.scoring.means import mean_iou

PAPER, STRICT = make_protocol("paper"), make_protocol("strict")


@st.composite
def pairs(draw):
    size = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    count = draw(st.integers(1, 4))
    fill = st.sampled_from([0.0, 0.1, 0.5, 1.0])
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return [rng.random((count, *size)) < draw(fill) for _ in range(2)]


@given(pairs())
def test_iou_is_the_plain_one_on_both_ways_of_counting(masks):
    predicted, truth = masks
    windows = [to_window(t) for t in truth]
    overlap = np.array([(p & t).sum() for p, t in zip(predicted, truth, strict=True)])
    union = np.array([(p | t).sum() for p, t in zip(predicted, truth, strict=True)])
    expected = [o / u if u else 0.0 for o, u in zip(overlap, union, strict=True)]
    iou = mask_iou(torch.from_numpy(predicted), windows)
    assert iou.dtype == np.float64
    assert iou.tolist() == expected
    counted = count_on_device(torch.from_numpy(predicted), windows)
    np.testing.assert_array_equal(counted[0], overlap)
    np.testing.assert_array_equal(counted[1], predicted.sum(axis=(1, 2)))


@given(hnp.arrays(bool, (2, 7, 9)))
def test_iou_does_not_depend_on_how_the_masks_lie_in_memory(masks):
    windows = [to_window(rectangle((7, 9), 2, 1, 6, 5))] * 2
    laid_out = torch.from_numpy(np.ascontiguousarray(masks.transpose(2, 0, 1))).permute(1, 2, 0)
    assert mask_iou(laid_out, windows).tolist() == mask_iou(torch.from_numpy(masks), windows).tolist()


def test_iou_of_large_masks_does_not_overflow_or_round():
    everything = torch.ones((1, 5000, 5000), dtype=torch.bool)
    truth = np.ones((5000, 5000), bool)
    truth[0, 0] = False
    assert mask_iou(everything, [to_window(truth)]).tolist() == [(25_000_000 - 1) / 25_000_000]


def test_iou_of_no_masks_is_no_number():
    assert mask_iou(torch.zeros((0, 4, 4), dtype=torch.bool), []).shape == (0,)


def test_a_mask_too_many_is_an_error_not_a_number():
    windows = [to_window(rectangle((4, 4), 0, 0, 2, 2))]
    with pytest.raises(ValueError, match="zip"):
        mask_iou(torch.zeros((2, 4, 4), dtype=torch.bool), windows)


def clustered(rng, images, each, spread_of_images, spread_of_objects):
    """IoU and image of objects that share the difficulty of their image."""
    centre = rng.normal(0.6, spread_of_images, images)
    iou = np.clip(np.repeat(centre, each) + rng.normal(0, spread_of_objects, images * each), 0, 1)
    return iou, np.repeat(np.arange(images) * 7 + 3, each)


def width(scores, name="miou"):
    low, high = scores.intervals[name]
    return high - low


def test_objects_of_coco_mini_fall_into_sizes_as_its_readme_counts(coco_mini):
    annotations = [a for e in CocoDataset(*coco_mini).entries for a in e.annotations if not a.iscrowd]
    area = np.array([a.area for a in annotations])
    image = np.array([a.image_id for a in annotations])
    scores = mean_iou({"miou": np.ones(len(area))}, image, area, STRICT)
    assert scores.counts == {"all": 1159, "small": 542, "medium": 360, "large": 257}


def test_means_are_over_objects_not_over_images():
    scores = mean_iou({"miou": np.array([1.0, 0.5, 0.0])}, np.array([1, 1, 2]), np.full(3, 5.0), STRICT)
    assert scores.metrics["miou"] == pytest.approx(50.0)


def test_each_metric_is_averaged_overall_and_by_size():
    area = np.array([10.0, 20.0, 2000.0, 20000.0])
    iou = {"miou_1": np.array([0.1, 0.3, 0.5, 0.7]), "miou_3": np.array([0.2, 0.2, 0.6, 1.0])}
    scores = mean_iou(iou, np.array([1, 2, 3, 3]), area, STRICT)
    assert scores.metrics == pytest.approx(
        {
            "miou_1": 40.0,
            "miou_1_small": 20.0,
            "miou_1_medium": 50.0,
            "miou_1_large": 70.0,
            "miou_3": 50.0,
            "miou_3_small": 20.0,
            "miou_3_medium": 60.0,
            "miou_3_large": 100.0,
        }
    )
    assert set(scores.intervals) == set(scores.metrics)
    assert scores.counts == {"all": 4, "small": 2, "medium": 1, "large": 1}


def test_an_object_on_an_edge_counts_in_both_bins_of_the_paper_and_in_one_of_strict():
    area, iou, image = np.array([1024.0, 9216.0]), {"miou": np.array([0.2, 0.8])}, np.array([1, 2])
    paper, strict = (mean_iou(iou, image, area, p) for p in (PAPER, STRICT))
    assert paper.counts == {"all": 2, "small": 1, "medium": 2, "large": 1}
    assert strict.counts == {"all": 2, "small": 0, "medium": 1, "large": 1}
    assert paper.metrics == pytest.approx(
        {"miou": 50.0, "miou_small": 20.0, "miou_medium": 50.0, "miou_large": 80.0}
    )
    assert strict.metrics["miou_small"] is None
    assert strict.metrics["miou_medium"] == pytest.approx(20.0)


def test_an_empty_size_has_no_number_and_no_interval():
    scores = mean_iou({"miou": np.array([0.5, 0.7])}, np.array([1, 2]), np.full(2, 5.0), STRICT)
    assert scores.metrics["miou_medium"] is None
    assert scores.metrics["miou_large"] is None
    assert set(scores.intervals) == {"miou", "miou_small"}


def test_no_object_at_all_is_no_number_at_all():
    nothing = np.zeros(0)
    scores = mean_iou({"miou": nothing}, np.zeros(0, np.int64), nothing, PAPER)
    assert set(scores.metrics.values()) == {None}
    assert scores.intervals == {}
    assert scores.counts == {"all": 0, "small": 0, "medium": 0, "large": 0}


def test_the_order_of_the_records_does_not_matter():
    rng = np.random.default_rng(5)
    iou, image = clustered(rng, 20, 6, 0.2, 0.1)
    area = rng.uniform(0, 20000, len(iou))
    order = rng.permutation(len(iou))
    one = mean_iou({"miou": iou}, image, area, STRICT)
    other = mean_iou({"miou": iou[order]}, image[order], area[order], STRICT)
    assert one.metrics == pytest.approx(other.metrics, abs=1e-9)
    for name, interval in one.intervals.items():
        assert interval == pytest.approx(other.intervals[name], abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_contains_the_mean_and_is_the_same_every_time(seed):
    rng = np.random.default_rng(seed)
    iou, image = clustered(rng, 30, 4, 0.2, 0.1)
    area = rng.uniform(0, 20000, len(iou))
    first, second = (mean_iou({"miou": iou}, image, area, STRICT) for _ in range(2))
    assert first == second
    for name, (low, high) in first.intervals.items():
        assert low < first.metrics[name] < high


def test_a_single_image_has_no_interval():
    scores = mean_iou({"miou": np.array([0.25, 0.5])}, np.array([4, 4]), np.full(2, 5.0), STRICT)
    assert scores.metrics["miou"] == pytest.approx(37.5)
    assert scores.intervals == {}


def quantile(values, share):
    """Linear interpolation between the two nearest of the sorted values."""
    values = sorted(values)
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


def test_the_interval_is_that_of_a_bootstrap_over_images_done_object_by_object():
    rng = np.random.default_rng(11)
    image = rng.permutation(np.repeat([5, 9, 2, 40, 41, 7], [1, 3, 2, 4, 1, 2]))
    iou, area = rng.random(len(image)), rng.choice([10.0, 2000.0, 20000.0], len(image))
    scores = mean_iou({"miou": iou}, image, area, STRICT)

    names = sorted(set(image.tolist()))
    draws = np.random.default_rng(BOOTSTRAP_SEED).multinomial(6, [1 / 6] * 6, size=RESAMPLES)
    limits = {
        "miou": (0, 1e9),
        "miou_small": (0, 1024),
        "miou_medium": (1024, 9216),
        "miou_large": (9216, 1e9),
    }
    for metric, (low, high) in limits.items():
        means = []
        for draw in draws.tolist():
            drawn = []
            for name, times in zip(names, draw, strict=True):
                for i, a, v in zip(image.tolist(), area.tolist(), iou.tolist(), strict=True):
                    if i == name and low <= a < high:
                        drawn += [v] * times
            if drawn:
                means.append(100 * sum(drawn) / len(drawn))
        expected = [quantile(means, 0.025), quantile(means, 0.975)]
        assert scores.intervals[metric] == pytest.approx(expected, abs=1e-9), metric


def test_objects_that_share_an_image_widen_the_interval():
    iou, image = clustered(np.random.default_rng(3), 60, 20, 0.15, 0.05)
    together = mean_iou({"miou": iou}, image, np.full(len(iou), 5.0), STRICT)
    mixed = np.random.default_rng(4).permutation(image)
    apart = mean_iou({"miou": iou}, mixed, np.full(len(iou), 5.0), STRICT)
    assert together.metrics["miou"] == pytest.approx(apart.metrics["miou"])
    assert width(together) > 2 * width(apart)


def test_the_width_is_that_of_the_normal_law_for_the_mean_of_many_clusters():
    iou, image = clustered(np.random.default_rng(6), 200, 5, 0.15, 0.05)
    scores = mean_iou({"miou": iou}, image, np.full(len(iou), 5.0), STRICT)
    of_images = 100 * iou.reshape(200, 5).mean(axis=1)
    expected = 2 * 1.96 * of_images.std() / np.sqrt(200)
    assert width(scores) == pytest.approx(expected, rel=0.08)
