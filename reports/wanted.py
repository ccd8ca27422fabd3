"""What a figure of accuracy against speed asks: which number goes across, and which one up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sambench.evsam.errors import SambenchError
from sambench.reports.cells import Entry
from sambench.suites.scoring.scores import Metric
from sambench.suites.throughput.metrics import METRICS

SPEED = "throughput"
"""The suite whose numbers go across."""

ACROSS = {
    "img_s": "images per second",
    "prompts_s": "prompts per second",
    "latency_ms_p50": "median latency of a batch, ms",
    "params_m": "parameters, million",
    "encoder_macs_g": "MACs of the encoder, billion",
}
"""Axes in words; what else is measured has its title of the tables."""

_EXAMPLE = "img_s,gt_box:coco.miou"


@dataclass(frozen=True)
class Wanted:
    """One figure: a number of throughputs, and a metric of a suite on a data set."""

    x: str
    suite: str
    dataset: str
    metric: str

    def __str__(self) -> str:
        return f"{self.x},{self.suite}:{self.dataset}.{self.metric}"

    @property
    def x_words(self) -> str:
        """The axis across."""
        return ACROSS.get(self.x) or _SPEEDS[self.x].title

    @property
    def x_up(self) -> bool:
        """Whether more is better across."""
        return _SPEEDS[self.x].higher_is_better is not False


_SPEEDS = {metric.name: metric for metric in METRICS}

PAPERS = (
    (Wanted("img_s", "det_box", "coco/vitdet", "ap"), "AP of masks from ViTDet's boxes on COCO, percent"),
    (Wanted("img_s", "gt_box", "coco", "miou"), "mIoU from ground-truth boxes on COCO, percent"),
)
"""The paper's figure 1, and what takes its place where no detector was measured; with the axis's words."""


def parse_figure(text: str) -> Wanted:
    """Read ``X,SUITE:DATASET.METRIC``, such as ``img_s,gt_box:coco.miou``.

    Raises:
        SambenchError: it is not of that form, or no speed has such a number.
    """
    x, comma, y = (part.strip() for part in text.partition(","))
    suite, colon, rest = y.partition(":")
    dataset, dot, metric = rest.rpartition(".")
    if not all((x, comma, suite, colon, dataset, dot, metric)):
        raise SambenchError(
            f"--figure {text!r}: not X,SUITE:DATASET.METRIC. Give what goes across and what goes up, such as "
            f"{_EXAMPLE}; across go {', '.join(ACROSS)}, or another metric of speeds."
        )
    if x not in _SPEEDS:
        raise SambenchError(
            f"--figure {text!r}: speeds have no number {x!r}. Give one of {', '.join(_SPEEDS)}."
        )
    return Wanted(x, suite, dataset, metric)


def check(wanted: Iterable[Wanted], entries: Sequence[Entry]) -> None:
    """See that what is wanted was measured.

    Args:
        wanted: as the user asked.
        entries: all cells of the report.

    Raises:
        SambenchError: a metric, or speeds altogether, are in none of the runs.
    """
    done = [entry.cell for entry in entries if entry.cell.status == "done"]
    for one in wanted:
        if not any(cell.metrics.get(one.x) is not None for cell in done if cell.suite == SPEED):
            known = _numbers(m for cell in done if cell.suite == SPEED for m in _measured(cell.metrics))
            raise SambenchError(
                f"--figure {str(one)!r}: no run has a throughput with {one.x}; "
                + (f"measured were {known}." if known else "add a run of 'sambench throughput'.")
            )
        places = {f"{cell.suite}:{cell.dataset}" for cell in done if cell.suite != SPEED}
        here = [cell for cell in done if (cell.suite, cell.dataset) == (one.suite, one.dataset)]
        if not here:
            known = _numbers(places) or "nothing but speeds"
            raise SambenchError(
                f"--figure {str(one)!r}: no run has {one.suite}:{one.dataset}; measured were {known}."
            )
        if not any(cell.metrics.get(one.metric) is not None for cell in here):
            known = _numbers(m for cell in here for m in _measured(cell.metrics))
            raise SambenchError(
                f"--figure {str(one)!r}: no {one.metric!r} of {one.suite}:{one.dataset}; there are {known}."
            )


def first_metrics(entries: Sequence[Entry], x: str = "img_s") -> list[Wanted]:
    """Return one question for each suite and data set: its first metric that a terminal shows too."""
    found: dict[tuple[str, str], Wanted] = {}
    for entry in entries:
        cell = entry.cell
        metrics = _measured(cell.metrics)
        brief = [m.name for m in cell.about.metrics if m.brief] if cell.about else metrics
        first = next((name for name in brief if name in metrics), None)
        if cell.suite != SPEED and cell.status == "done" and first is not None:
            found.setdefault((cell.suite, cell.dataset), Wanted(x, cell.suite, cell.dataset, first))
    return list(found.values())


def described(wanted: Wanted, entries: Iterable[Entry]) -> tuple[str, bool | None]:
    """Return the words of the axis that goes up, and whether more is better there."""
    known = (e.cell.about for e in entries if e.cell.suite == wanted.suite and e.cell.about is not None)
    about = next(known, None)
    metric = next((m for m in about.metrics if m.name == wanted.metric), None) if about else None
    if about is None or metric is None:
        return f"{wanted.suite}: {wanted.metric} on {wanted.dataset}", True
    return f"{about.title} ({_heading(metric)}), {wanted.dataset}, {metric.unit}", metric.higher_is_better


def _heading(metric: Metric) -> str:
    return ", ".join(filter(None, [metric.group, metric.title])).lower()


def _measured(metrics: dict[str, float | None]) -> list[str]:
    return [name for name, value in metrics.items() if value is not None]


def _numbers(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
