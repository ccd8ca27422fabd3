"""Means over objects, and over their images and categories, with all that they are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from sambench.suites.scoring.evidence import Evidence, as_text, from_text
from sambench.suites.scoring.growing import Growing

AVERAGED = ("image", "category")
"""What a mean may be taken over beside objects."""
OF_OBJECTS = ("image", "ann_id", "category", "values", "groups")
"""The fields with a row an object."""


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

    @classmethod
    def together(cls, parts: Iterable[Self]) -> Self:
        """Put the objects of several parts, at least one, one after the other, and keep no part."""
        rows = {name: Growing() for name in OF_OBJECTS}
        part: Self | None = None
        for part in parts:
            for name, growing in rows.items():
                growing.add(getattr(part, name))
        assert part is not None
        whole: dict[str, Any] = {name: growing.whole() for name, growing in rows.items()}
        return dataclasses.replace(part, **whole)

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
        over_categories = self._over_categories(drawn)
        averages = [(self._over_images(drawn, name), over_categories[name]) for name in self.averaged]
        return np.column_stack([means, *(one for both in averages for one in both)])

    def shared(self, other: Self) -> Self:
        """Return this with the objects alone that the other has too, in the order of both."""
        if np.array_equal(self.image, other.image) and np.array_equal(self.ann_id, other.ann_id):
            return self
        own, its = (np.stack([one.image, one.ann_id], axis=1) for one in (self, other))
        known = {tuple(row) for row in its.tolist()}
        kept = np.array([tuple(row) in known for row in own.tolist()], bool)
        order = np.flatnonzero(kept)[np.lexsort((self.ann_id[kept], self.image[kept]))]
        return dataclasses.replace(self, **{name: getattr(self, name)[order] for name in OF_OBJECTS})

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

    @cached_property
    def samples(self) -> np.ndarray:
        """The numbers of all draws; the sums that they are made of are as large as all objects, and go."""
        found = super().samples
        for name in ("_sums", "_means_of_images", "_categories"):
            vars(self).pop(name, None)
        return found

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
        sums, counts = np.empty((2, len(self.image_ids), len(self.columns)))
        for k, column in enumerate(self.columns):
            sums[:, k], counts[:, k] = self._by_image(column)
        return sums, counts, np.array([column.scale for column in self.columns])

    def _by_image(self, column: Column) -> tuple[np.ndarray, np.ndarray]:
        image_ids, places = self._images
        members = self.groups[:, column.group]
        where, n = places[members], len(image_ids)
        sums = np.bincount(where, weights=self.values[members, column.value], minlength=n)
        return sums, np.bincount(where, minlength=n).astype(np.float64)

    def _over_images(self, drawn: np.ndarray, name: str) -> np.ndarray:
        own, there = self._means_of_images[name]
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._column(name).scale * ((drawn @ own) / (drawn @ there))

    @cached_property
    def _means_of_images(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By name, the mean of each image (I,), and 1 where it has one and 0 elsewhere (I,)."""
        found = {}
        for name in self.averaged:
            sums, counts = self._by_image(self._column(name))
            there = counts > 0
            with np.errstate(divide="ignore", invalid="ignore"):
                found[name] = np.where(there, sums / counts, 0), there.astype(np.float64)
        return found

    def _over_categories(self, drawn: np.ndarray) -> dict[str, np.ndarray]:
        """Average the categories' own means, (R,) a name; one without an object in a draw is none of it."""
        often = np.ascontiguousarray(drawn.T)  # a row an image, for a category is in few of them
        found: dict[str, np.ndarray] = {}
        for columns, categories in self._categories:
            means, there = np.zeros((len(columns), len(drawn))), np.zeros(len(drawn))
            for places, parts in categories:
                count, *sums = parts @ often[places]
                means += np.divide(sums, count, out=np.zeros_like(means), where=count > 0)
                there += count > 0
            with np.errstate(divide="ignore", invalid="ignore"):
                means /= there
            found |= {column.name: column.scale * mean for column, mean in zip(columns, means, strict=True)}
        return found

    @cached_property
    def _categories(self) -> list[tuple[list[Column], list[tuple[np.ndarray, np.ndarray]]]]:
        """Columns to average over categories, those of one group of objects together, with its categories.

        A category has the places of its images (P,), and of each its objects and sums (1 + columns, P).
        """
        together: dict[int, list[Column]] = {}
        for name in self.averaged:
            together.setdefault(self._column(name).group, []).append(self._column(name))
        return [(columns, self._by_category(group, columns)) for group, columns in together.items()]

    def _by_category(self, group: int, columns: list[Column]) -> list[tuple[np.ndarray, np.ndarray]]:
        members = self.groups[:, group]
        if not members.any():
            return []
        images = len(self.image_ids)
        _, of = np.unique(self.category[members], return_inverse=True)
        of *= images
        of += self._images[1][members]  # a number for each pair of both, rising with the category
        pairs, where = np.unique(of, return_inverse=True)
        parts = np.empty((1 + len(columns), len(pairs)))
        parts[0] = np.bincount(where)
        for row, column in zip(parts[1:], columns, strict=True):
            row[:] = np.bincount(where, weights=self.values[members, column.value])
        categories, places = np.divmod(pairs, images)
        starts = np.flatnonzero(np.diff(categories)) + 1
        return list(zip(np.split(places, starts), np.split(parts, starts, axis=1), strict=True))
