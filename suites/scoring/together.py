"""Numbers of two kinds on the same images, such as cgF1 beside average precision."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from sambench.suites.scoring.concepts import Concepts
from sambench.suites.scoring.evidence import Evidence
from sambench.suites.scoring.matches import Matches


@dataclass(frozen=True)
class Together(Evidence):
    """cgF1 and average precision, of the same images."""

    kind: ClassVar[str] = "together"

    concepts: Concepts
    matches: Matches

    def is_biased(self, name: str) -> bool:
        """Average precision is."""
        return name in self.matches.names

    @property
    def names(self) -> tuple[str, ...]:
        """Those of one, then those of the other."""
        return (*self.concepts.names, *self.matches.names)

    @property
    def image_ids(self) -> np.ndarray:
        """All images that were evaluated."""
        return self.concepts.image_ids

    @property
    def instances(self) -> int:
        """Objects of all pairs that are scored."""
        return self.concepts.instances

    @property
    def resamples_at_once(self) -> int:
        """As average precision needs it."""
        return self.matches.resamples_at_once

    def resampled(self, drawn: np.ndarray) -> np.ndarray:
        """Make both of the same draws."""
        return np.column_stack([self.concepts.resampled(drawn), self.matches.resampled(drawn)])

    def shared(self, other: Self) -> Self:
        """Return this with the images alone that the other has too."""
        concepts, matches = self.concepts.shared(other.concepts), self.matches.shared(other.matches)
        if concepts is self.concepts and matches is self.matches:
            return self
        return dataclasses.replace(self, concepts=concepts, matches=matches)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return those of both, ``<kind>/<array>``."""
        parts = (self.concepts, self.matches)
        return {f"{part.kind}/{key}": array for part in parts for key, array in part.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Return what `arrays` was taken of."""
        concepts, matches = (
            {
                key.removeprefix(f"{kind}/"): array
                for key, array in arrays.items()
                if key.startswith(f"{kind}/")
            }
            for kind in (Concepts.kind, Matches.kind)
        )
        return cls(Concepts.from_arrays(concepts), Matches.from_arrays(matches))
