"""``results.json``: what a run says of its cells, written whole whenever one of them changes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sambench.adapters.files import locked, remove_leftovers, write_atomic
from sambench.harness.events import Listener
from sambench.harness.secrets import without_secrets
from sambench.suites.results import SCHEMA, CellResult, load_results


class ResultsFile(Listener):
    """Keeps the file of a run's folder up to date.

    Attributes:
        error: why the last writing failed, or ``None``: then the file says all that is known.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.error: Exception | None = None
        self._cells: list[CellResult] = []

    def run_started(self, cells: Sequence[CellResult]) -> None:
        """Write what an earlier command left, but for what it left half written."""
        remove_leftovers(self.out)
        self._write(cells)

    def cells_so_far(self, cells: Sequence[CellResult]) -> None:
        """Write what is known by now."""
        self._write(cells)

    def cell_done(self, cell: CellResult) -> None:
        """Write the cell in its place, unless that is what stands there."""
        if self.error is not None or cell not in self._cells:
            self._write([cell])

    def run_done(self, cells: Sequence[CellResult]) -> None:
        """Write all, where an earlier writing failed."""
        if self.error is not None:
            self._write(cells)

    def _write(self, cells: Sequence[CellResult]) -> None:
        self._cells = _merged(self._cells, cells)
        try:
            write_results(self.out, self._cells)
        except Exception as error:
            self.error = error
            raise
        self.error = None


def write_results(out: Path, cells: Sequence[CellResult]) -> None:
    """Write ``results.json``: these cells, and those of other commands in the same folder.

    Two checkpoints of a model are two cells.

    Raises:
        SambenchError: it cannot be written, or the one that is there is none.
    """
    file = out / "results.json"
    with locked(file):  # another command may add its own between reading and writing
        merged = _merged(load_results(file) if file.exists() else [], cells)
        every = [*(cell for cell in merged if cell not in cells), *cells]
        write_atomic(file, encoded(every))


def encoded(cells: Sequence[CellResult]) -> bytes:
    """Return a file of results that has these cells."""
    about = {cell.suite: cell.about.to_json() for cell in cells if cell.about is not None}
    content = {"schema": SCHEMA, "suites": about, "cells": [cell.to_json() for cell in cells]}
    return (json.dumps(without_secrets(content), indent=1, allow_nan=False) + "\n").encode()


def folded(
    theirs: Iterable[CellResult], before: Sequence[CellResult], mine: Iterable[CellResult]
) -> list[CellResult]:
    """Put together what two machines made of the same results.

    Args:
        theirs: as they are now, elsewhere.
        before: as both were when they last were the same.
        mine: as they are now, here.
    """
    return _merged(theirs, [cell for cell in mine if cell not in before])


def _merged(before: Iterable[CellResult], now: Sequence[CellResult]) -> list[CellResult]:
    """Put cells in the places of those that they answer anew, and the others behind.

    One whose weights were not known gives way to whatever is said next of its question.
    """
    new, asked = {identity(cell): cell for cell in now}, {question(cell): identity(cell) for cell in now}
    places = {}
    for cell in before:
        unknown = not cell.provenance.get("weights")
        places[asked.get(question(cell), identity(cell)) if unknown else identity(cell)] = cell
    return list((places | new).values())


def identity(cell: CellResult) -> tuple[Any, ...]:
    """What makes a later result replace an earlier one: the same question, answered anew."""
    weights = cell.provenance.get("weights") or {}
    return *question(cell), *(weights.get(part) for part in ("source", "sha256", "seed"))


def question(cell: CellResult) -> tuple[Any, ...]:
    """What was asked, of whatever weights."""
    partial = tuple(sorted((cell.partial or {}).items()))
    protocol = json.dumps(cell.protocol, sort_keys=True)
    return (cell.model, cell.engine, cell.precision, cell.device, cell.suite, cell.dataset, protocol, partial)
