"""What happens in a run, told to whoever listens: progress, ``results.json``, trackers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sambench.suites.results import CellResult


class Listener:
    """Is told what happens; each method may be left as it is."""

    def run_started(self, cells: Sequence[CellResult]) -> None:
        """A command begins. The cells as they stand: finished by an earlier command, or ``unfinished``."""

    def group_started(self, title: str, images: int, done: int) -> None:
        """A model begins on a data set of so many images, of which an earlier command finished some."""

    def images_done(self, images: int) -> None:
        """So many more images of the group are evaluated; their shard may not be."""

    def shard_done(self, title: str, shard: int) -> None:
        """A shard of the group is on disk, for every cell that lacked it."""

    def noted(self, text: str) -> None:
        """Something happened that users should know, and that ends nothing."""

    def cells_so_far(self, cells: Sequence[CellResult]) -> None:
        """All cells as they stand in between: after a round of a throughput, which all of them share."""

    def cell_done(self, cell: CellResult) -> None:
        """A cell has its final state in this command, whatever that is."""

    def run_done(self, cells: Sequence[CellResult]) -> None:
        """A command ends with these cells."""


class Events:
    """Tells all listeners. One that fails does not fail the run: it is said once, and the others go on.

    Args:
        listeners: who is told, in this order.
        warn: is given the message of a listener that failed.
    """

    def __init__(self, listeners: Sequence[Listener], warn: Callable[[str], None]) -> None:
        self._listeners, self._warn = listeners, warn
        self._said: set[str] = set()

    def tell(self, event: Callable[..., None], *facts: Any) -> None:
        """Tell an event, such as ``Listener.cell_done``, with its arguments."""
        for listener in self._listeners:
            try:
                getattr(listener, event.__name__)(*facts)
            except Exception as error:
                text = f"{type(listener).__name__} failed, the run goes on: {error or type(error).__name__}"
                if text not in self._said:
                    self._said.add(text)
                    self._warn(text)
