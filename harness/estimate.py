"""How long a plan will take, from what earlier commands in the same folder needed an image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sambench.harness.key import Key
from sambench.harness.plan import Group, Plan
from sambench.harness.store import CellStore
from sambench.harness.times import in_words

SAME = ("model", "engine", "precision", "device", "batch_size")
"""What of a key a speed depends on, beside the suite."""


@dataclass
class _Spent:
    """Seconds, and images that they were spent on."""

    seconds: float = 0.0
    images: int = 0

    def add(self, stages: dict[str, float], images: int) -> None:
        self.seconds += sum(stages.values())
        self.images += images

    def times(self, images: int) -> float:
        return images * self.seconds / self.images


@dataclass
class Estimate:
    """Seconds an image, by model and by suite, as the records of a run's folder tell."""

    shared: dict[tuple[Any, ...], _Spent] = field(default_factory=dict)
    """By model: reading, encoding, writing."""
    own: dict[tuple[Any, ...], _Spent] = field(default_factory=dict)
    """By model and suite: prompts, decoding, scoring an object."""

    def of(self, group: Group) -> float | None:
        """Return the seconds that a group still needs; ``None`` where a model or suite was never run here."""
        total, longest = 0.0, 0
        for cell in group.cells:
            left = 0 if cell.is_settled else _left(group, cell.store)
            own = self.own.get((*_who(cell.key), cell.suite.name))
            if left and own is None:
                return None
            if left and own is not None:
                total += own.times(left)
            longest = max(longest, left)
        if not longest:
            return 0.0
        shared = self.shared.get(_who(group.cells[0].key))
        return None if shared is None else total + shared.times(longest)


def estimate(plan: Plan) -> Estimate:
    """Read what the commands that wrote into a run's folder spent."""
    found = Estimate()
    for key, sessions in _known(plan.config.out / "records"):
        who = _who(key)
        for session in sessions:
            found.shared.setdefault(who, _Spent()).add(session["shared_s"], session["images"])
            own = found.own.setdefault((*who, key["suite"]), _Spent())
            own.add(session["own_s"], session["images"])
    return found


def _known(records: Path) -> Iterator[tuple[Key, list[dict[str, Any]]]]:
    for file in sorted(records.glob("*/_cell.json")):
        sessions = [s for s in CellStore(file.parent, 0).sessions() if s.get("images")]
        if sessions:
            yield json.loads(file.read_bytes()), sessions


def _who(key: Key) -> tuple[Any, ...]:
    return tuple(key[part] for part in SAME)


def _left(group: Group, store: CellStore) -> int:
    shards = group.data.shards()
    return sum(shards.images(i) for i in range(len(shards)) if not store.has(i))


def times_left(plan: Plan, *, unknown: bool) -> list[str]:
    """Say of each group with work left about how long it takes, and of all together where that is known.

    Args:
        plan: what to do.
        unknown: whether to name those too of which that is not known.
    """
    known = estimate(plan)
    lines, groups, total = [], 0, 0.0
    for group in plan.groups:
        if group.variant.reason is not None or all(cell.is_settled for cell in group.cells):
            continue
        seconds = known.of(group)
        seconds = None if seconds is None else seconds / plan.config.workers
        told = "not known before its first images" if seconds is None else f"about {in_words(seconds)}"
        if seconds is not None or unknown:
            lines.append(f"{group.title}: {told}")
        groups += 1
        total += math.nan if seconds is None else seconds
    if groups > 1 and not math.isnan(total):
        lines.append(f"all together: about {in_words(total)}")
    return lines
