"""What a worker says of itself and has spent, cell by cell, as it is kept beside the records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sambench.harness.store import CellStore
from sambench.harness.work import Opened, Outcome


@dataclass
class Account:
    """One worker's, of one group."""

    name: str
    """Of its files."""
    facts: dict[str, Any]
    """What it says of all cells: where and how it computes."""
    shared: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds by stage of what the suites share: waiting for data, encoding, writing."""
    own: dict[int, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    """Seconds by cell and stage."""
    images: Counter[int] = field(default_factory=Counter)
    """By cell."""
    inputs: set[str] = field(default_factory=set)
    """Types and shapes that images were prepared to."""
    reduced: dict[str, int] = field(default_factory=dict)
    """What lack of memory brought down."""

    @classmethod
    def of(cls, opened: Opened, name: str, about: Mapping[str, Any]) -> Account:
        """Open it with what the worker says of itself, and what is so of the whole command."""
        computes = {
            "hardware": opened.hardware and asdict(opened.hardware),
            "settings": dict(opened.settings),
        }
        return cls(name, dict(about) | computes)

    def take(self, outcome: Outcome, stores: Mapping[int, CellStore], writing: float) -> None:
        """Count what a shard took, and keep it beside the records of its cells.

        Args:
            outcome: of the shard.
            stores: of the cells, by number.
            writing: seconds that its files took to be written.
        """
        _add(self.shared, outcome.seconds | {"write": outcome.seconds.get("write", 0.0) + writing})
        self.inputs.update(outcome.inputs)
        self.reduced.update(outcome.reduced)
        for i, seconds in outcome.own_seconds.items():
            _add(self.own[i], seconds)
            self.images[i] += outcome.images
            stores[i].keep_session(self.name, self.facts | self._spent(i))

    def _spent(self, i: int) -> dict[str, Any]:
        reduced = {"reduced": self.reduced} if self.reduced else {}
        return {
            "images": self.images[i],
            "shared_s": dict(self.shared),
            "own_s": dict(self.own[i]),
            "inputs": sorted(self.inputs),
            **reduced,
        }


def _add(total: dict[str, float], seconds: Mapping[str, float]) -> None:
    for stage, spent in seconds.items():
        total[stage] += spent
