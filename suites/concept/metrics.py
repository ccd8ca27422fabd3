"""The metrics of the suite ``concept``, in the order of tables."""

from __future__ import annotations

from sambench.suites.det_box import METRICS as OF_BOXES
from sambench.suites.scoring.concepts import AT
from sambench.suites.scoring.scores import Metric
from sambench.suites.sginw.registry import registry

PRECISION = "Average precision"
"""Title of the table of its own that AP stands in."""


def _at(name: str, title: str, *, brief: bool = False) -> tuple[Metric, ...]:
    """Return a metric's mean over thresholds of IoU, and it at 0.5 and 0.75."""
    titles = {at: f"{title}{at.replace('_', '@')}" for at in AT}
    return tuple(
        Metric(f"{name}{at}", words, optional=True, brief=brief and not at) for at, words in titles.items()
    )


METRICS: tuple[Metric, ...] = (
    *_at("cgf1", "cgF1", brief=True),
    Metric("il_mcc", "IL_MCC", "mcc", optional=True, brief=True),
    *_at("pmf1", "pmF1", brief=True),
    *_at("macro_f1", "macro F1"),
    *_at("f1", "micro F1"),
    Metric("il_f1", "F1", group="Image level", optional=True),
    Metric("il_precision", "Precision", group="Image level", optional=True),
    Metric("il_recall", "Recall", group="Image level", optional=True),
    Metric("il_fpr", "False positives", higher_is_better=False, group="Image level", optional=True),
    *(
        Metric(m.name, m.title, optional=True, brief=m.name in ("ap", "box_ap"), part=PRECISION)
        for m in OF_BOXES
    ),
    Metric("ap_median", "Median", optional=True, part=PRECISION),
    Metric("ap_of_those_there", "Mean of those there", optional=True, brief=True, part=PRECISION),
    *(Metric(f"ap_{name}", name, optional=True, part=PRECISION) for name in registry()),
)

NEED_ABSENT = (
    *(f"{name}{at}" for name in ("cgf1", "f1") for at in AT),
    *("il_mcc", "il_f1", "il_precision", "il_recall", "il_fpr"),
)
"""Those that say nothing where only phrases are asked of which there is something."""
