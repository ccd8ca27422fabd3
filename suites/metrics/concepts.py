"""cgF1, the metric of concepts by text: is all found that a phrase names, and nothing where there is none?

Rules and constants are those of SAM 3's evaluator (github.com/facebookresearch/sam3, sam3/eval/cgf1_eval.py,
read at 99d02f2). Its task is a pair: an image and a phrase. Instances of a pair are matched with its objects
so that IoU is the highest in all; whether that is enough is asked at ten thresholds. Over pairs counts are
added up:

- positive micro F1, of the pairs that have objects;
- IL_MCC, Matthews' correlation of "is there one?" as said and as is, over all pairs;
- cgF1, the two multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Of IoU, as COCO's."""
CONFIDENT = 0.5
"""Instances of a lower score are as if they were not there."""
SMALL = 1e-4
"""Added to the divisors of precision, recall and F1, ..."""
SMALL_IL = 1e-6
"""... and to those of the image level."""


@dataclass(frozen=True)
class Pairs:
    """What n pairs come to."""

    truths: np.ndarray
    """(n,) objects, crowds left out."""
    found: np.ndarray
    """(n,) instances that are `CONFIDENT`."""
    hits: np.ndarray
    """(n, T) of these, those that are matched with an object at each of the `THRESHOLDS`."""

    @property
    def settled(self) -> np.ndarray:
        """(n,) pairs with nothing there and nothing found, which have no F1."""
        return (self.truths == 0) & (self.found == 0)

    @property
    def f1(self) -> np.ndarray:
        """(n, T), each pair's own; 0 of those that have none."""
        return f1(*_precision_recall(self.hits, self.found[:, None], self.truths[:, None]))


def matched(iou: np.ndarray) -> np.ndarray:
    """Match P instances with G objects of a pair, the sum of IoU being the highest that there is.

    Args:
        iou: (P, G) float64.

    Returns:
        (T,) how many pairs of them reach each of the `THRESHOLDS`.
    """
    from scipy.optimize import linear_sum_assignment  # at the first use: it takes a moment to import

    return (iou[linear_sum_assignment(-iou)][:, None] >= THRESHOLDS).sum(axis=0)


def most_favourable(annotators: Sequence[Pairs]) -> Pairs:
    """Choose for every pair the annotator whom the instances agree with most, by F1's mean over thresholds.

    Of two, in the order of annotators, the better is kept, the first among equals. Nothing there and nothing
    found is as good as can be.
    """
    best = annotators[0]
    for one in annotators[1:]:
        better = one.settled | (~best.settled & (one.f1.mean(axis=1) > best.f1.mean(axis=1)))
        best = Pairs(
            np.where(better, one.truths, best.truths),
            np.where(better, one.found, best.found),
            np.where(better[:, None], one.hits, best.hits),
        )
    return best


COUNTS = ("truths", "found", "found_there", "il_tp", "il_fn", "il_fp", "il_tn")
"""Columns of `summed`, after which come those of a threshold each: hits, then the F1s of pairs with both."""


def summed(pairs: Pairs, group: np.ndarray, groups: int) -> np.ndarray:
    """Add pairs up by group, such as their image's.

    Args:
        pairs: n of them.
        group: (n,) int, from 0.
        groups: how many there are.

    Returns:
        (groups, `COUNTS` and twice the thresholds) float64.
    """
    there, said = pairs.truths > 0, pairs.found > 0
    both = there & said
    columns = [
        *(pairs.truths, pairs.found, pairs.found * there),
        *(both, there & ~said, ~there & said, ~there & ~said),
        *pairs.hits.T,
        *np.where(both[:, None], pairs.f1, 0.0).T,
    ]
    sums = [
        np.bincount(group, weights=np.asarray(column, np.float64), minlength=groups) for column in columns
    ]
    return np.stack(sums, axis=1)


def official(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Return the numbers of the official evaluator from R sums (R, columns of `summed`), under its names.

    Those of a threshold are (R, T), the others (R,); fractions. Numbers of no pair at all are NaN.
    """
    truths, found, found_there, tp, fn, fp, tn = sums[:, : len(COUNTS)].T
    hits, own = np.split(sums[:, len(COUNTS) :], 2, axis=1)
    precision, recall = _precision_recall(hits, found[:, None], truths[:, None])
    positive, _ = _precision_recall(hits, found_there[:, None], truths[:, None])
    il_precision, il_recall = tp / (tp + fp + SMALL_IL), tp / (tp + fn + SMALL_IL)
    sides = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    mcc = (tp * tn - fp * fn) / (np.sqrt(sides) + SMALL_IL)
    micro = f1(positive, recall)
    with np.errstate(invalid="ignore"):
        macro = own / tp[:, None]
    numbers = {
        "TPs": hits,
        "FPs": found[:, None] - hits,
        "positive_micro_FPs": found_there[:, None] - hits,
        "FNs": truths[:, None] - hits,
        "precision": precision,
        "positive_micro_precision": positive,
        "recall": recall,
        "F1": f1(precision, recall),
        "positive_micro_F1": micro,
        "positive_macro_F1": macro,
        "IL_recall": il_recall,
        "IL_precision": il_precision,
        "IL_F1": 2 * il_precision * il_recall / (il_precision + il_recall + SMALL_IL),
        "IL_FPR": fp / (fp + tn + SMALL_IL),
        "IL_MCC": mcc,
        "cgF1": micro * mcc[:, None],
    }
    none = tp + fn + fp + tn == 0
    return {
        name: np.where(none if values.ndim == 1 else none[:, None], math.nan, values)
        for name, values in numbers.items()
    }


def f1(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Return the harmonic mean, as the official evaluator has it."""
    return 2 * precision * recall / (precision + recall + SMALL)


def _precision_recall(
    hits: np.ndarray, found: np.ndarray, truths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return hits / (found + SMALL), hits / (truths + SMALL)
