"""One published number, and in what two of them differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NOT_STATED = "not stated"


@dataclass(frozen=True)
class Claim:
    """What a source says of one model: a number, and as far as it says, how that was made."""

    source: str
    """The file's name without its ending, as ``--source`` takes it."""
    table: str
    """As the source names it."""
    model: str
    """As sambench names it; models that it has not are named in the same manner."""
    called: str
    """The model's name within the source."""
    suite: str
    dataset: str
    """With boxes of a detector ``dataset/detector``; empty of what depends on no data, such as a speed."""
    metric: str
    value: float
    unit: str
    prompt: str
    """Who made the prompts; empty where there are none."""
    protocol: Mapping[str, str] = field(hash=False)
    """Axis to value, of all that the source says."""
    not_stated: tuple[str, ...]
    """The axes that matter and of which the source says nothing."""
    hardware: str | None
    engine: str | None
    precision: str | None
    batch: int | None
    url: str
    note: str

    @property
    def question(self) -> tuple[str, str, str, str]:
        """Model, suite, data and metric: two claims of one question can stand side by side."""
        return self.model, self.suite, base(self.dataset), self.metric

    @property
    def made(self) -> dict[str, str]:
        """How it was made: prompts, protocol and machine, as far as stated."""
        machine = {
            "hardware": self.hardware,
            "engine": self.engine,
            "precision": self.precision,
            "batch": None if self.batch is None else str(self.batch),
        }
        stated = {"prompt": self.prompt, **self.protocol, **machine}
        return {axis: value for axis, value in stated.items() if value}


def base(dataset: str) -> str:
    """Return a data set's name without the detector."""
    return dataset.partition("/")[0]


def differing(claims: list[Claim]) -> list[str]:
    """Return in which respects some claims differ. What only some of them state is a difference too."""
    made = [claim.made for claim in claims]
    axes = dict.fromkeys(axis for one in made for axis in one)
    return [axis for axis in axes if len({one.get(axis) for one in made}) > 1]


def differs(a: Claim, b: Claim) -> list[str]:
    """Return in what two claims differ, as ``axis: of a / of b``; empty where nothing stated differs."""
    first, second = a.made, b.made
    return [
        f"{axis}: {first.get(axis, NOT_STATED)} / {second.get(axis, NOT_STATED)}"
        for axis in differing([a, b])
    ]
