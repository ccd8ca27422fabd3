"""The paired differences of a page's models as lists that name models and metrics by their place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sambench.reports.content import Content
from sambench.reports.page_data import Names, short, trimmed

if TYPE_CHECKING:
    from sambench.reports.compare import Comparison
    from sambench.reports.differences import Difference

PAIR_FIELDS = (
    *("a", "b", "metric", "value_a", "value_b", "difference", "low", "high", "p", "p_holm"),
    *("better", "worse", "within", "n_images", "n_instances"),
)
"""What a difference's list has, in this order; what is empty at its end is left out."""


def compared_metrics(content: Content) -> list[str]:
    """Return the metrics of the main tables: of these the page has all models' paired differences."""
    tables = [s.table for s in content.sections if s.table.kind != "paper" and not s.table.part]
    return list(dict.fromkeys(column.metric for table in tables for column in table.columns))


def pairs_of(content: Content, comparison: Comparison) -> dict[str, Any]:
    """Return labels, metrics, differences, and what was not subtracted."""
    labels, metrics = Names(), Names()
    titles = {
        (s.table.suite, column.metric): (s.table.title, column.heading)
        for s in content.sections
        if s.table.kind == "suite" and not s.table.part
        for column in s.table.columns
    }
    rows = [_row(row, labels, metrics, titles) for row in comparison.rows if row.difference is not None]
    refused = [
        [labels.place(one.label_a), labels.place(one.label_b), one.suite, one.dataset, one.reason]
        for one in comparison.refused
    ]
    return {
        "fields": PAIR_FIELDS,
        "labels": labels.texts,
        "metrics": metrics.texts,
        "rows": rows,
        "refused": refused,
    }


def _row(
    row: Difference, labels: Names, metrics: Names, titles: dict[tuple[str, str], tuple[str, str]]
) -> list[Any]:
    title, heading = titles.get((row.suite, row.metric), (row.suite, row.title))
    metric = {
        "suite": row.suite,
        "dataset": row.dataset,
        "protocol": row.protocol,
        "metric": row.metric,
        "title": title,
        "heading": heading,
        "unit": row.unit,
        "higher_is_better": row.higher_is_better,
    }
    low, high = row.interval or (None, None)
    fields = [
        labels.place(row.label_a),
        labels.place(row.label_b),
        metrics.place(metric, (row.suite, row.dataset, row.protocol, row.metric)),
        *(_rounded(number) for number in (row.a, row.b, row.difference, low, high)),
        *(short(p, 2) for p in (row.p, row.p_holm)),
        *(row.better, row.worse, row.within, row.n_images, row.n_instances),
    ]
    return trimmed(fields)


def _rounded(value: float | None) -> float | int | None:
    return None if value is None or not math.isfinite(value) else short(round(value, 3))
