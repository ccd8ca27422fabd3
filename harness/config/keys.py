"""The keys of a configuration file, which are the flags' names: one table for all commands.

A key that takes several values has two spellings, ``model: a`` and ``models: [a, b]``; both are flags too. A
file may serve several commands: each reads the keys that are its own, and says which of the others it left.
"""

from __future__ import annotations

from dataclasses import dataclass

from sambench.evsam.errors import SambenchError, did_you_mean

RUN, THROUGHPUT, EXPORT = "run", "throughput", "export"


@dataclass(frozen=True)
class Key:
    """One key."""

    name: str
    commands: tuple[str, ...]
    """That read it."""
    several: str = ""
    """Its plural, where there may be several values."""


KEYS = (
    Key("model", (RUN, THROUGHPUT, EXPORT), "models"),
    Key("adapter", (RUN, THROUGHPUT, EXPORT), "adapters"),
    Key("weights", (RUN, THROUGHPUT, EXPORT)),
    Key("suite", (RUN,), "suites"),
    Key("dataset", (RUN, THROUGHPUT), "datasets"),
    Key("images", (RUN, THROUGHPUT)),
    Key("annotations", (RUN, THROUGHPUT)),
    Key("annotators", (RUN,)),
    Key("match", (RUN, THROUGHPUT)),
    Key("detections", (RUN,)),
    Key("protocol", (RUN,)),
    Key("evaluator", (RUN,)),
    Key("device", (RUN, THROUGHPUT, EXPORT)),
    Key("engine", (RUN, THROUGHPUT), "engines"),
    Key("precision", (RUN, THROUGHPUT, EXPORT), "precisions"),
    Key("batch_size", (RUN, THROUGHPUT, EXPORT), "batch_sizes"),
    Key("executor", (RUN,)),
    Key("workers", (RUN,)),
    Key("threads", (RUN,)),
    Key("address", (RUN,)),
    Key("max_failures", (RUN,)),
    Key("limit", (RUN,)),
    Key("seed", (RUN, THROUGHPUT)),
    Key("scope", (THROUGHPUT,), "scopes"),
    Key("mode", (THROUGHPUT,), "modes"),
    Key("preset", (THROUGHPUT,)),
    Key("rounds", (THROUGHPUT,)),
    Key("seconds", (THROUGHPUT,)),
    Key("min_batches", (THROUGHPUT,)),
    Key("audit", (THROUGHPUT,)),
    Key("timeout", (THROUGHPUT,)),
    Key("format", (EXPORT,)),
    Key("masks", (EXPORT,)),
    Key("parts", (EXPORT,)),
    Key("force", (EXPORT,)),
    Key("track", (RUN, THROUGHPUT)),
    Key("out", (RUN, THROUGHPUT, EXPORT)),
)

BY_SPELLING = {spelling: key for key in KEYS for spelling in (key.name, key.several) if spelling}


def split(text: str) -> list[str]:
    """Cut several values that are written as text, at commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def find(spelling: str, where: str, command: str) -> Key:
    """Return the key of a spelling.

    Raises:
        SambenchError: there is none.
    """
    if spelling in BY_SPELLING:
        return BY_SPELLING[spelling]
    own = {s: key.several or key.name for s, key in BY_SPELLING.items() if command in key.commands}
    near = did_you_mean(spelling, own) or did_you_mean(spelling, BY_SPELLING)
    raise SambenchError(
        f"{where}: no key {spelling!r}.{near} 'sambench {command}' reads "
        f"{', '.join(dict.fromkeys(own.values()))}."
    )
