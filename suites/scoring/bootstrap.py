"""Images drawn with replacement, again and again, and the interval of what they give.

Objects of one image share its difficulties, so images are resampled, not objects: an interval over objects
would mostly be too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

RESAMPLES = 2000
BOOTSTRAP_SEED = 20240208
CONFIDENCE = 95.0  # percent
DRAWN_AT_ONCE = 2**20
"""Numbers of a block of draws, 8 MB: more is no faster, and all 2000 draws of 100,000 images are 1.6 GB."""


def at_once(images: int) -> int:
    """Return how many draws of I images make a block where nothing else is said."""
    return max(1, DRAWN_AT_ONCE // images)


def draws(strata: np.ndarray, block: int | None = None) -> Iterator[np.ndarray]:
    """Draw as many images as there are with replacement, again and again, the same every time.

    Args:
        strata: (I,) the group of each image, at least one; each group is drawn from alone, as many as it has.
        block: how many draws are given at once.

    Yields:
        (R, I) float64: how often each image was drawn; of all blocks together R is `RESAMPLES`. How they
        are cut changes no draw, for each group has a generator, which makes one after the other.
    """
    groups = [np.flatnonzero(strata == group) for group in np.unique(strata)]
    generators = [np.random.default_rng(BOOTSTRAP_SEED + i) for i in range(len(groups))]
    block = block or at_once(len(strata))
    for done in range(0, RESAMPLES, block):
        drawn = np.empty((min(block, RESAMPLES - done), len(strata)))
        for members, rng in zip(groups, generators, strict=True):
            n = len(members)
            drawn[:, members] = rng.multinomial(n, np.full(n, 1 / n), size=len(drawn))
        yield drawn


def percentile_interval(samples: np.ndarray) -> list[float] | None:
    """Return the low and the high end of (R,) resampled numbers, those that are one; ``None`` without any."""
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return None
    edge = (100 - CONFIDENCE) / 2
    return [float(v) for v in np.percentile(finite, [edge, 100 - edge])]


def turned_about(number: float, ends: list[float]) -> list[float]:
    """Turn an interval of resampled numbers about the number itself (the basic bootstrap interval).

    Where a number is too high on average, as average precision is of few objects, resamples of the images are
    higher still by as much: the plain percentiles have the error twice, these have it taken off.
    """
    low, high = ends
    return [2 * number - high, 2 * number - low]
