"""From raw samples to numbers: nothing is clipped, nothing is smoothed.

A sample is the time of one batch. A round is one process; its rate is images over the time they took. A cell
is the median of its rounds, with the lowest and the highest beside it, and percentiles over all batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNSTEADY = 2.5
"""Percent: a coefficient of variation above it is marked (protocol 4.3.8, trtexec's own threshold)."""

PERCENTILES = (50, 90, 95, 99)

_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""97.5% quantile of Student's t for 1, 2, ... degrees of freedom (any table of it); beyond, the last is kept,
which makes intervals a little too wide."""


@dataclass(frozen=True)
class Spread:
    """A median over rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Speed:
    """What the samples of one cell say."""

    img_s: Spread
    """Images over time, by round."""
    img_s_p50: float
    """Images over the median batch: the median of the rounds' medians."""
    latency_ms: dict[int, float]
    """Percentile to milliseconds a batch. 50 is the median of the rounds' medians; the others are over the
    batches of all rounds together."""
    latency_ms_p50: Spread
    """The rounds' medians."""
    cov: float
    """Coefficient of variation of the batches, percent: the median of the rounds'."""
    batches: int


def spread(values: Sequence[float]) -> Spread:
    """Return median, lowest and highest of at least one value."""
    return Spread(float(np.median(values)), float(min(values)), float(max(values)))


def rate(seconds: Sequence[float], images: int) -> float:
    """Return images per second of one round, from the time of each batch of so many images."""
    return images * len(seconds) / math.fsum(seconds)


def variation(seconds: Sequence[float]) -> float:
    """Return the coefficient of variation of one round's batches, percent; 0 for a lone batch."""
    values = np.asarray(seconds)
    return float(100 * values.std(ddof=1) / values.mean()) if len(values) > 1 else 0.0


def summarise(rounds: Sequence[Sequence[float]], images: int) -> Speed:
    """Summarise a cell.

    Args:
        rounds: for each round the seconds of each batch; at least one round of at least one batch.
        images: in a batch.
    """
    medians = spread([1000 * float(np.median(seconds)) for seconds in rounds])
    pooled = 1000 * np.concatenate([np.asarray(seconds, float) for seconds in rounds])
    latency = {p: float(np.percentile(pooled, p)) for p in PERCENTILES}
    return Speed(
        img_s=spread([rate(seconds, images) for seconds in rounds]),
        img_s_p50=1000 * images / medians.median,
        latency_ms=latency | {50: medians.median},
        latency_ms_p50=medians,
        cov=float(np.median([variation(seconds) for seconds in rounds])),
        batches=len(pooled),
    )


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Compare two models by the rounds that both ran: their speeds in one round share its conditions.

    The ratio is the geometric mean of the rounds' ratios; the interval is Student's 95% interval of their
    logarithms, and empty (the ratio itself, twice) with a single round, which says nothing of its spread.

    Args:
        ours: images per second in each round.
        theirs: those of the other model in the same rounds.
    """
    logs = np.log(np.asarray(ours, float) / np.asarray(theirs, float))
    mean = float(logs.mean())
    if len(logs) < 2:
        return Spread(math.exp(mean), math.exp(mean), math.exp(mean))
    off = reach(logs)
    return Spread(math.exp(mean), math.exp(mean - off), math.exp(mean + off))


def reach(values: np.ndarray) -> float:
    """Return half the width of Student's 95% interval of the mean of (n,) values, at least two."""
    n = len(values)
    return _STUDENT[min(n - 1, len(_STUDENT)) - 1] * float(values.std(ddof=1)) / math.sqrt(n)
