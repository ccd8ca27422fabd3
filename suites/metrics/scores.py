"""What a suite computes from the records of a cell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scores:
    """What a suite computes from the records of a cell."""

    metrics: dict[str, float | None]
    """Percent; ``None`` where there was no object to average."""
    intervals: dict[str, list[float]]
    """[low, high] of the 95% interval, percent."""
    counts: dict[str, int]
    """Objects by size."""
