"""What a tracker must be able to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from sambench.harness.tracking.content import Entry, Model, Point


class Tracker(ABC):
    """A place for results, made for one folder. What it does may be asked for twice, and is there once.

    Methods raise whatever their library raises: who calls them says that the place could not be reached.
    """

    name: ClassVar[str]
    where: str
    """Which place it is, to be read by people and written down: without secrets."""

    def reach(self) -> None:  # noqa: B027
        """See quickly whether the place answers at all, before anything else is asked of it."""

    @abstractmethod
    def find(self, identity: str) -> str | None:
        """Return the run that was created with this identity, if it is there."""

    @abstractmethod
    def exists(self, run: str) -> bool:
        """Tell whether a run is there that was created earlier."""

    @abstractmethod
    def create(self, entry: Entry, identity: str, began: float, parent: str | None) -> str:
        """Begin a run and return what it is called there.

        Args:
            entry: what it will hold, for its name.
            identity: by which it is found again, even if the answer to this call is lost.
            began: seconds of `time.time`.
            parent: the run that it belongs under.
        """

    @abstractmethod
    def describe(self, run: str, params: Mapping[str, str]) -> None:
        """Write down what a run was asked, which never changes."""

    @abstractmethod
    def log(self, run: str, points: Sequence[Point]) -> None:
        """Add numbers, each with its step and time."""

    @abstractmethod
    def tag(self, run: str, tags: Mapping[str, str]) -> None:
        """Set tags, in place of those of the same names."""

    @abstractmethod
    def upload(self, run: str, source: Path, place: str) -> None:
        """Put a file into a run, in place of one that is there.

        Args:
            run: which.
            source: the file.
            place: its path in the run.
        """

    @abstractmethod
    def end(self, run: str, status: str, ended: float) -> None:
        """Give a run its status: ``running``, ``finished``, ``failed`` or ``killed``."""

    @abstractmethod
    def register(self, run: str, model: Model) -> str:
        """Have a trained model in the registry, once by its checksum; return its version."""

    def close(self) -> None:  # noqa: B027
        """Finish what is still being written, where a place has such a thing."""
