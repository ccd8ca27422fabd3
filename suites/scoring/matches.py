"""Average precision of images drawn anew: results and objects are matched once, and then only counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from sambench.suites.metrics.sizes import SIZES, sized
from sambench.suites.scoring.curves import average_precisions
from sambench.suites.scoring.evidence import Evidence, as_text, from_text

if TYPE_CHECKING:  # reading evidence needs neither the annotations nor the libraries that match
    from sambench.suites.scoring.ground_truth import GroundTruth
    from sambench.suites.scoring.matching import Matched

STEPS_AT_ONCE = 500
DRAWN_AT_ONCE = 50_000_000
"""Numbers of a block of draws: up to 100,000 images all of the `STEPS_AT_ONCE`; 400 MB."""

PARTS = (*SIZES, "boxes")
"""What a curve is of: objects of an area, or the boxes beside masks."""


class _Mean(NamedTuple):
    """One mean over categories."""

    part: str = "all"
    thresholds: slice = slice(None)
    frequency: str | None = None


_MEANS = {
    "ap": _Mean(),
    "ap50": _Mean(thresholds=slice(0, 1)),
    "ap75": _Mean(thresholds=slice(5, 6)),
    **{sized("ap", size): _Mean(size) for size in SIZES if size != "all"},
    **{f"ap_{frequency}": _Mean(frequency=frequency) for frequency in "rcf"},
    "box_ap": _Mean("boxes"),
}
_OF_COCO = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
_OF_STYLE = {"coco": _OF_COCO, "lvis": (*_OF_COCO, "ap_r", "ap_c", "ap_f")}


@dataclass(frozen=True)
class Matches(Evidence):
    """Results on I images and the objects that they find, in G curves: a category's, of one of `PARTS`.

    Left out is what can never matter: categories without an object, results that count at no threshold, and
    those after a curve's last one that finds an object.
    """

    kind: ClassVar[str] = "matches"
    biased: ClassVar[bool] = True

    metrics: tuple[str, ...]
    """Some of `_MEANS`."""
    images: np.ndarray
    """(I,) int64 ids, rising: all that were evaluated, with results and objects or without."""
    part: np.ndarray
    """(G,) which of `PARTS`."""
    category: np.ndarray
    """(G,) int64 ids."""
    frequency: np.ndarray
    """(G,) str: r, c or f in LVIS's style, else empty."""
    curve: np.ndarray
    """(N,) rising: which curve a result is of."""
    image: np.ndarray
    """(N,) the place of its image among the I; the best result first, ties settled."""
    found: np.ndarray
    """(N,) uint16: a bit for each threshold of IoU at which it finds an object."""
    counted: np.ndarray
    """(N,) uint16: a bit for each at which it counts."""
    object_curve: np.ndarray
    """(M,) rising: a curve, and"""
    object_image: np.ndarray
    """(M,) an image that has objects of it, and"""
    object_count: np.ndarray
    """(M,) how many."""

    @classmethod
    def of(cls, truth: GroundTruth, matched: Matched) -> Self:
        """Sort what was matched with the annotations into curves."""
        (keys, object_image), object_count = np.unique(
            np.stack(_objects(matched)), axis=1, return_counts=True
        )
        curves, object_curve = np.unique(keys, return_inverse=True)
        result_key, rows, part = _results(matched, curves)
        frequency = {c["id"]: c.get("frequency", "") for c in truth.listed_categories()}
        category = curves // len(PARTS)
        return cls(
            metrics=_OF_STYLE[truth.style],
            images=truth.images.ids,
            part=_small(curves % len(PARTS)),
            category=truth.categories.given(category),
            frequency=np.array([frequency[c] for c in category.tolist()], "U1"),
            curve=_small(np.searchsorted(curves, result_key)),
            image=_small(matched.image[rows] - 1),
            found=matched.found[rows, part],
            counted=matched.counted[rows, part],
            object_curve=_small(object_curve),
            object_image=_small(object_image),
            object_count=_small(object_count),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The means over categories."""
        return self.metrics

    @property
    def image_ids(self) -> np.ndarray:
        """All images that were evaluated."""
        return self.images

    @property
    def instances(self) -> int:
        """Objects of all sizes."""
        whole = self.part == PARTS.index("all")
        return int(self.object_count[whole[self.object_curve]].sum())

    @property
    def resamples_at_once(self) -> int:
        """As many as make each step along a curve worth while; fewer of very many images."""
        return min(STEPS_AT_ONCE, max(1, DRAWN_AT_ONCE // len(self.images)))

    def resampled(self, drawn: np.ndarray) -> np.ndarray:
        """Average over the categories that have an object among the images drawn, percent."""
        weights = np.ascontiguousarray(drawn.T, np.float64)
        means = [_MEANS[name] for name in self.metrics]
        sums, counts = np.zeros((2, len(means), len(drawn)))
        for g, results, held in self._curves():
            wanted = [k for k, mean in enumerate(means) if self._is_of(mean)[g]]
            if not wanted:
                continue
            objects = self.object_count[held].astype(np.float64) @ weights[self.object_image[held]]
            values = average_precisions(
                weights, self.image[results], self.found[results], self.counted[results], objects
            )
            for k in wanted:
                sums[k] += values[means[k].thresholds].mean(axis=0)
                counts[k] += objects > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            return (100 * sums / counts).T

    def shared(self, other: Self) -> Self:
        """Return this with the images alone that the other has too."""
        if np.array_equal(self.images, other.images):
            return self
        kept = np.isin(self.images, other.images)
        new = self._of_rows(kept[self.image], kept[self.object_image])
        places = np.cumsum(kept) - 1
        return dataclasses.replace(
            new,
            images=self.images[kept],
            image=_small(places[new.image]),
            object_image=_small(places[new.object_image]),
        )

    def only(self, *names: str) -> Self:
        """Return this with some of its metrics alone, and what those are made of."""
        kept = np.any([self._is_of(_MEANS[name]) for name in names], axis=0)
        new = self._of_rows(kept[self.curve], kept[self.object_curve])
        places = np.cumsum(kept) - 1
        return dataclasses.replace(
            new,
            metrics=names,
            **{field: getattr(self, field)[kept] for field in ("part", "category", "frequency")},
            curve=_small(places[new.curve]),
            object_curve=_small(places[new.object_curve]),
        )

    def numbered_from(self, first: int) -> Self:
        """Return this with so much added to the images' ids."""
        return dataclasses.replace(self, images=self.images + first)

    def beside(self, boxes: Self) -> Self:
        """Return this with the average precision of boxes on the same images too, as ``box_ap``."""
        boxes = boxes.only("ap")
        first = len(self.part)
        moved = dataclasses.replace(
            boxes,
            part=np.full_like(boxes.part, PARTS.index("boxes")),
            curve=first + boxes.curve.astype(np.int64),
            object_curve=first + boxes.object_curve.astype(np.int64),
        )
        fields = [f.name for f in dataclasses.fields(self) if f.name not in ("metrics", "images")]
        both = {f: np.concatenate([getattr(self, f), getattr(moved, f)]) for f in fields}
        return dataclasses.replace(self, metrics=(*self.metrics, "box_ap"), **both)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fields, the metrics' names as JSON."""
        found: dict[str, Any] = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return found | {"metrics": as_text(self.metrics)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Return what `arrays` was taken of."""
        return cls(metrics=tuple(from_text(arrays.pop("metrics"))), **arrays)

    def _curves(self) -> Iterator[tuple[int, slice, slice]]:
        """Give each curve, and where its results and its objects are."""
        every = np.arange(len(self.part) + 1)
        results, objects = (np.searchsorted(c, every).tolist() for c in (self.curve, self.object_curve))
        for g in range(len(self.part)):
            yield g, slice(results[g], results[g + 1]), slice(objects[g], objects[g + 1])

    def _is_of(self, mean: _Mean) -> np.ndarray:
        """Which curves a mean is over, (G,) bool."""
        mine = self.part == PARTS.index(mean.part)
        return mine if mean.frequency is None else mine & (self.frequency == mean.frequency)

    def _of_rows(self, results: np.ndarray, objects: np.ndarray) -> Self:
        """Return this with some of the results, (N,) bool, and of the objects, (M,) bool."""
        of_results, of_objects = ("curve", "image", "found", "counted"), ("curve", "image", "count")
        return dataclasses.replace(
            self,
            **{field: getattr(self, field)[results] for field in of_results},
            **{f"object_{field}": getattr(self, f"object_{field}")[objects] for field in of_objects},
        )


def _objects(matched: Matched) -> tuple[np.ndarray, np.ndarray]:
    """Return for each area and each object that is looked for in it the curve's key and the image's place."""
    objects, part = np.nonzero(matched.object_counted)
    return matched.object_category[objects] * len(PARTS) + part, matched.object_image[objects] - 1


def _results(matched: Matched, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Choose the results that matter to curves (G,), and sort them: curve by curve, the best first.

    Of those with the same score the evaluators take the images in their order, then a result after the other.

    Returns:
        (N,) each: the curve's key, the row among what was matched, and the part.
    """
    rows, part = np.nonzero(matched.counted)
    key = matched.category[rows] * len(PARTS) + part
    order = np.lexsort((rows, matched.image[rows], -matched.score[rows], key))
    order = order[np.isin(key[order], curves)]
    key, rows, part = key[order], rows[order], part[order]
    finds = np.flatnonzero(matched.found[rows, part])
    last = np.full(len(curves), -1)
    last[np.searchsorted(curves, key[finds])] = finds  # the last of each that is written stays
    kept = np.arange(len(key)) <= last[np.searchsorted(curves, key)]
    return key[kept], rows[kept], part[kept]


def _small(values: np.ndarray) -> np.ndarray:
    """Return whole numbers from 0, (n,), in as few bytes as hold them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
