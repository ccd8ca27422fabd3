"""What a worker is given and what it gives back: plain values, which travel to any process or machine.

A task is a shard of a group: one model on some images, for all suites that lack it. `harness.worker` does it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sambench.adapters.base import Weights
from sambench.adapters.loaded import Loaded
from sambench.adapters.spec import ModelSpec
from sambench.harness.provenance import Hardware
from sambench.suites.base import Setting, Suite
from sambench.suites.data.coco import Entry
from sambench.suites.data.ids import TextIds
from sambench.suites.failures import Failure
from sambench.suites.protocol import Protocol
from sambench.suites.registry import suite_class

FailedImage = dict[str, Any]
"""``image_id``, ``file_name`` and ``reason``."""


@dataclass(frozen=True)
class SuiteOn:
    """A suite on some data, by name; all models share it."""

    name: str
    setting: Setting

    def open(self) -> Suite:
        """Return the suite; the first time in a process it is made, and a detector's boxes are read."""
        return self._opened

    @functools.cached_property
    def _opened(self) -> Suite:
        return suite_class(self.name).on(self.setting)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel by the fields alone, without what is open."""
        return SuiteOn, (self.name, self.setting)


@dataclass(frozen=True)
class SuiteSpec:
    """A suite as one cell has it."""

    on: SuiteOn
    protocol: Protocol
    """Of the records: the axes that they do not depend on are as in no particular protocol."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Columns that say of each of its records which model and suite it is of, and on what data."""
    seed: str = ""
    """What random draws of its cell begin with."""
    ids: TextIds = field(default_factory=dict)
    """What its records have in place of numbers inside."""

    @property
    def name(self) -> str:
        """The suite's."""
        return self.on.name


@dataclass(frozen=True)
class Work:
    """What a worker is opened with."""

    model: ModelSpec
    suites: tuple[SuiteSpec, ...]
    batch_size: int
    """Images an encoder call."""
    weights: Weights | None = None
    """What the model must be created with, and ..."""
    loaded: Loaded = field(default_factory=Loaded)
    """... made of: what the plan found."""
    apart: bool = False
    """Whether the model needs a process that no other model shares (`executors.alone`)."""
    threads: int | None = None
    """Into how many torch cuts its work on the CPU, which decides how it rounds: as in the process that
    planned, whoever does the work; ``None`` leaves it as it is."""
    max_failures: int = 0
    """Images of a suite that the model may fail on before the suite ends."""


@dataclass(frozen=True)
class Task:
    """One shard."""

    shard: int
    entries: tuple[Entry, ...]
    """Its images."""
    suites: tuple[int, ...]
    """Which of the worker's suites lack it."""
    begun: Mapping[int, bytes] = field(default_factory=dict)
    """By suite, what an earlier `Progress` has of it."""


@dataclass(frozen=True)
class Opened:
    """The worker is ready, or says why it is not."""

    hardware: Hardware | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the process, once the model is created."""
    refusals: dict[int, Failure] = field(default_factory=dict)
    """Suites that the model cannot take part in."""
    failure: Failure | None = None


@dataclass(frozen=True)
class Evaluated:
    """So many more images have been evaluated."""

    images: int


@dataclass(frozen=True)
class Noted:
    """Something that users should know, though it ends nothing."""

    text: str


@dataclass(frozen=True)
class Progress:
    """What there is of a task that takes long."""

    shard: int
    files: dict[int, bytes]
    """By suite, for `Task.begun`."""


@dataclass(frozen=True)
class Outcome:
    """What became of a task."""

    shard: int
    images: int
    files: dict[int, bytes]
    """By suite, a Parquet file; none of a suite that failed."""
    failures: dict[int, Failure]
    seconds: dict[str, float]
    """By stage, of what the suites share."""
    own_seconds: dict[int, dict[str, float]]
    """By suite and stage."""
    inputs: tuple[str, ...] = ()
    """Types and shapes that images were prepared to, such as ``float32 [3, 1024, 1024]``, in order."""
    failed: dict[int, list[FailedImage]] = field(default_factory=dict)
    """By suite, images that the model failed on, which its file names too."""
    reduced: dict[str, int] = field(default_factory=dict)
    """What lack of memory has brought down by now: ``batch_size``, ``prompt_batch``, ``phrase_batch``."""


Message = Opened | Evaluated | Noted | Progress | Outcome
