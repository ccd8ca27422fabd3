"""Cells whose numbers are of a few objects that a test knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fake_runs import cell, provenance

from sambench.suites.protocol import Protocol
from sambench.suites.results import CellResult
from sambench.suites.scoring.evidence import Evidence, encode
from sambench.suites.scoring.means import objects_by_size
from sambench.suites.scoring.scores import About, Metric

ABOUT = About(
    "Ground-truth boxes, mIoU",
    (
        Metric("miou", "All objects", brief=True),
        *(Metric(f"miou_{size}", size.title()) for size in ("small", "medium", "large")),
        Metric("boundary_iou", "All objects", part="Boundary IoU"),
        Metric("pred_iou_error", "Absolute error", higher_is_better=False),
    ),
)
FILE = "_evidence-made-up.npz"
SMALL, LARGE = 100.0, 100_000.0


def objects(
    iou: Sequence[float] | np.ndarray,
    image: Sequence[int] | np.ndarray | None = None,
    ann_id: Sequence[int] | None = None,
    area: Sequence[float] | None = None,
) -> Evidence:
    """Evidence of objects: one an image, all small, but for what is said; boundary IoUs are half as good."""
    values = np.asarray(iou, float)
    n = len(values)
    return objects_by_size(
        {"miou": values, "boundary_iou": values / 2},
        np.arange(n) if image is None else np.asarray(image),
        np.full(n, SMALL) if area is None else np.asarray(area),
        Protocol(),
        ann_id=np.arange(n) if ann_id is None else np.asarray(ann_id),
        category_id=np.zeros(n, int),
        others={"pred_iou_error": 1 - values},
    )


def scored(run: Path, of: Evidence, model: str = "sam_vit_b", **changes: Any) -> CellResult:
    """A cell of a run's folder with its evidence beside where its records would be."""
    records = f"records/{len(list(run.glob('records/*')))}"
    (run / records).mkdir(parents=True)
    (run / records / FILE).write_bytes(encode(of))
    base = {
        "metrics": of.numbers(),
        "intervals": {},
        "n_instances": of.instances,
        "records": records,
        "evidence": FILE,
        "about": ABOUT,
        "timing": {},
        "provenance": provenance("none" if model in ("box", "ellipse") else "file", model),
    }
    return cell(model, **{**base, **changes})
