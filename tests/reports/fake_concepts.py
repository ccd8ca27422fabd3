"""Made-up cells of concepts: every number of a cell is known from a base and the place of its data set."""

from __future__ import annotations

from typing import Any

from fake_runs import cell, provenance

from sambench.reports.concepts import GOLD, SILVER
from sambench.suites.protocol import PRESETS, for_suite
from sambench.suites.registry import suite_class
from sambench.suites.results import CellResult

ABOUT = suite_class("concept").about()
PLACES = {name: place for of in (GOLD, SILVER) for place, name in enumerate(of.datasets)}


def concept(model: str, dataset: str, base: float = 40.0, **changes: Any) -> CellResult:
    """A cell whose pmF1 is ``base`` and the place of the subset, whose IL_MCC is that of it by 80."""
    pmf1 = base + PLACES.get(dataset, 0)
    mcc = pmf1 / 80
    metrics: dict[str, float | None] = {"il_mcc": mcc}
    for end, more in {"": 0, "_50": 10, "_75": 5}.items():
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
        "protocol": for_suite(PRESETS["paper"], "concept", pairs=dataset in PLACES).to_json(),
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
