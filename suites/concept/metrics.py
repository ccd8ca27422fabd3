"""The metrics of the suite ``concept``, in the order of tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sambench.suites.det_box import METRICS as OF_BOXES
from sambench.suites.scoring.concepts import AT
from sambench.suites.scoring.scores import Metric
from sambench.suites.sginw.registry import registry

FURTHER, PRECISION = "Further counts", "Average precision"
"""Titles of the tables of their own that numbers stand in beside cgF1's."""


def _at(name: str, title: str, part: str = "", *, brief: bool = False) -> tuple[Metric, ...]:
    """Return a metric's mean over thresholds of IoU, and it at 0.5 and 0.75."""
    titles = {at: f"{title}{at.replace('_', '@')}" for at in AT}
    return tuple(
        Metric(f"{name}{at}", words, optional=True, brief=brief and not at, part=part)
        for at, words in titles.items()
    )


def _of(part: str, titles: Mapping[str, str], **further: Any) -> tuple[Metric, ...]:
    return tuple(Metric(name, title, optional=True, part=part, **further) for name, title in titles.items())


LEADING = ("ap", "box_ap")
"""The two of AP that a terminal shows."""

_IMAGE_LEVEL = {"il_f1": "F1", "il_precision": "Precision", "il_recall": "Recall"}

METRICS: tuple[Metric, ...] = (
    *_at("cgf1", "cgF1", brief=True),
    Metric("il_mcc", "IL_MCC", "mcc", optional=True, brief=True),
    *_at("pmf1", "pmF1", brief=True),
    *_at("macro_f1", "macro F1", FURTHER),
    *_at("f1", "micro F1", FURTHER),
    *_of(FURTHER, _IMAGE_LEVEL, group="Image level"),
    *_of(FURTHER, {"il_fpr": "False positives"}, group="Image level", higher_is_better=False),
    *(
        m
        for one in OF_BOXES
        for m in _of(PRECISION, {one.name: one.title}, brief=one.name in ("ap", "box_ap"))
    ),
    *_of(PRECISION, {"ap_median": "Median"}),
    *_of(PRECISION, {"ap_of_those_there": "Mean of those there"}, brief=True),
    *_of(PRECISION, {f"ap_{name}": name for name in registry()}),
)

NEED_ABSENT = (
    *(f"{name}{at}" for name in ("cgf1", "f1") for at in AT),
    *("il_mcc", "il_f1", "il_precision", "il_recall", "il_fpr"),
)
"""Those that say nothing where only phrases are asked of which there is something."""
