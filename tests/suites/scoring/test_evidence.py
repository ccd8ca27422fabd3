"""What numbers are made of: kept, resampled, paired; judged by loops over the objects drawn."""

import dataclasses
import math

import numpy as np
import pytest

from sambench.evsam.errors import SambenchError
from sambench.suites.scoring.bootstrap import draws
from sambench.suites.scoring.evidence import Paired, encode, holm, load
from sambench.suites.scoring.objects import Column, Objects


def objects(seed, images, each=5):
    """Objects of some images in disorder: two values, all objects and some of them."""
    rng = np.random.default_rng(seed)
    image = rng.permutation(np.repeat(images, rng.integers(1, each, len(images))))
    n = len(image)
    return Objects(
        columns=(Column("iou", 0, 0), Column("iou_small", 0, 1), Column("noc", 1, 0, scale=1.0)),
        image=image,
        ann_id=np.arange(n) + 100,
        category=rng.integers(0, 4, n) * 7,
        values=np.stack([rng.random(n), rng.integers(1, 6, n)], axis=1).astype(float),
        groups=np.stack([np.ones(n, bool), rng.random(n) < 0.5], axis=1),
        averaged=("iou",),
    )


def in_a_loop(evidence, drawn):
    """The numbers of images drawn so often, object by object."""
    rows = [
        (image, category, values, groups)
        for image, times in zip(evidence.image_ids.tolist(), drawn, strict=True)
        for _ in range(int(times))
        for i, category, values, groups in zip(
            evidence.image, evidence.category, evidence.values, evidence.groups, strict=True
        )
        if i == image
    ]
    found = []
    for column in evidence.columns:
        values = [v[column.value] for _, _, v, g in rows if g[column.group]]
        found.append(column.scale * float(np.mean(values)) if values else math.nan)
    images = {}
    for image, _, values, _ in rows:  # of an image drawn twice the mean counts twice
        images.setdefault(image, []).append(values[0])
    times = dict(zip(evidence.image_ids.tolist(), drawn, strict=True))
    weighed = [(times[i], np.mean(v)) for i, v in images.items()]
    found.append(100 * sum(t * m for t, m in weighed) / sum(t for t, _ in weighed))
    categories = {}
    for _, category, values, _ in rows:
        categories.setdefault(category, []).append(values[0])
    found.append(100 * float(np.mean([np.mean(v) for v in categories.values()])))
    return found


def test_resampled_numbers_are_those_of_a_loop_over_the_objects_drawn():
    evidence = objects(0, [9, 4, 7, 30, 2])
    assert evidence.names == ("iou", "iou_small", "noc", "iou_per_image", "iou_per_category")
    drawn = np.array([[1, 1, 1, 1, 1], [0, 3, 1, 0, 1], [5, 0, 0, 0, 0], [0, 0, 0, 2, 3]], float)
    wanted = [in_a_loop(evidence, row) for row in drawn]
    np.testing.assert_allclose(evidence.resampled(drawn), wanted, rtol=1e-12)
    assert list(evidence.numbers().values()) == pytest.approx(wanted[0], rel=1e-12)


def test_intervals_are_the_percentiles_of_a_plain_bootstrap():
    evidence = objects(1, list(range(12)))
    samples = np.array([in_a_loop(evidence, row) for row in next(draws(np.zeros(12)))[:150]])
    found = np.concatenate([evidence.resampled(d) for d in draws(evidence.strata)])
    np.testing.assert_allclose(found[:150], samples, rtol=1e-12)
    for k, name in enumerate(evidence.names):
        assert evidence.intervals()[name] == pytest.approx(np.nanpercentile(found[:, k], [2.5, 97.5]))


def test_a_single_image_or_none_has_no_interval_and_nothing_has_no_number():
    one = objects(2, [5])
    none = dataclasses.replace(one, **{f: getattr(one, f)[:0] for f in PARTS})
    assert (one.intervals(), none.intervals()) == ({}, {})
    assert set(none.numbers().values()) == {None}
    assert (one.instances, none.instances) == (len(one.image), 0)
    empty = dataclasses.replace(one, groups=np.zeros_like(one.groups))
    assert set(empty.numbers().values()) == {None}


PARTS = ("image", "ann_id", "category", "values", "groups")


def test_it_is_kept_as_it_is_and_the_same_gives_the_same_bytes(tmp_path):
    evidence = objects(3, [1, 2, 3])
    (tmp_path / "e.npz").write_bytes(encode(evidence))
    back = load(tmp_path / "e.npz")
    assert (back.columns, back.averaged) == (evidence.columns, evidence.averaged)
    for part in PARTS:
        np.testing.assert_array_equal(getattr(back, part), getattr(evidence, part))
    assert encode(back) == encode(evidence)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no zip at all"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "e.npz").write_bytes(content)
    with pytest.raises(SambenchError, match=r"e\.npz.*run the same command again"):
        load(tmp_path / "e.npz")


