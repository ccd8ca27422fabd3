"""Made-up cells of concepts: every number of a cell is known from a base and the place of its data set."""

from __future__ import annotations

from typing import Any

from fake_runs import PAPER, cell, provenance

from sambench.reports.concepts import GOLD
from sambench.suites.results import CellResult
from sambench.suites.scoring.scores import About, Metric

AT = ("", "_50", "_75")
TITLES = ("Mean", "at 0.5", "at 0.75")
ABOUT = About(
    "Concepts",
    (
        *(
            Metric(f"cgf1{end}", title, group="cgF1", brief=not end)
            for end, title in zip(AT, TITLES, strict=True)
        ),
        Metric("il_mcc", "IL_MCC", "mcc", brief=True),
        *(
            Metric(f"pmf1{end}", title, group="pmF1", brief=not end)
            for end, title in zip(AT, TITLES, strict=True)
        ),
        *(Metric(f"macro_f1{end}", title, group="Macro F1") for end, title in zip(AT, TITLES, strict=True)),
        *(Metric(name, name.upper(), group="AP", optional=True) for name in ("ap", "ap50", "ap75")),
    ),
)
PLACES = {dataset: place for place, dataset in enumerate(GOLD.datasets)}


def concept(model: str, dataset: str, base: float = 40.0, **changes: Any) -> CellResult:
    """A cell whose pmF1 is ``base`` and the place of the subset, whose IL_MCC is that of it by 80."""
    pmf1 = base + PLACES.get(dataset, 0)
    mcc = pmf1 / 80
    metrics: dict[str, float | None] = {"il_mcc": mcc}
    for end, more in zip(AT, (0, 10, 5), strict=True):
        metrics |= {
            f"pmf1{end}": pmf1 + more,
            f"cgf1{end}": (pmf1 + more) * mcc,
            f"macro_f1{end}": pmf1 + more - 1,
        }
    if not dataset.startswith("saco_"):
        metrics |= {"ap": 30.0, "ap50": 50.0, "ap75": 31.0}
    given: dict[str, Any] = {
        "dataset": dataset,
        "metrics": metrics,
        "intervals": {name: [v - v / 50, v + v / 40] for name, v in metrics.items() if v is not None},
        "protocol": PAPER,
        "n_images": 900,
        "n_instances": 3000,
        "counts": {},
        "provenance": provenance(model=model),
        "about": ABOUT,
    }
    return cell(model, "concept", **{**given, **changes})


def gold(model: str, base: float = 40.0, skip: int = 0, **changes: Any) -> list[CellResult]:
    """All subsets but the last ``skip``."""
    return [
        concept(model, dataset, base, **changes)
        for dataset in list(GOLD.datasets)[: len(GOLD.datasets) - skip]
    ]
