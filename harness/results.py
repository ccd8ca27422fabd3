"""``results.json``: what a run says of its cells, written whole whenever one of them changes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sambench.harness.events import Listener
from sambench.suites.files import locked, remove_leftovers, write_atomic
from sambench.suites.results import SCHEMA, CellResult, load_results


class ResultsFile(Listener):
    """Keeps the file of a run's folder up to date.

    Attributes:
        error: why the last writing failed, or ``None``: then the file says all that is known.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.error: Exception | None = None
        self._cells: dict[tuple[Any, ...], CellResult] = {}

    def run_started(self, cells: Sequence[CellResult]) -> None:
        """Write what an earlier command left, but for what it left half written."""
        remove_leftovers(self.out)
        self._write(cells)

    def cells_so_far(self, cells: Sequence[CellResult]) -> None:
        """Write what is known by now."""
        self._write(cells)

    def cell_done(self, cell: CellResult) -> None:
        """Write the cell in its place, unless that is what stands there."""
        if self.error is not None or self._cells.get(_identity(cell)) != cell:
            self._write([cell])

    def run_done(self, cells: Sequence[CellResult]) -> None:
        """Write all, where an earlier writing failed."""
        if self.error is not None:
            self._write(cells)

    def _write(self, cells: Sequence[CellResult]) -> None:
        self._cells |= {_identity(cell): cell for cell in cells}
        try:
            write_results(self.out, list(self._cells.values()))
        except Exception as error:
            self.error = error
            raise
        self.error = None


def write_results(out: Path, cells: Sequence[CellResult]) -> None:
    """Write ``results.json``: these cells, and those of other commands in the same folder.

    Raises:
        SambenchError: it cannot be written, or the one that is there is none.
    """
    file = out / "results.json"
    with locked(file):  # another command may add its own between reading and writing
        before = {_identity(c): c for c in load_results(file)} if file.exists() else {}
        now = [_with_past(cell, before.pop(_identity(cell), None)) for cell in cells]
        every = (*before.values(), *now)
        about = {cell.suite: cell.about.to_json() for cell in every if cell.about is not None}
        content = {"schema": SCHEMA, "suites": about, "cells": [cell.to_json() for cell in every]}
        write_atomic(file, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def _with_past(cell: CellResult, earlier: CellResult | None) -> CellResult:
    """Keep what an earlier command said of computing the same records, where this one computed nothing."""
    if earlier is None or cell.timing or earlier.records != cell.records:
        return cell
    hardware = earlier.provenance.get("hardware")
    provenance = cell.provenance | ({"hardware": hardware} if hardware else {})
    return dataclasses.replace(cell, timing=earlier.timing, provenance=provenance)


def _identity(cell: CellResult) -> tuple[Any, ...]:
    """What makes a later result replace an earlier one: the same question, answered anew."""
    partial = tuple(sorted((cell.partial or {}).items()))
    protocol = json.dumps(cell.protocol, sort_keys=True)
    return (cell.model, cell.engine, cell.precision, cell.device, cell.suite, cell.dataset, protocol, partial)
