"""What a folder has to say, in a tracker's terms: entries with parameters, numbers, tags and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["running", "finished", "failed", "killed"]


@dataclass(frozen=True)
class Point:
    """One number."""

    name: str
    value: float
    step: int = 0
    time: float | None = None
    """Seconds of `time.time`; ``None`` where it was not written down."""


@dataclass(frozen=True)
class Model:
    """Trained weights for a registry."""

    name: str
    sha256: str
    place: str
    """Their file's path in the run."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A command, one of its cells, or a training."""

    key: str
    """What it is, within its folder and for good."""
    name: str
    """For people."""
    parent: str | None = None
    """The key of the entry that it belongs under, which comes before it."""
    params: Mapping[str, str] = field(default_factory=dict)
    """What it was asked; never changes."""
    points: tuple[Point, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    """By their paths in a run."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Files that are made on the way, likewise."""
    status: Status = "finished"
    began: float | None = None
    """Seconds of `time.time`; ``None`` where nobody knows, ..."""
    ended: float | None = None
    """... and the time of sending counts."""
    model: Model | None = None
    grows: bool = False
    """Whether its numbers come one after the other, by steps; else one replaces an earlier one."""


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return what is nested as one level with dotted names, each value as text; nothing of what is empty."""
    found: dict[str, str] = {}
    for name, value in content.items():
        full = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{full}.")
        elif isinstance(value, list | tuple):
            if value:
                found[full] = ", ".join(map(str, value))
        elif value is not None and value != "":
            found[full] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def files_under(folder: Path, place: str) -> dict[str, Path]:
    """Return all finished files of a folder by their paths below ``place``."""
    found = {}
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            found[f"{place}/{path.relative_to(folder).as_posix()}"] = path
    return found
