"""Sums by image and what is resampled from them, judged by loops over objects."""

import tracemalloc

import numpy as np
import pytest

from sambench.suites.scoring import bootstrap
from sambench.suites.scoring.bootstrap import (
    BOOTSTRAP_SEED,
    RESAMPLES,
    ImageSums,
    draws,
    image_sums,
    percentile_interval,
    resampled,
    side_by_side,
    union,
)


def objects(seed, images, names=("iou",), each=4):
    """Objects of some images in disorder: their images, and for each name their shares and who counts."""
    rng = np.random.default_rng(seed)
    image = rng.permutation(np.repeat(images, rng.integers(1, each, len(images))))
    return image, {name: (rng.random(len(image)), rng.random(len(image)) < 0.7) for name in names}


def rows_of(image, columns, name):
    """Each object that counts, as its image and its share."""
    values, members = columns[name]
    return [(i, v) for i, v, m in zip(image.tolist(), values.tolist(), members.tolist(), strict=True) if m]


def test_sums_and_counts_are_those_of_a_loop_over_objects():
    image, columns = objects(0, [7, 3, 40, 12], ("a", "b"))
    found = image_sums(columns, image)
    assert found.names == ("a", "b")
    assert found.image_ids.tolist() == [3, 7, 12, 40]
    for k, name in enumerate(found.names):
        for row, wanted in enumerate(found.image_ids.tolist()):
            shares = [v for i, v in rows_of(image, columns, name) if i == wanted]
            assert found.sums[row, k] == pytest.approx(sum(shares), abs=1e-12)
            assert found.counts[row, k] == len(shares)


def test_the_mean_is_over_objects_in_percent_and_nothing_has_none():
    members = np.array([True, True, True])
    found = image_sums(
        {"a": (np.array([1.0, 0.5, 0.0]), members), "none": (np.zeros(3), ~members)}, np.array([1, 1, 2])
    )
    assert found.means() == {"a": 50.0, "none": None}
    assert set(found.intervals()) == {"a"}


def test_a_single_image_or_none_has_no_interval():
    one = image_sums({"a": (np.array([0.2, 0.4]), np.ones(2, bool))}, np.array([5, 5]))
    none = image_sums({"a": (np.zeros(0), np.zeros(0, bool))}, np.zeros(0, np.int64))
    assert (one.intervals(), none.intervals()) == ({}, {})
    assert none.means() == {"a": None}


def all_draws(images):
    return np.concatenate(list(draws(images)))


@pytest.mark.parametrize("at_once", [1, 7 * 6, 10**6])
def test_draws_are_the_same_every_time_however_they_are_cut(monkeypatch, at_once):
    monkeypatch.setattr(bootstrap, "DRAWN_AT_ONCE", at_once)
    drawn = all_draws(6)
    assert drawn.shape == (RESAMPLES, 6)
    assert (drawn.sum(axis=1) == 6).all()
    in_one = np.random.default_rng(BOOTSTRAP_SEED).multinomial(6, [1 / 6] * 6, size=RESAMPLES)
    np.testing.assert_array_equal(drawn, in_one)


@pytest.mark.parametrize("at_once", [1, 40 * 7, 10**6])
def test_an_interval_does_not_depend_on_how_the_draws_are_cut(monkeypatch, at_once):
    image, columns = objects(5, list(range(40)), ("a", "b"))
    summed = image_sums(columns, image)
    in_one = np.random.default_rng(BOOTSTRAP_SEED).multinomial(40, [1 / 40] * 40, size=RESAMPLES)
    means = 100 * (in_one @ summed.sums) / (in_one @ summed.counts)
    monkeypatch.setattr(bootstrap, "DRAWN_AT_ONCE", at_once)
    for k, name in enumerate(summed.names):
        want = np.percentile(means[:, k], [2.5, 97.5]).tolist()
        assert summed.intervals()[name] == pytest.approx(want, rel=0, abs=1e-12)