def test_a_missing_file_and_one_of_another_kind_are_errors(tmp_path):
    with pytest.raises(SambenchError, match="no such file"):
        load(tmp_path / "e.npz")
    np.savez(tmp_path / "e.npz", kind=np.array("of tomorrow"))
    with pytest.raises(SambenchError, match="of tomorrow"):
        load(tmp_path / "e.npz")


def test_a_file_with_objects_that_python_would_run_is_refused(tmp_path):
    np.savez(tmp_path / "e.npz", kind=np.array({"a": 1}, dtype=object))
    with pytest.raises(SambenchError, match="cannot be read"):
        load(tmp_path / "e.npz")


def other(evidence, rng, shift=0.02, noise=0.01):
    """A second model on the same objects, in another order: a little better on each."""
    order = rng.permutation(len(evidence.image))
    values = evidence.values.copy()
    values[:, 0] += shift + noise * rng.normal(size=len(values))
    changed = dataclasses.replace(evidence, values=values)
    return dataclasses.replace(changed, **{part: getattr(changed, part)[order] for part in PARTS})


def test_a_pair_is_of_the_objects_that_both_have():
    rng = np.random.default_rng(4)
    a = objects(4, list(range(30)))
    b = other(a, rng)
    left = {part: getattr(a, part)[:-9] for part in PARTS}
    b = dataclasses.replace(b, **{part: getattr(b, part)[b.image != 3] for part in PARTS})
    pair = Paired.of(dataclasses.replace(a, **left), b)
    keys = [set(zip(one.image.tolist(), one.ann_id.tolist(), strict=True)) for one in (pair.a, pair.b)]
    mine = set(zip(left["image"].tolist(), left["ann_id"].tolist(), strict=True))
    its = set(zip(b.image.tolist(), b.ann_id.tolist(), strict=True))
    assert keys[0] == keys[1] == mine & its
    np.testing.assert_array_equal(pair.a.ann_id, pair.b.ann_id)
    assert 3 not in pair.a.image_ids


def test_a_paired_difference_that_an_unpaired_test_misses_is_found():
    rng = np.random.default_rng(5)
    a = objects(5, list(range(60)))
    pair = Paired.of(a, other(a, rng))
    low, high = pair.intervals()["iou"]
    assert 0 < low < 2 < high < 3
    assert pair.p_values()["iou"] < 1e-6
    alone = [one.intervals()["iou"] for one in (pair.a, pair.b)]
    assert alone[0][1] > alone[1][0]  # the two intervals overlap
    spreads = [(high - low) / 2 / 1.96 for low, high in alone]
    z = (pair.b.numbers()["iou"] - pair.a.numbers()["iou"]) / math.hypot(*spreads)
    assert math.erfc(z / math.sqrt(2)) > 0.05


def test_a_model_does_not_differ_from_itself():
    a = objects(6, list(range(20)))
    pair = Paired.of(a, a)
    assert set(map(tuple, pair.intervals().values())) == {(0.0, 0.0)}
    assert set(pair.p_values().values()) == {1.0}


def test_p_is_that_of_the_resampled_spread():
    rng = np.random.default_rng(7)
    a = objects(7, list(range(40)))
    pair = Paired.of(a, other(a, rng, shift=0.003, noise=0.02))
    samples = np.concatenate(
        [pair.b.resampled(d)[:, 0] - pair.a.resampled(d)[:, 0] for d in draws(pair.a.strata)]
    )
    z = (pair.b.numbers()["iou"] - pair.a.numbers()["iou"]) / samples.std()
    p = pair.p_values()["iou"]
    assert 1e-6 < p < 1
    assert p == pytest.approx(2 * (1 - 0.5 * (1 + math.erf(abs(z) / math.sqrt(2)))), rel=1e-6)


def test_nothing_in_common_is_an_error():
    a, b = objects(8, [1, 2]), objects(8, [5, 6])
    with pytest.raises(SambenchError, match="no image or object"):
        Paired.of(a, b)


def test_only_what_both_measure_is_compared():
    a = objects(9, [1, 2, 3])
    b = dataclasses.replace(a, columns=(Column("noc", 1, 0, scale=1.0), Column("iou", 0, 0)), averaged=())
    pair = Paired.of(a, b)
    assert pair.names == ["iou", "noc"]
    assert set(pair.intervals()) == {"iou", "noc"}
    assert pair.intervals()["iou"] == [0, 0]


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_rejects_what_its_step_down_rule_rejects():
    rng = np.random.default_rng(10)
    for _ in range(50):
        p = (rng.random(6) ** 3).tolist()
        rejected = set()
        for rank, i in enumerate(sorted(range(6), key=p.__getitem__)):
            if p[i] > 0.05 / (6 - rank):
                break
            rejected.add(i)
        assert {i for i, value in enumerate(holm(p)) if value <= 0.05} == rejected
