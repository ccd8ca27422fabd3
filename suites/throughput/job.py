"""What one process is asked to measure, as plain values that travel as JSON."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sambench.adapters.spec import ModelSpec
from sambench.evsam.errors import SambenchError
from sambench.suites.data.locate import Match
from sambench.suites.data.pictures.settings import Masks

MODES = ("pipelined", "serial", "compute")
"""How transfers are counted; `suites.throughput.timing` says what each means."""

Kind = Literal["encoder", "decoder", "end_to_end", "application"]

_KINDS: dict[str, Kind] = {"E": "encoder", "E2E": "end_to_end", "APP": "application"}

SCOPES = ("E", "D1", "D16", "D64", "E2E", "APP")
"""The scopes of the protocol; D goes with any number of prompts."""

INPUT_IMAGES = 64
"""Real images in rotation (protocol 4.3.3)."""

FEWEST_BATCHES = 8
"""Distinct batches in rotation (protocol 4.3.3)."""


@dataclass(frozen=True)
class Scope:
    """A stretch of work that is timed."""

    name: str
    kind: Kind
    prompts: int
    """Prompts an image; none for the encoder."""

    def takes(self, mode: str) -> bool:
        """Tell whether a mode means something: an application without its input and output is E2E."""
        return not (self.kind == "application" and mode == "compute")

    @property
    def batched(self) -> bool:
        """Whether it works on several images at once; the decoder's prompts share one."""
        return self.kind != "decoder"


def parse_scope(text: str) -> Scope:
    """Read ``E``, ``D<prompts>``, ``E2E`` or ``APP``.

    Raises:
        SambenchError: it is none of them.
    """
    name = text.strip().upper()
    if name in _KINDS:
        return Scope(name, _KINDS[name], 0 if name == "E" else 1)
    if found := re.fullmatch(r"D([1-9]\d{0,3})", name):
        return Scope(name, "decoder", int(found[1]))
    raise SambenchError(f"scope {text!r}: say {', '.join(SCOPES)}, or D with another number of prompts.")


@dataclass(frozen=True)
class Rule:
    """When a measurement begins and ends, how often it is repeated, and what must hold before it."""

    preset: str
    warmup_s: float
    """Warm up at least so long,"""
    warmup_window: int
    """and until the median of the last so many batches"""
    warmup_tolerance: float
    """differs from that of as many before by no more than this share;"""
    warmup_limit_s: float
    """give up waiting for that after so long, and say so."""
    min_batches: int
    """Measure at least so many batches,"""
    min_seconds: float
    """and at least so long."""
    rounds: int
    """Fresh processes a measurement."""
    gate_images: int
    """Images whose masks must be right before any speed is measured."""


PAPER = Rule("paper", 3.0, 50, 0.01, 120.0, 200, 60.0, rounds=5, gate_images=200)
"""The protocol's own numbers (4.3.5 to 4.3.7); the warm-up's limit is ours, for the protocol has none."""

QUICK = {
    "cpu": Rule("quick", 0.5, 2, 0.1, 8.0, 3, 2.0, rounds=3, gate_images=8),
    "cuda": Rule("quick", 1.0, 10, 0.02, 15.0, 50, 3.0, rounds=3, gate_images=32),
}
"""Smaller limits, which every result states."""


@dataclass(frozen=True)
class Job:
    """Everything a process must know."""

    kind: Literal["measure", "gate", "device"]
    """Time a scope; compare masks with the reference; or name the device."""
    model: ModelSpec
    """Of a job that names the device, the device alone counts."""
    scope: str = "E"
    modes: tuple[str, ...] = ()
    batch: int = 1
    batches: tuple[int, ...] = ()
    """Of a comparison of masks: the batch sizes that are to be timed, and of which it says what stands
    against them."""
    rule: Rule = PAPER
    images: str = ""
    annotations: str = ""
    """The JSON file, or the masks' folder."""
    masks: dict[str, Any] | None = None
    """How mask pictures are read (`Masks.facts`), where they stand in place of annotations."""
    match: Match = "name"
    seed: int = 0
    audit: bool = False
    """Measure once more with one batch over and over, to see whether anything remembers its input."""

    @property
    def annotated(self) -> Path | Masks:
        """The annotation file, or mask pictures in its place."""
        file = Path(self.annotations)
        return file if self.masks is None else Masks.of(file, self.masks)

    def to_json(self) -> dict[str, Any]:
        """Return the job as a plain dictionary."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return found | {"model": self.model.to_json(), "rule": dataclasses.asdict(self.rule)}


def from_json(content: Mapping[str, Any]) -> Job:
    """Return the job that `Job.to_json` wrote."""
    model, rule = ModelSpec.from_json(content["model"]), Rule(**content["rule"])
    lists = {name: tuple(content[name]) for name in ("modes", "batches")}
    return Job(**{**content, "model": model, "rule": rule, **lists})
