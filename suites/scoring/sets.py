"""The mean over several data sets' average precision, and what it is made of."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from sambench.suites.scoring.evidence import Evidence
from sambench.suites.scoring.matches import Matches


@dataclass(frozen=True)
class Sets(Evidence):
    """Data sets, each drawn within itself, so that each has its weight in every draw.

    Metrics are ``ap`` and ``ap_median`` where all sets are there, ``ap_of_those_there``, and of each set of
    more than one image ``ap_<set>``.
    """

    kind: ClassVar[str] = "sets"
    biased: ClassVar[bool] = True

    parts: dict[str, Matches]
    """By name, their image ids rising from set to set; ``ap`` is what is taken of each."""
    expected: int
    """How many sets the mean is of."""

    @property
    def names(self) -> tuple[str, ...]:
        """The means over sets, then the sets."""
        whole = ("ap", "ap_median") if len(self.parts) == self.expected else ()
        return (*whole, "ap_of_those_there", *(f"ap_{name}" for name in self._wide))

    @property
    def image_ids(self) -> np.ndarray:
        """Of all sets."""
        return np.concatenate([np.zeros(0, np.int64), *(part.image_ids for part in self.parts.values())])

    @property
    def strata(self) -> np.ndarray:
        """The place of each image's set."""
        return np.repeat(np.arange(len(self.parts)), [len(part.image_ids) for part in self.parts.values()])

    @property
    def instances(self) -> int:
        """Objects of all sets."""
        return sum(part.instances for part in self.parts.values())

    @property
    def resamples_at_once(self) -> int:
        """As many as each set has."""
        return max(part.resamples_at_once for part in self.parts.values())

    def resampled(self, drawn: np.ndarray) -> np.ndarray:
        """Average over the sets; the plain mean is of all or none."""
        ends = np.cumsum([len(part.image_ids) for part in self.parts.values()])
        pieces = np.split(drawn, ends[:-1], axis=1)
        each = [part.only("ap").resampled(d) for part, d in zip(self.parts.values(), pieces, strict=True)]
        values = np.concatenate(each, axis=1)
        there = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            of_those_there = np.where(there, values, 0).sum(axis=1) / there.sum(axis=1)
        columns = {
            "ap": values.mean(axis=1),
            "ap_median": np.median(values, axis=1),
            "ap_of_those_there": of_those_there,
            **{f"ap_{name}": values[:, k] for k, name in enumerate(self.parts)},
        }
        return np.column_stack([columns[name] for name in self.names])

    def shared(self, other: Self) -> Self:
        """Return this with the sets and images alone that the other has too."""
        both = {
            name: part.shared(other.parts[name]) for name, part in self.parts.items() if name in other.parts
        }
        return type(self)({name: part for name, part in both.items() if len(part.image_ids)}, self.expected)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return those of the sets, ``<set>/<array>``."""
        found = {
            f"{name}/{key}": array
            for name, part in self.parts.items()
            for key, array in part.arrays().items()
        }
        return found | {"expected": np.array(self.expected)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Return what `arrays` was taken of."""
        expected = int(arrays.pop("expected"))
        parts: defaultdict[str, dict[str, np.ndarray]] = defaultdict(dict)
        for path, array in arrays.items():
            name, _, key = path.rpartition("/")
            parts[name][key] = array
        return cls({name: Matches.from_arrays(part) for name, part in parts.items()}, expected)

    @property
    def _wide(self) -> list[str]:
        """The sets whose own number can be resampled: there is no spread in one image."""
        return [name for name, part in self.parts.items() if len(part.image_ids) > 1]
