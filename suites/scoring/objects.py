"""Means over objects, and over their images and categories, with all that they are made of."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from sambench.suites.scoring.evidence import Evidence, as_text, from_text

AVERAGED = ("image", "category")
"""What a mean may be taken over beside objects."""


@dataclass(frozen=True)
class Column:
    """One mean over objects."""

    name: str
    value: int
    """Which of the objects' values is averaged."""
    group: int
    """Over which of the groups of objects."""
    scale: float = 100.0
    """What the mean is multiplied by: shares are shown in percent."""


@dataclass(frozen=True)
class Objects(Evidence):
    """The values of N objects, and the means over them.

    Beside the means over objects stand, for some, the mean over images of each image's mean
    (``<name>_per_image``), and over categories of each category's (``<name>_per_category``).
    """

    kind: ClassVar[str] = "objects"

    columns: tuple[Column, ...]
    image: np.ndarray
    """(N,) int64: each object's image."""
    ann_id: np.ndarray
    """(N,) int64: each object's annotation, which tells it from others of its image."""
    category: np.ndarray
    """(N,) int64."""
    values: np.ndarray
    """(N, V) float64."""
    groups: np.ndarray
    """(N, G) bool: which objects are of which group, such as a size."""
    averaged: tuple[str, ...] = ()
    """Columns whose means over images and categories are wanted too."""

    @property
    def names(self) -> tuple[str, ...]:
        """The means over objects, then the others."""
        own = tuple(column.name for column in self.columns)
        return own + tuple(f"{name}_per_{what}" for name in self.averaged for what in AVERAGED)

    @property
    def instances(self) -> int:
        """Objects of the first column."""
        return int(np.count_nonzero(self.groups[:, self.columns[0].group]))

    @property
    def image_ids(self) -> np.ndarray:
        """Those that have an object."""
        return self._images[0]

    def counts(self) -> dict[str, int]:
        """Return how many objects each column averages over."""
        totals = self.groups.sum(axis=0)
        return {column.name: int(totals[column.group]) for column in self.columns}

    def of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a column's values (N,) and which objects count, (N,) bool."""
        column = self._column(name)
        return self.values[:, column.value], self.groups[:, column.group]

    def resampled(self, drawn: np.ndarray) -> np.ndarray:
        """Average over the objects of the images drawn, each as often as its image."""
        sums, counts, scales = self._sums
        with np.errstate(divide="ignore", invalid="ignore"):
            means = scales * ((drawn @ sums) / (drawn @ counts))
        for name in self.averaged:
            averages = self._over_images(drawn, name), self._over_categories(drawn, name)
            means = np.column_stack([means, *averages])
        return means

    def shared(self, other: Self) -> Self:
        """Return this with the objects alone that the other has too, in the order of both."""
        if np.array_equal(self.image, other.image) and np.array_equal(self.ann_id, other.ann_id):
            return self
        own, its = (np.stack([one.image, one.ann_id], axis=1) for one in (self, other))
        known = {tuple(row) for row in its.tolist()}
        kept = np.array([tuple(row) in known for row in own.tolist()], bool)
        order = np.flatnonzero(kept)[np.lexsort((self.ann_id[kept], self.image[kept]))]
        parts = ("image", "ann_id", "category", "values", "groups")
        return dataclasses.replace(self, **{part: getattr(self, part)[order] for part in parts})

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fields, those that are no arrays as JSON."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        columns = [dataclasses.asdict(column) for column in self.columns]
        return found | {"columns": as_text(columns), "averaged": as_text(self.averaged)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Return what `arrays` was taken of."""
        columns = tuple(Column(**column) for column in from_text(arrays.pop("columns")))
        return cls(columns=columns, averaged=tuple(from_text(arrays.pop("averaged"))), **arrays)

    def _column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @cached_property
    def _images(self) -> tuple[np.ndarray, np.ndarray]:
        """The images (I,), and each object's place among them (N,)."""
        image_ids, places = np.unique(self.image, return_inverse=True)
        return image_ids, places

    @cached_property
    def _sums(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums and counts of the columns by image, (I, columns) each, and their scales."""
        summed = [self._by_image(column) for column in self.columns]
        sums, counts = (np.stack(part, axis=1) for part in zip(*summed, strict=True))
        return sums, counts, np.array([column.scale for column in self.columns])

    def _by_image(self, column: Column) -> tuple[np.ndarray, np.ndarray]:
        image_ids, places = self._images
        members = self.groups[:, column.group]
        return _added(places[members], self.values[members, column.value], len(image_ids))

    def _over_images(self, drawn: np.ndarray, name: str) -> np.ndarray:
        column = self._column(name)
        sums, counts = self._by_image(column)
        there = counts > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            own = np.where(there, sums / counts, 0)
            return column.scale * ((drawn @ own) / (drawn @ there.astype(np.float64)))

    def _over_categories(self, drawn: np.ndarray, name: str) -> np.ndarray:
        """Average the categories' own means; one without an object in a draw is none of it."""
        column = self._column(name)
        places = self._images[1]
        members = self.groups[:, column.group]
        if not members.any():
            return np.full(len(drawn), np.nan)
        # Few categories are in an image: pairs of both are a fraction of a table of all.
        pairs, where = np.unique(
            np.stack([self.category[members], places[members]]), axis=1, return_inverse=True
        )
        sums, counts = _added(where, self.values[members, column.value], pairs.shape[1])
        starts = np.flatnonzero(np.diff(pairs[0], prepend=pairs[0, 0] - 1))
        often = drawn[:, pairs[1]]
        total, there = (np.add.reduceat(often * part, starts, axis=1) for part in (sums, counts))
        means = np.divide(total, there, out=np.zeros_like(total), where=there > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return column.scale * (means.sum(axis=1) / (there > 0).sum(axis=1))


def _added(where: np.ndarray, values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Add values up at n places, and count them there, both (n,) float64."""
    counts = np.bincount(where, minlength=n).astype(np.float64)
    return np.bincount(where, weights=values, minlength=n), counts
