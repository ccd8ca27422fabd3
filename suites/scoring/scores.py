"""What a suite computes from the records of a cell, and what its numbers are called."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sambench.suites.scoring.evidence import Evidence


@dataclass(frozen=True)
class Scores:
    """What a suite computes from the records of a cell."""

    metrics: dict[str, float | None]
    """By name, in the unit that its `Metric` says; ``None`` where there was nothing to average."""
    intervals: dict[str, list[float]]
    """[low, high] of the 95% interval, in the same unit."""
    counts: dict[str, int]
    """Objects by size, or whatever else a suite counts."""
    evaluator: str | None = None
    """Which library computed it, where it is average precision; several, joined by a comma, by alphabet."""
    note: str | None = None
    """What a reader must know of the numbers, such as why another library computed than was asked for."""
    evidence: Evidence | None = dataclasses.field(default=None, compare=False)
    """What the numbers are made of, by which two models are compared; ``None`` where a suite has none."""


@dataclass(frozen=True)
class Metric:
    """One number that a suite computes, as tables show it."""

    name: str
    """As results have it."""
    title: str
    unit: str = "percent"
    higher_is_better: bool | None = True
    """``None`` where more is neither better nor worse."""
    group: str = ""
    """The heading that it shares with its neighbours, if any."""
    optional: bool = False
    """Left out where no row has it, as the rare categories outside of LVIS."""
    brief: bool = False
    """Whether a terminal shows it, which has not room for all."""
    part: str = ""
    """The title of the table of its own in which it stands, beside the suite's; empty for that one."""

    @property
    def full_title(self) -> str:
        """Its title with those of its table and group, where it stands alone."""
        return ", ".join(filter(None, (self.part, self.group, self.title)))


@dataclass(frozen=True)
class About:
    """What results say of a suite, so that its tables can be made without it."""

    title: str
    metrics: tuple[Metric, ...]
    """In the order of tables."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return what `to_json` described; keys that a later version may add are passed over.

        Raises:
            KeyError: a title, the metrics, or a metric's name or title is missing.
            TypeError: it is something else.
        """
        known = [field.name for field in dataclasses.fields(Metric)]
        metrics = [{key: metric[key] for key in known if key in metric} for metric in content["metrics"]]
        return cls(content["title"], tuple(Metric(**metric) for metric in metrics))
