"""Sums by image, and intervals of means over objects by a bootstrap over images.

Objects of one image share its difficulties, so images are resampled, not objects: an interval over objects
would mostly be too narrow. Two models are compared on the same draws: `union` brings their sums onto the same
images, and `resampled` gives the means of both in each draw of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
BOOTSTRAP_SEED = 20240208
CONFIDENCE = 95.0  # percent
DRAWN_AT_ONCE = 2**20
"""Numbers of a block of draws, 8 MB: more is no faster, and all 2000 draws of 100,000 images are 1.6 GB."""


@dataclass(frozen=True)
class ImageSums:
    """K numbers of objects, each a share, added up image by image: what means and their intervals need."""

    names: tuple[str, ...]
    """Of the K columns: metrics, as results call them."""
    image_ids: np.ndarray
    """(I,) int64, rising."""
    sums: np.ndarray
    """(I, K) float64."""
    counts: np.ndarray
    """(I, K) int64: objects."""

    def means(self) -> dict[str, float | None]:
        """Return the mean over all objects by name, percent; ``None`` where there is none."""
        total = self.counts.sum(axis=0)
        return {
            name: float(100 * self.sums[:, k].sum() / total[k]) if total[k] else None
            for k, name in enumerate(self.names)
        }

    def intervals(self) -> dict[str, list[float]]:
        """Return the interval of each mean by name, percent; none of a single image or without an object."""
        if len(self.image_ids) < 2:
            return {}
        (samples,) = resampled(self)
        found = {name: percentile_interval(samples[:, k]) for k, name in enumerate(self.names)}
        return {name: [100 * end for end in ends] for name, ends in found.items() if ends is not None}

    def column(self, name: str, renamed: str) -> ImageSums:
        """Return one column alone, under another name."""
        k = self.names.index(name)
        return ImageSums((renamed,), self.image_ids, self.sums[:, k : k + 1], self.counts[:, k : k + 1])


def image_sums(columns: Mapping[str, tuple[np.ndarray, np.ndarray]], image_id: np.ndarray) -> ImageSums:
    """Add up n objects image by image.

    Args:
        columns: name to the objects' numbers (n,) and to which of them count, (n,) bool.
        image_id: (n,).
    """
    image_ids, index = np.unique(image_id, return_inverse=True)
    n = len(image_ids)
    sums = [np.bincount(index[m], weights=v[m], minlength=n) for v, m in columns.values()]
    counts = [np.bincount(index[m], minlength=n) for _, m in columns.values()]
    return ImageSums(tuple(columns), image_ids, np.stack(sums, axis=1), np.stack(counts, axis=1))


def union(a: ImageSums, b: ImageSums) -> tuple[ImageSums, ImageSums]:
    """Bring two onto the images of either and the names of both; an image that one has not adds nothing."""
    image_ids = np.union1d(a.image_ids, b.image_ids)
    names = [name for name in a.names if name in b.names]
    return _placed(a, image_ids, names), _placed(b, image_ids, names)


def side_by_side(parts: Sequence[ImageSums]) -> ImageSums:
    """Join the columns of some, at least one, on the images of any."""
    image_ids = np.unique(np.concatenate([part.image_ids for part in parts]))
    placed = [_placed(part, image_ids, part.names) for part in parts]
    return ImageSums(
        tuple(name for part in parts for name in part.names),
        image_ids,
        np.concatenate([part.sums for part in placed], axis=1),
        np.concatenate([part.counts for part in placed], axis=1),
    )


def _placed(part: ImageSums, image_ids: np.ndarray, names: Sequence[str]) -> ImageSums:
    """Return some columns on more images, zeros where there were none."""
    rows = np.searchsorted(image_ids, part.image_ids)
    columns = [part.names.index(name) for name in names]
    sums = np.zeros((len(image_ids), len(columns)))
    counts = np.zeros((len(image_ids), len(columns)), np.int64)
    sums[rows], counts[rows] = part.sums[:, columns], part.counts[:, columns]
    return ImageSums(tuple(names), image_ids, sums, counts)


def draws(images: int) -> Iterator[np.ndarray]:
    """Draw so many images (at least one) with replacement, again and again, the same every time.

    Yields:
        (R, images) float64: how often each image was drawn; of all blocks together R is `RESAMPLES`. How they
        are cut changes no draw, for the generator makes one after the other.
    """
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    shares = np.full(images, 1 / images)
    block = max(1, DRAWN_AT_ONCE // images)
    for done in range(0, RESAMPLES, block):
        yield rng.multinomial(images, shares, size=min(block, RESAMPLES - done)).astype(np.float64)


def resampled(*summed: ImageSums) -> list[np.ndarray]:
    """Resample the means of some sums, all of the same images, on the same draws.

    Returns:
        For each (`RESAMPLES`, K) shares; not a number where a draw has no object.
    """
    (images,) = {len(one.image_ids) for one in summed}
    blocks = [[_means(drawn, one) for one in summed] for drawn in draws(images)]
    return [np.concatenate(its) for its in zip(*blocks, strict=True)]


def _means(drawn: np.ndarray, summed: ImageSums) -> np.ndarray:
    """Return the means of draws (R, I): (R, K) shares."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (drawn @ summed.sums) / (drawn @ summed.counts)


def percentile_interval(samples: np.ndarray) -> list[float] | None:
    """Return the low and the high end of (R,) resampled numbers, those that are one; ``None`` without any."""
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return None
    edge = (100 - CONFIDENCE) / 2
    return [float(v) for v in np.percentile(finite, [edge, 100 - edge])]
