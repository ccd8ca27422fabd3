"""What the numbers of a cell are made of, image by image: enough to make them again of other images.

From it come a number's interval and the paired difference of two models; it lies beside the records, so
neither needs the model, the annotations or the suite again. Means over objects have theirs in
`suites.scoring.objects`, average precision in `suites.scoring.matches`.
"""

from __future__ import annotations

import io
import json
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sambench.evsam.errors import SambenchError
from sambench.suites.scoring.bootstrap import at_once, draws, percentile_interval, turned_about


class Evidence(ABC):
    """What K numbers of a cell are made of."""

    kind: ClassVar[str]
    """Names the class in its file."""
    biased: ClassVar[bool] = False
    """Whether all the numbers, percent, are too high or too low of few images (`bootstrap.turned_about`)."""

    def is_biased(self, name: str) -> bool:
        """Tell whether a number is too high or too low of few images."""
        del name
        return self.biased

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The K metrics, as results call them."""

    @property
    @abstractmethod
    def image_ids(self) -> np.ndarray:
        """The I images, (I,) int64, rising."""

    @property
    def strata(self) -> np.ndarray:
        """The group of each image, (I,), within which it is drawn; one group where nothing else is said."""
        return np.zeros(len(self.image_ids), np.int64)

    @property
    @abstractmethod
    def instances(self) -> int:
        """Objects, or whatever else an image holds, in all."""

    @property
    def resamples_at_once(self) -> int:
        """How many draws `resampled` is given at once."""
        return at_once(len(self.image_ids))

    @abstractmethod
    def resampled(self, drawn: np.ndarray) -> np.ndarray:
        """Make the numbers of images drawn anew.

        Args:
            drawn: (R, I), how often each image was drawn.

        Returns:
            (R, K), each in its metric's unit; not a number where a draw has nothing to make it of.
        """

    @abstractmethod
    def shared(self, other: Self) -> Self:
        """Return this without what the other has not: its images, and where there are objects, those.

        Itself where the other has all, so that its `samples` are drawn once for many others.
        """

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that `from_arrays` needs."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Return what `arrays` was taken of."""

    def numbers(self) -> dict[str, float | None]:
        """Return the numbers of the images as they are; ``None`` where there is nothing to make one of."""
        return dict(self._numbers)

    @cached_property
    def _numbers(self) -> dict[str, float | None]:
        (row,) = self.resampled(np.ones((1, len(self.image_ids))))
        return {name: float(v) if math.isfinite(v) else None for name, v in zip(self.names, row, strict=True)}

    @cached_property
    def samples(self) -> np.ndarray:
        """The numbers of all draws, (`RESAMPLES`, K): kept, for a model is paired with many others."""
        blocks = draws(self.strata, self.resamples_at_once)
        return np.concatenate([self.resampled(drawn) for drawn in blocks])

    def intervals(self) -> dict[str, list[float]]:
        """Return the 95% interval of each number that there is; none of a single image."""
        if len(self.image_ids) < 2:
            return {}
        found = _intervals(self.samples, self.numbers(), self)
        return {
            name: [max(low, 0.0), min(high, 100.0)] if self.is_biased(name) else [low, high]
            for name, (low, high) in found.items()
        }


