"""The rules of cgF1, by hand or by trying all; the official numbers are in tests/harness/test_score.py."""

from itertools import permutations

import numpy as np
import pytest

from sambench.suites.metrics.concepts import (
    COUNTS,
    THRESHOLDS,
    Pairs,
    matched,
    most_favourable,
    official,
    summed,
)

T = len(THRESHOLDS)


def pairs(*rows):
    """Pairs of (objects, instances, matched at each threshold)."""
    truths, found, hits = zip(*rows, strict=True)
    return Pairs(np.array(truths), np.array(found), np.array([np.broadcast_to(h, T) for h in hits]))


def numbers(*rows):
    return {
        name: value[0] for name, value in official(summed(pairs(*rows), np.zeros(len(rows), int), 1)).items()
    }


def test_matching_takes_the_highest_sum_and_not_the_best_first():
    iou = np.array([[0.9, 0.8], [0.85, 0.1]])  # greedy: 0.9 and 0.1; best: 0.8 and 0.85
    assert matched(iou).tolist() == [2] * 7 + [1, 0, 0]


@pytest.mark.parametrize("shape", [(1, 1), (2, 4), (4, 3), (5, 5), (3, 1)])
def test_matching_equals_trying_all_assignments(shape):
    rng = np.random.default_rng(sum(shape))
    for _ in range(20):
        iou = rng.random(shape)
        wide = iou if shape[0] <= shape[1] else iou.T
        columns = permutations(range(wide.shape[1]), wide.shape[0])
        best = max(columns, key=lambda chosen: sum(wide[i, j] for i, j in enumerate(chosen)))
        values = np.array([wide[i, j] for i, j in enumerate(best)])
        assert matched(iou).tolist() == [(values >= t).sum() for t in THRESHOLDS]


def test_an_iou_of_exactly_the_threshold_is_enough():
    assert matched(np.array([[0.5]]))[0] == 1
    assert matched(np.array([[np.nextafter(0.5, 0)]]))[0] == 0


def test_all_right_is_one_and_nothing_found_is_zero():
    right = numbers((2, 2, 2), (1, 1, 1), (0, 0, 0), (0, 0, 0))
    assert right["cgF1"] == pytest.approx(np.ones(T), abs=2e-4)  # the official divisors have 1e-4 more
    assert right["IL_MCC"] == pytest.approx(1, abs=1e-6)
    nothing = numbers((2, 0, 0), (1, 0, 0), (0, 0, 0))
    assert nothing["cgF1"].tolist() == nothing["positive_micro_F1"].tolist() == [0] * T
    assert nothing["IL_MCC"] == 0


def test_instances_where_nothing_is_are_no_false_positives_of_the_positive_f1_but_of_mcc():
    clean, dirty = numbers((2, 2, 1), (0, 0, 0)), numbers((2, 2, 1), (0, 3, 0))
    assert clean["positive_micro_F1"].tolist() == dirty["positive_micro_F1"].tolist()
    assert dirty["FPs"][0] == 4
    assert dirty["positive_micro_FPs"][0] == 1
    assert dirty["F1"][0] < clean["F1"][0]
    assert clean["IL_MCC"] > 0.99
    assert dirty["IL_MCC"] == 0


def test_micro_adds_counts_up_and_macro_averages_the_pairs_that_have_both():
    found = numbers((1, 1, 1), (3, 3, 0), (2, 0, 0), (0, 1, 0), (0, 0, 0))
    assert found["positive_macro_F1"][0] == pytest.approx(
        0.5, abs=1e-4
    )  # of 1 and 0; the others are none of it
    precision, recall = 1 / 4, 1 / 6
    assert found["positive_micro_F1"][0] == pytest.approx(
        2 * precision * recall / (precision + recall), abs=1e-3
    )


def test_mcc_is_that_of_the_four_counts():
    rows = [(1, 1, 1)] * 5 + [(1, 0, 0)] * 2 + [(0, 1, 0)] * 3 + [(0, 0, 0)] * 7
    tp, fn, fp, tn = 5, 2, 3, 7
    expected = np.corrcoef([1] * 7 + [0] * 10, [1] * 5 + [0] * 2 + [1] * 3 + [0] * 7)[0, 1]
    found = numbers(*rows)
    assert found["IL_MCC"] == pytest.approx(expected, abs=1e-6)
    assert found["IL_recall"] == pytest.approx(tp / (tp + fn), abs=1e-6)
    assert found["IL_precision"] == pytest.approx(tp / (tp + fp), abs=1e-6)
    assert found["IL_FPR"] == pytest.approx(fp / (fp + tn), abs=1e-6)


@pytest.mark.parametrize(
    ("annotators", "chosen"),
    [
        ([(2, 2, 1), (2, 2, 2)], 1),  # the better
        ([(2, 2, 2), (2, 2, 1)], 0),
        ([(1, 2, 1), (1, 2, 1)], 0),  # the first among equals
        ([(2, 0, 0), (0, 0, 0)], 1),  # nothing there and nothing found is as good as can be, ...
        ([(0, 0, 0), (2, 0, 0)], 0),  # ... whichever of the two it is
        ([(2, 0, 0), (0, 0, 0), (1, 0, 0)], 1),
        ([(0, 1, 0), (3, 1, 1)], 1),
    ],
)
def test_the_annotator_who_agrees_most_counts(annotators, chosen):
    best = most_favourable([pairs(one) for one in annotators])
    assert (best.truths[0], best.found[0], best.hits[0, 0]) == annotators[chosen]


def test_annotators_are_chosen_by_the_mean_over_thresholds():
    often_close = (2, 2, [2] * 4 + [0] * 6)
    seldom_exact = (2, 2, [1] * T)
    best = most_favourable([pairs(seldom_exact), pairs(often_close)])
    assert best.hits[0].tolist() == [1] * T


def test_sums_are_by_group():
    both = pairs((2, 2, 1), (0, 1, 0), (1, 1, 1))
    sums = summed(both, np.array([0, 2, 2]), 4)
    assert sums[:, COUNTS.index("truths")].tolist() == [2, 0, 1, 0]
    assert sums[:, COUNTS.index("il_fp")].tolist() == [0, 0, 1, 0]
    assert sums.sum(axis=0) == pytest.approx(summed(both, np.zeros(3, int), 1)[0])


def test_numbers_of_no_pair_are_none():
    assert all(np.isnan(value).all() for value in official(np.zeros((1, len(COUNTS) + 2 * T))).values())
