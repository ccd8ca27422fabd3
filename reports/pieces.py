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
from sambench.reports import cells, speed
from sambench.reports.figures import Figure, draw_figures, model_colors, without_theme
from sambench.reports.report import check_extra
from sambench.reports.speed_figures import draw_speed
from sambench.reports.tables import build_tables

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
    entries = cells.read_runs(runs)
    speeds = [entry for entry in entries if entry.cell.suite == speed.SUITE]
    others = [entry for entry in entries if entry.cell.suite != speed.SUITE]
    tables, speed_tables = build_tables(others), speed.speed_tables(speeds)
    shown = [row.model for table in tables for row in table.done]
    colors = model_colors(shown + [row.model for fast in speed_tables for row in fast.done])
    found: dict[str, bytes] = {}
    for n, table in enumerate(tables, start=1):
        stem = _slug(f"{table.suite} {table.dataset}", found)
        found[f"tables/{stem}.csv"] = _csv(table.columns, table.rows)
        found |= _figures(stem, draw_figures(table, f"t{n}", colors))
    for n, fast in enumerate(speed_tables, start=1):
        stem = _slug(f"throughput {fast.title} {fast.device}", found)
        found[f"tables/{stem}.csv"] = _csv(fast.columns, fast.rows)
        found |= _figures(stem, draw_speed(fast, others, f"s{n}", colors))
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
