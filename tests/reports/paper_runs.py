"""Cells of every table of the paper, whose numbers are the published ones moved by a known step."""

from __future__ import annotations

from typing import Any

from fake_runs import cell, provenance

from sambench.reports import published
from sambench.suites.protocol import PRESETS, for_suite
from sambench.suites.results import CellResult
from sambench.suites.sginw.registry import registry

BLOCKS = {
    "click": ("coco", "lvis"),
    "gt_box": ("coco", "lvis"),
    "det_box": ("coco/vitdet", "lvis/vitdet", "coco/yolov8", "coco/gdino"),
    "sginw": ("sginw/gdino",),
}


def printed(suite: str, dataset: str, model: str) -> dict[str, float]:
    """The paper's numbers of a model."""
    found = published.lookup(suite, dataset, model)
    return dict(found.printed) if found else {}


def measured(suite: str, dataset: str, model: str, step: float = 0.0) -> CellResult:
    """A cell that may be compared: the script's number or else the paper's, ``step`` more, interval +-1."""
    paper = published.lookup(suite, dataset, model)
    assert paper is not None
    metrics = {name: paper.exact.get(name, value) + step for name, value in paper.printed.items()}
    full = published.full_set(dataset)
    return cell(
        model,
        suite,
        dataset=dataset,
        metrics=metrics,
        intervals={name: [value - 1, value + 1] for name, value in metrics.items()},
        n_images=full.images if full else 100,
        counts={"data_sets": len(registry())} if suite == "sginw" else {},
        protocol=for_suite(PRESETS["paper"], suite).to_json(),
        provenance=_provenance(model, full),
    )


def _provenance(model: str, full: published.Dataset | None) -> dict[str, Any]:
    found = provenance(model=model)
    if full is not None:
        found["annotations"] |= {"sha256": full.sha256, "count": full.annotations}
    return found


def speed(model: str, device: str = "Made-up GPU", **changes: Any) -> CellResult:
    """A cell of a throughput, end to end, by TensorRT in fp16, batch 16."""
    paper = printed("efficiency", "coco", model)
    base: dict[str, Any] = {
        "engine": "tensorrt",
        "precision": "fp16",
        "metrics": {name: paper[name] for name in ("params_m", "encoder_macs_g", "img_s")},
        "intervals": {"img_s": [paper["img_s"] - 2, paper["img_s"] + 3]},
        "protocol": {"preset": "paper", "scope": "E2E", "mode": "pipelined", "batch": 16},
        "provenance": provenance(model=model) | {"device": device},
    }
    return cell(model, "throughput", **{**base, **changes})


def all_cells(step: float = 0.0) -> list[CellResult]:
    """Every number of the paper, measured."""
    found = [
        measured(suite, dataset, model, step)
        for suite, datasets in BLOCKS.items()
        for dataset in datasets
        for model in published.models_of(suite, dataset)
        if suite != "sginw" or model != "sam_hq_vit_h"
    ]
    return found + [speed(model) for model in published.models_of("efficiency", "coco")]
