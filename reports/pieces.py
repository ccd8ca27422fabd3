"""The tables and figures of a report as files of their own, for those who keep them elsewhere."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from sambench.adapters.extras import MissingExtraError
from sambench.reports import cells
from sambench.reports.figures import Figure, without_theme
from sambench.reports.report import check_extra, draw_tables, split
from sambench.reports.speed import SpeedTable
from sambench.reports.tables import Table

LONGEST = 100
"""Letters of a table's name in the names of its files."""


def pieces(runs: Sequence[Path]) -> dict[str, bytes]:
    """Return ``tables/*.csv`` and ``figures/*.svg`` of one or several runs, by path.

    Nothing where the extra ``report`` is not installed.

    Raises:
        SambenchError: a run cannot be read.
    """
    try:
        check_extra()
    except MissingExtraError:
        return {}
    sections, speeds = draw_tables(*split(cells.read_runs(runs)))
    drawn: list[tuple[str, Table | SpeedTable, list[Figure]]] = []
    drawn += [(f"{table.suite} {table.dataset}", table, figures) for table, figures in sections]
    drawn += [(f"throughput {table.title} {table.device}", table, figures) for table, figures in speeds]
    found: dict[str, bytes] = {}
    for name, table, figures in drawn:
        stem = _slug(name, found)
        found[f"tables/{stem}.csv"] = _csv(table.columns, table.rows)
        found |= _figures(stem, figures)
    return found


def _slug(text: str, taken: Collection[str]) -> str:
    """Return a name for a table's files which no other has, though it had the same letters."""
    slug = re.sub(r"[^a-z0-9_.]+", "-", text.lower())[:LONGEST].strip("-.")
    names = itertools.chain([slug], (f"{slug}-{n}" for n in itertools.count(2)))
    return next(name for name in names if f"tables/{name}.csv" not in taken)


def _figures(stem: str, figures: Sequence[Figure]) -> dict[str, bytes]:
    return {
        f"figures/{stem}-{n}.svg": without_theme(figure.svg).encode()
        for n, figure in enumerate(figures, start=1)
        if figure.svg
    }


def _csv(columns: Sequence[Any], rows: Sequence[Any]) -> bytes:
    """Write a table's rows: who, and of every number its interval and the published one.

    Args:
        columns: of `reports.tables` or `reports.speed`, which have a ``metric`` each.
        rows: likewise, with their ``values`` in the order of the columns.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = ("", "_low", "_high", "_published")
    names = [f"{column.metric}{part}" for column in columns for part in parts]
    writer.writerow(["model", "said", "status", "reason", *names])
    for row in rows:
        status = row.status or ("done" if row.entry else "published")
        numbers = [
            number
            for value in row.values
            for number in (value.measured, *(value.interval or (None, None)), value.published)
        ]
        writer.writerow([row.model, "; ".join(row.said), status, row.reason, *numbers])
    return out.getvalue().encode()