@dataclass(frozen=True)
class Paired:
    """Two models on the same images, objects and draws.

    Attributes:
        a: the first one's evidence, of what both have.
        b: the second one's.
    """

    a: Evidence
    b: Evidence

    @classmethod
    def of(cls, a: Evidence, b: Evidence) -> Self:
        """Bring two onto what both have.

        Raises:
            SambenchError: they are of two kinds, or have no image in common.
        """
        if type(a) is not type(b):
            raise SambenchError(f"numbers of {a.kind} cannot be subtracted from numbers of {b.kind}.")
        both = cls(a.shared(b), b.shared(a))
        if not len(both.a.image_ids):
            raise SambenchError("no image or object is in both.")
        return both

    @property
    def names(self) -> list[str]:
        """The metrics that both have."""
        return [name for name in self.a.names if name in self.b.names]

    @cached_property
    def _samples(self) -> np.ndarray:
        """Differences, b minus a, of (draws, names): the images are the same, so the draws are too."""
        ours, theirs = ([one.names.index(name) for name in self.names] for one in (self.a, self.b))
        return self.b.samples[:, theirs] - self.a.samples[:, ours]

    def intervals(self) -> dict[str, list[float]]:
        """Return the 95% interval of each difference, b minus a; none of a single image."""
        if len(self.a.image_ids) < 2:
            return {}
        return _intervals(self._samples, self.differences(), self.a)

    def differences(self) -> dict[str, float | None]:
        """Return b minus a; ``None`` where either has no number."""
        ours, theirs = self.a.numbers(), self.b.numbers()
        return {
            name: None if (a := ours[name]) is None or (b := theirs[name]) is None else b - a
            for name in self.names
        }

    def p_values(self) -> dict[str, float]:
        """Return for each difference how likely one as large is where the models do not differ; two-sided.

        From the normal distribution with the spread of the resampled differences: counting resamples beyond
        zero ends at one in 2,000, too coarse for a family of many pairs.
        """
        if len(self.a.image_ids) < 2:
            return {}
        found = {}
        for k, (name, difference) in enumerate(self.differences().items()):
            samples = self._samples[:, k]
            samples = samples[np.isfinite(samples)]
            if difference is None or not len(samples):
                continue
            spread = float(samples.std())
            if spread:
                found[name] = math.erfc(abs(difference) / spread / math.sqrt(2))
            else:
                found[name] = 0.0 if difference else 1.0
        return found


def _intervals(samples: np.ndarray, numbers: dict[str, float | None], of: Evidence) -> dict[str, list[float]]:
    """Return the interval of each number that there is, from its resamples (R, K)."""
    found = {}
    for k, (name, number) in enumerate(numbers.items()):
        ends = percentile_interval(samples[:, k])
        if number is not None and ends is not None:
            found[name] = turned_about(number, ends) if of.is_biased(name) else ends
    return found


def holm(p_values: list[float]) -> list[float]:
    """Adjust the p values of a family for how many they are (S. Holm, Scand. J. Statist. 6, 1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


_SAMPLES = "resampled"
"""In a file: `Evidence.samples`, which take minutes to draw where there are many images."""


def encode(evidence: Evidence) -> bytes:
    """Return a file of evidence: NumPy's ``.npz``, which holds arrays alone; same evidence, same bytes."""
    out = io.BytesIO()
    samples = {_SAMPLES: evidence.samples} if len(evidence.image_ids) > 1 else {}
    arrays = {"kind": np.array(evidence.kind), **evidence.arrays(), **samples}
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def load(file: Path) -> Evidence:
    """Read what `encode` wrote.

    Raises:
        SambenchError: the file is missing, damaged, or of a kind that this version does not know.
    """
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays = dict(content)
        kind, samples = str(arrays.pop("kind")), arrays.pop(_SAMPLES, None)
        found = _kinds()[kind].from_arrays(arrays)
        if samples is not None:
            vars(found)["samples"] = samples  # as if they had been drawn again
        return found
    except FileNotFoundError:
        raise SambenchError(f"{file}: no such file. Run the same command again; it only scores.") from None
    except Exception as error:  # numpy and zipfile raise whatever they stumble over
        raise SambenchError(
            f"{file}: cannot be read as evidence of numbers ({type(error).__name__}: {error}). Remove it and "
            "run the same command again; it only scores."
        ) from None


def _kinds() -> dict[str, type[Evidence]]:
    from sambench.suites.scoring.concepts import Concepts
    from sambench.suites.scoring.matches import Matches
    from sambench.suites.scoring.objects import Objects
    from sambench.suites.scoring.sets import Sets
    from sambench.suites.scoring.together import Together

    return {kind.kind: kind for kind in (Objects, Matches, Sets, Concepts, Together)}


def as_text(value: Any) -> np.ndarray:
    """Keep plain values, such as names, as an array of one JSON text."""
    return np.array(json.dumps(value))


def from_text(array: np.ndarray) -> Any:
    """Return what `as_text` kept."""
    return json.loads(str(array))
