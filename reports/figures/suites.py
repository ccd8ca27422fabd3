"""Which figures stand beneath a suite's tables."""

from __future__ import annotations

from sambench.reports.figures.clicks import miou_by_clicks, share_by_clicks
from sambench.reports.figures.concepts import PARTS, factors
from sambench.reports.figures.dots import dots_by_size
from sambench.reports.figures.figure import Figure
from sambench.reports.figures.quality import calibration, distribution
from sambench.reports.figures.sizes import iou_by_size
from sambench.reports.figures.style import Looks
from sambench.reports.model import Table

BY_SIZE = {
    "miou": ("mIoU by size of the object", "Mean IoU over objects, percent"),
    "boundary_iou": ("Boundary IoU by size of the object", "Mean boundary IoU over objects, percent"),
    "ap": ("AP by size of the object", "Average precision, percent"),
    "ar_1000": ("Recall by size of the object", "Average recall of 1,000 masks an image, percent"),
}
"""Metrics that are drawn by size: title and caption."""


def draw_figures(table: Table, salt: str, looks: Looks) -> list[Figure]:
    """Return the figures of a suite's table.

    Which ones is decided by its metrics, so that suites of one's own have theirs.

    Args:
        table: of a suite, or of a part of one.
        salt: keeps the identifiers of one page apart.
        looks: of the models (`style.model_looks`).
    """
    if not table.done and not any(row.measured for row in table.rows):
        return []
    metrics = {column.metric for column in table.columns}
    sized = (metric for metric in BY_SIZE if {metric, f"{metric}_large"} <= metrics)
    dots = (dots_by_size(table, metric, *BY_SIZE[metric], f"{salt}-{metric}", looks) for metric in sized)
    found = [figure for figure in dots if figure]
    if {"miou", "miou_large"} <= metrics:
        found += [iou_by_size(table, f"{salt}-size", looks), distribution(table, f"{salt}-iou", looks)]
    if {"miou_1", "miou_1_large"} <= metrics:
        found.append(miou_by_clicks(table, f"{salt}-clicks", looks))
    if any(metric.startswith("noc_") for metric in metrics):
        found.append(share_by_clicks(table, f"{salt}-reached", looks))
    if any(metric.startswith("pred_iou_error") for metric in metrics):
        found.append(calibration(table, f"{salt}-own", looks))
    if metrics >= set(PARTS):
        found += filter(None, [factors(table, f"{salt}-factors", looks)])
    return found
