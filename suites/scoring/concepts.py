"""cgF1 and its kin of images drawn anew: pairs are counted by image once, and then only added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from sambench.suites.metrics.concepts import COUNTS, official
from sambench.suites.scoring.evidence import Evidence

AT = {"": slice(None), "_50": slice(0, 1), "_75": slice(5, 6)}
"""What follows a metric's name to the thresholds of IoU that it is the mean over."""

OVER = {"cgf1": "cgF1", "pmf1": "positive_micro_F1", "macro_f1": "positive_macro_F1", "f1": "F1"}
"""Metrics at thresholds, by the official evaluator's names."""
IMAGE_LEVEL = {
    "il_f1": "IL_F1",
    "il_precision": "IL_precision",
    "il_recall": "IL_recall",
    "il_fpr": "IL_FPR",
}

NAMES = (
    *(f"{name}{at}" for name in OVER for at in AT),
    "il_mcc",
    *IMAGE_LEVEL,
)


@dataclass(frozen=True)
class Concepts(Evidence):
    """The pairs of I images, added up by image (`suites.metrics.concepts.summed`)."""

    kind: ClassVar[str] = "concepts"

    images: np.ndarray
    """(I,) int64 ids, rising."""
    sums: np.ndarray
    """(I, columns) float64."""
    objects: np.ndarray
    """(I,) int64, what is annotated; of several annotators by the first, whoever it is that counts."""

    @property
    def names(self) -> tuple[str, ...]:
        """All metrics."""
        return NAMES

    @property
    def image_ids(self) -> np.ndarray:
        """All images that were evaluated."""
        return self.images

    @property
    def instances(self) -> int:
        """Objects of all pairs."""
        return int(self.objects.sum())

    def counts(self) -> dict[str, int]:
        """Return what pairs there are, and how they came out on the image level."""
        total = dict(zip(COUNTS, self.sums[:, : len(COUNTS)].sum(axis=0).astype(int).tolist(), strict=True))
        levels = {name: total[name] for name in COUNTS if name.startswith("il_")}
        return {"all": self.instances, "pairs": sum(levels.values()), "confident": total["found"], **levels}

    def resampled(self, drawn: np.ndarray) -> np.ndarray:
        """Add up the images drawn: percent, but for ``il_mcc``."""
        found = official(drawn @ self.sums)
        return np.column_stack([_value(found, name) for name in NAMES])

    def shared(self, other: Self) -> Self:
        """Return this with the images alone that the other has too."""
        both = np.isin(self.images, other.images)
        if both.all():
            return self
        return type(self)(self.images[both], self.sums[both], self.objects[both])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fields."""
        return {"images": self.images, "sums": self.sums, "objects": self.objects}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Return what `arrays` was taken of."""
        return cls(**arrays)


def _value(found: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Return a metric of R draws, (R,)."""
    if name == "il_mcc":
        return found["IL_MCC"]
    if name in IMAGE_LEVEL:
        return 100 * found[IMAGE_LEVEL[name]]
    stem = next(stem for stem in OVER if name in (stem + at for at in AT))
    return 100 * found[OVER[stem]][:, AT[name.removeprefix(stem)]].mean(axis=1)
