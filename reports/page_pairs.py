"""The paired differences of a page's models as lists that name models and metrics by their place."""

from __future__ import annotations

import math
from typing import Any

from sambench.reports.compare import Comparison
from sambench.reports.content import Content
from sambench.reports.differences import Difference
from sambench.reports.model import Column, Table
from sambench.reports.page_data import Names, short, trimmed

PAIR_FIELDS = (
    *("a", "b", "metric", "value_a", "value_b", "difference", "low", "high", "p", "p_holm"),
    *("better", "worse", "within", "n_images", "n_instances"),
)
"""What a difference's list has, in this order; what is empty at its end is left out."""


SPEEDS = {"img_s": "img/s", "prompts_s": "prompts/s"}
"""Of a throughput, what two models are compared by, and its heading."""


def compared_metrics(content: Content) -> list[str]:
    """Return the metrics of each suite's first table: of these the page has all paired differences."""
    there = {metric for entry in content.entries for metric in entry.cell.metrics}
    first = {(t.suite, t.on): t for s in reversed(content.sections) if (t := s.table).kind == "suite"}
    asked = [column.metric for table in first.values() for column in table.columns]
    return [name for name in dict.fromkeys([*asked, *SPEEDS]) if name in there]


def pairs_of(content: Content, comparison: Comparison) -> dict[str, Any]:
    """Return labels, metrics in the order of the tables, differences, and what was not subtracted."""
    labels, metrics = Names(), Names()
    shown = {
        (s.table.suite, s.table.dataset, column.metric): (s.table, column)
        for s in content.sections
        if s.table.kind == "suite" and not s.table.part
        for column in s.table.columns
    }
    ranks = {key: rank for rank, key in enumerate(shown)}
    rows = [row for row in comparison.rows if row.difference is not None]
    rows.sort(key=lambda row: ranks.get((row.suite, row.dataset, row.metric), len(ranks)))
    lists = [
        [labels.place(row.label_a), labels.place(row.label_b), *_fields(row, metrics, shown)] for row in rows
    ]
    refused = [
        [labels.place(one.label_a), labels.place(one.label_b), one.suite, one.dataset, one.reason]
        for one in comparison.refused
    ]
    return {
        "fields": PAIR_FIELDS,
        "labels": labels.texts,
        "metrics": metrics.texts,
        "rows": sorted(lists, key=lambda fields: fields[2]),  # what has much in common packs well
        "refused": refused,
    }


def _fields(
    row: Difference, metrics: Names, shown: dict[tuple[str, str, str], tuple[Table, Column]]
) -> list[Any]:
    """Return the rest of `PAIR_FIELDS`; of a metric what the tables say of it."""
    table, column = shown.get((row.suite, row.dataset, row.metric), (None, None))
    metric = {
        "suite": row.suite,
        "dataset": row.dataset,
        "protocol": row.protocol,
        "metric": row.metric,
        "title": table.title if table else row.suite.capitalize(),
        "heading": column.heading if column else SPEEDS.get(row.metric, row.metric),
        "digits": 1 + column.digits if column and column.digits is not None else 3,
    }
    low, high = row.interval or (None, None)
    fields = [
        metrics.place(metric, (row.suite, row.dataset, row.protocol, row.metric)),
        *(_rounded(number) for number in (row.a, row.b, row.difference, low, high)),
        *(short(p, 2) for p in (row.p, row.p_holm)),
        *(row.better, row.worse, row.within, row.n_images, row.n_instances),
    ]
    return trimmed(fields)


def _rounded(value: float | None) -> float | int | None:
    return None if value is None or not math.isfinite(value) else short(round(value, 3))
