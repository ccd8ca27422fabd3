"""A table as CSV: of every number its interval and bound, the published one, difference and verdict."""

from __future__ import annotations

import csv
import io

from sambench.reports.model import Table, Value

PARTS = ("", "_low", "_high", "_bound", "_published", "_difference", "_verdict", "_why")
"""What follows a metric's name in the head of its columns."""


def render(table: Table) -> str:
    """Return the table, unrounded: a row a model, `PARTS` of each number.

    Columns are named by metric; where two have the same, by group too.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [f"{name}{part}" for name in column_names(table) for part in PARTS]
    writer.writerow(["model", "name", "said", "status", "reason", "notes", *names])
    for row in table.rows:
        status = row.status or ("done" if row.measured else "published")
        notes = " ".join(table.notes[number - 1] for number in row.notes)
        fields = [field for value in row.values for field in _fields(value)]
        writer.writerow([row.model, row.name, "; ".join(row.said), status, row.reason, notes, *fields])
    return out.getvalue()


def column_names(table: Table) -> list[str]:
    """Name each column by its metric, and by its group before that where the metric is there twice."""
    metrics = [column.metric for column in table.columns]
    return [
        column.metric
        if metrics.count(column.metric) == 1
        else f"{column.group.lower().replace(' ', '_')}_{column.metric}"
        for column in table.columns
    ]


def _fields(value: Value) -> list[object]:
    low, high = value.interval or (None, None)
    return [value.measured, low, high, value.bound, value.published, value.delta, value.verdict, value.why]
