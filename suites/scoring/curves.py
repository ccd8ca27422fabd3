"""Average precision of many weighted draws of images at once, from what was matched once.

A precision is only ever read where a result finds an object, so everything between is summed up and gone.
Draws lie next to each other in memory: a step from one result to the next is a sum of two rows of draws.
"""

from __future__ import annotations

import itertools

import numpy as np

THRESHOLDS = 10
_RECALLS = np.linspace(0.0, 1.0, 101)
_LATE = np.arange(101) / 100 < _RECALLS
"""Of 0.00, 0.01, ...: those that as a float are beyond the share itself, which so does not reach them."""
_FEW = 48
"""Draws up to which NumPy's running sum is faster than a loop over rows."""


def average_precisions(
    drawn: np.ndarray, image: np.ndarray, found: np.ndarray, counted: np.ndarray, objects: np.ndarray
) -> np.ndarray:
    """Return average precision over 101 recalls, as pycocotools defines it.

    An image drawn k times has each of its results k times, one after the other. The best precision of these
    is the last one's, so it stands for all.

    Args:
        drawn: (I, R) float64, how often each image was drawn.
        image: (N,) each result's image, the best first.
        found: (N,) uint16, a bit for each threshold at which it finds an object.
        counted: (N,) uint16, a bit for each at which it counts at all.
        objects: (R,) how many objects are there to be found.

    Returns:
        (10, R), from 0 to 1; at 0 objects, 0.
    """
    values = np.zeros((THRESHOLDS, len(objects)))
    ever = found != 0
    if not ever.any():
        return values
    hits = image[ever]
    mostly = 2 * _bits(counted) >= THRESHOLDS  # counts at most thresholds; the others are put right
    counts = _sums(drawn, image[mostly], np.cumsum(mostly)[ever])
    for t in range(THRESHOLDS):
        here = (found[ever] >> t & 1).astype(bool)
        if not here.any():
            continue
        places = np.flatnonzero(ever)[here]
        taken = counts[here]
        _put_right(taken, drawn, image, places, mostly, (counted >> t & 1).astype(bool))
        values[t] = _average(drawn[hits[here]], taken, objects)
    return values


def _average(weights: np.ndarray, counts: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Average the precisions at 101 recalls, each the best at that recall or beyond.

    Args:
        weights: (P, R), of the results that find an object; is written over.
        counts: (P, R), how many results there are up to each and with it; is written over.
        objects: (R,).
    """
    found = _running(np.add, weights)
    precision = np.divide(found, np.maximum(counts, 1, out=counts), out=counts)
    _running(np.maximum, precision[::-1])
    recall = np.divide(np.multiply(found, 100, out=found), np.maximum(objects, 1), out=found)
    reached = _reached(recall, objects)
    reached[1:] -= reached[:-1].copy()
    # The recall 0 is reached by all that there is, so it has the best precision of all.
    return (precision[0] + np.einsum("ij,ij->j", precision, reached)) / len(_RECALLS)


def _reached(recall: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return how many of the recalls 0.01, 0.02, ... are reached by (P, R) in percent."""
    reached = np.floor(recall)
    # Only where the objects are a multiple of ten is a recall among those that are late met exactly.
    some = np.flatnonzero(objects % 10 == 0)
    if len(some):
        own = reached[:, some]
        reached[:, some] = own - ((recall[:, some] == own) & _LATE[own.astype(np.intp)])
    return reached


def _put_right(
    counts: np.ndarray,
    drawn: np.ndarray,
    image: np.ndarray,
    places: np.ndarray,
    mostly: np.ndarray,
    counted: np.ndarray,
) -> None:
    """Correct counts (P, R) at places (P,) for the few results that count at this threshold alone, or not."""
    odd = np.flatnonzero(mostly != counted)
    odd = odd[odd <= places[-1]]
    if not len(odd):
        return
    later = np.searchsorted(places, odd)
    off = np.zeros((len(places) - later[0], counts.shape[1]))
    for row, place in zip(odd.tolist(), (later - later[0]).tolist(), strict=True):
        if counted[row]:
            off[place] += drawn[image[row]]
        else:
            off[place] -= drawn[image[row]]
    counts[later[0] :] += _running(np.add, off)


def _sums(drawn: np.ndarray, image: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Add up draws (I, R) of the images (N,) of results: of the first ends[0], ends[1], ..., (P, R)."""
    if drawn.shape[1] <= _FEW:
        sums = np.zeros((len(image) + 1, drawn.shape[1]))
        np.add.accumulate(drawn[image], axis=0, out=sums[1:])
        return sums[ends]
    sums = np.empty((len(ends), drawn.shape[1]))
    total, done = np.zeros(drawn.shape[1]), 0
    images = image.tolist()
    for row, end in zip(sums, ends.tolist(), strict=True):
        for i in images[done:end]:
            total += drawn[i]
        row[:], done = total, end
    return sums


def _running(step: np.ufunc, rows: np.ndarray) -> np.ndarray:
    """Make each row of (N, R) the sum, or the largest, of all up to it, in place."""
    if rows.shape[1] <= _FEW:
        return step.accumulate(rows, axis=0, out=rows)
    for before, row in itertools.pairwise(rows):
        step(before, row, out=row)
    return rows


def _bits(values: np.ndarray) -> np.ndarray:
    """Count the bits of (N,) uint16."""
    return np.unpackbits(values[:, None].view(np.uint8), axis=1).sum(axis=1)
