"""What of a folder a tracker has already: ``OUT/tracking/NAME.json``, written after every step of a push."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from sambench.adapters.files import write_atomic
from sambench.evsam.errors import SambenchError

FOLDER = "tracking"
"""In a run's folder."""


def path_of(out: Path, tracker: str) -> Path:
    """Return where a folder's ledger for a tracker is."""
    return out / FOLDER / f"{tracker}.json"


@dataclass
class Sent:
    """What a tracker has of one entry."""

    began: float
    """Seconds of `time.time`, when it was first to be sent: written down before that, so that what is sent
    again has the same times."""
    run: str | None = None
    """What it is called there."""
    points: dict[str, tuple[int, float]] = field(default_factory=dict)
    """The last step and value of each of its numbers."""
    logging: str = ""
    """Digest of numbers that are being sent, and ..."""
    logged: float = 0.0
    """... the time that they have where they bring none: should they be sent again, it is the same."""
    tags: str = ""
    """Digest."""
    files: dict[str, str] = field(default_factory=dict)
    """Path in the run to the digest of a text, or size and time of a file."""
    status: str = ""
    version: str = ""
    """Of its model in the registry."""


@dataclass
class Place:
    """What one place has of a folder."""

    entries: dict[str, Sent] = field(default_factory=dict)
    """By their keys."""


@dataclass
class Ledger:
    """All places that one tracker sent a folder to.

    Attributes:
        path: the file.
        id: the folder's name for itself, which goes with it where it is moved.
    """

    path: Path
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    places: dict[str, Place] = field(default_factory=dict)

    @classmethod
    def open(cls, out: Path, tracker: str) -> Ledger:
        """Read a folder's ledger, or begin it.

        Raises:
            SambenchError: it is damaged.
        """
        path = path_of(out, tracker)
        if not path.exists():
            return cls(path)
        try:
            return msgspec.convert(json.loads(path.read_text()) | {"path": path}, cls)
        except (OSError, ValueError, TypeError) as error:
            raise SambenchError(
                f"{path}: damaged ({error}). Remove it, and everything is sent again, as runs of their own."
            ) from None

    def identity(self, key: str) -> str:
        """Return what an entry is called for good, wherever it is sent."""
        return uuid.uuid5(uuid.UUID(self.id), key).hex

    def save(self) -> None:
        """Write it.

        Raises:
            SambenchError: it cannot be written.
        """
        content = {"id": self.id, "places": {where: asdict(place) for where, place in self.places.items()}}
        write_atomic(self.path, (json.dumps(content, indent=1) + "\n").encode())