def test_the_draws_of_many_images_are_never_all_in_memory():
    tracemalloc.start()
    block = next(draws(100_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert block.shape == (10, 100_000)
    assert peak < 30e6  # the counts, the same as floats, and the shares; all 2000 draws would be 1.6e9


def test_an_interval_leaves_out_what_is_no_number():
    assert percentile_interval(np.array([np.nan, np.nan])) is None
    samples = np.arange(1001) / 1000
    assert percentile_interval(np.append(samples, np.nan)) == pytest.approx([0.025, 0.975])


def test_a_union_has_the_images_of_either_and_the_names_of_both_in_the_order_of_the_first():
    shares = np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([[7.0, 8], [9, 10], [11, 12]])
    a = ImageSums(("x", "y", "z"), np.array([2, 5]), shares[0], np.ones((2, 3), int))
    b = ImageSums(("z", "x"), np.array([1, 5, 9]), shares[1], np.ones((3, 2), int))
    left, right = union(a, b)
    assert left.names == right.names == ("x", "z")
    assert left.image_ids.tolist() == right.image_ids.tolist() == [1, 2, 5, 9]
    assert left.sums.tolist() == [[0, 0], [1, 3], [4, 6], [0, 0]]
    assert left.counts.tolist() == [[0, 0], [1, 1], [1, 1], [0, 0]]
    assert right.sums.tolist() == [[8, 7], [0, 0], [10, 9], [12, 11]]
    assert right.counts.tolist() == [[1, 1], [0, 0], [1, 1], [1, 1]]


def test_a_union_of_the_same_images_changes_nothing():
    image, columns = objects(4, list(range(0, 60, 3)), ("a", "b"))
    one = image_sums(columns, image)
    for part in union(one, one):
        np.testing.assert_array_equal(part.sums, one.sums)
        np.testing.assert_array_equal(part.counts, one.counts)
        assert part.means() == one.means()
        assert part.intervals() == one.intervals()


def test_columns_side_by_side_keep_their_own_images():
    a = image_sums({"a": (np.array([0.5, 1.0]), np.ones(2, bool))}, np.array([1, 3]))
    b = image_sums({"b": (np.array([0.25]), np.ones(1, bool))}, np.array([2]))
    both = side_by_side([a, b])
    assert both.names == ("a", "b")
    assert both.image_ids.tolist() == [1, 2, 3]
    assert both.sums.tolist() == [[0.5, 0], [0, 0.25], [1, 0]]
    assert both.counts.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert both.column("b", "c").means() == {"c": 25.0}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (range(9), range(9)),
        (range(9), range(4)),  # theirs has no object on five images
        (range(6), range(3, 9)),  # each has some that the other has not
    ],
)
def test_a_paired_difference_is_that_of_images_drawn_anew_object_by_object(ours, theirs):
    rows = []
    for seed, images in ((1, ours), (2, theirs)):
        image, columns = objects(seed, list(images))
        rows.append((image_sums(columns, image), rows_of(image, columns, "iou")))
    (a, rows_a), (b, rows_b) = rows
    a, b = union(a, b)
    ours, theirs = resampled(a, b)
    found = ours - theirs

    expected = []
    for draw in all_draws(len(a.image_ids))[:200].astype(int).tolist():
        means = []
        for its in (rows_a, rows_b):
            values = [
                v
                for i, times in zip(a.image_ids.tolist(), draw, strict=True)
                for _ in range(times)
                for j, v in its
                if j == i
            ]
            means.append(sum(values) / len(values) if values else np.nan)
        expected.append(means[0] - means[1])
    np.testing.assert_allclose(found[:200, 0], expected, rtol=0, atol=1e-12)
    low, high = percentile_interval(found[:, 0])
    assert low < high


def test_a_model_differs_from_itself_in_no_draw():
    image, columns = objects(3, list(range(20)))
    a, b = union(image_sums(columns, image), image_sums(columns, image))
    ours, theirs = resampled(a, b)
    assert percentile_interval((ours - theirs)[:, 0]) == [0, 0]
