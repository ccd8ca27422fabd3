"""cgF1 of images drawn anew equals that of data sets that were really drawn anew."""

import numpy as np
import pytest

from sambench.suites.metrics.concepts import THRESHOLDS, Pairs, official, summed
from sambench.suites.scoring.concepts import NAMES, Concepts
from sambench.suites.scoring.evidence import Paired, encode, load


def some(images=30, seed=0):
    """Pairs of images, some of which have none, and what they come to."""
    rng = np.random.default_rng(seed)
    image = np.sort(rng.integers(0, images, 4 * images))
    truths, found = rng.integers(0, 4, (2, len(image)))
    most = np.minimum(truths, found)
    hits = np.sort(rng.integers(0, most[:, None] + 1, (len(image), len(THRESHOLDS))), axis=1)[:, ::-1]
    return image, Pairs(truths, found, hits)


def evidence(images=30, seed=0, ids=None):
    image, pairs = some(images, seed)
    objects = np.bincount(image, weights=pairs.truths, minlength=images).astype(int)
    return Concepts(np.arange(images) * 3 if ids is None else ids, summed(pairs, image, images), objects)


def test_a_resample_is_a_data_set_with_images_drawn_again():
    image, pairs = some()
    drawn = np.random.default_rng(5).multinomial(30, np.full(30, 1 / 30), size=4)
    rows = evidence().resampled(drawn.astype(float))
    for counts, row in zip(drawn, rows, strict=True):
        often = np.concatenate([np.flatnonzero(image == i) for i in range(30) for _ in range(counts[i])])
        again = Pairs(pairs.truths[often], pairs.found[often], pairs.hits[often])
        expected = official(summed(again, np.zeros(len(often), int), 1))
        found = dict(zip(NAMES, row, strict=True))
        assert found["cgf1"] == pytest.approx(100 * expected["cgF1"][0].mean())
        assert found["pmf1_50"] == pytest.approx(100 * expected["positive_micro_F1"][0, 0])
        assert found["macro_f1_75"] == pytest.approx(100 * expected["positive_macro_F1"][0, 5])
        assert found["il_mcc"] == pytest.approx(expected["IL_MCC"][0])
        assert found["il_fpr"] == pytest.approx(100 * expected["IL_FPR"][0])


def test_the_interval_holds_the_number_and_narrows():
    few, many = evidence(30), evidence(600)
    for one in (few, many):
        for name, (low, high) in one.intervals().items():
            assert low <= one.numbers()[name] <= high
    widths = [np.ptp(one.intervals()["pmf1"]) for one in (few, many)]
    assert widths[1] < widths[0] / 2


def test_what_is_kept_is_read_again(tmp_path):
    one = evidence()
    (tmp_path / "e.npz").write_bytes(encode(one))
    again = load(tmp_path / "e.npz")
    assert isinstance(again, Concepts)
    assert again.numbers() == one.numbers()
    assert again.intervals() == one.intervals()
    assert again.counts() == one.counts()


def test_two_models_are_compared_on_the_images_of_both():
    a, b = evidence(30), evidence(40, seed=1)
    both = Paired.of(a, b)
    assert both.a is a
    assert both.b.image_ids.tolist() == a.image_ids.tolist()
    difference = both.differences()["cgf1"]
    assert difference == pytest.approx(both.b.numbers()["cgf1"] - a.numbers()["cgf1"])
    assert both.intervals()["cgf1"][0] <= difference <= both.intervals()["cgf1"][1]
