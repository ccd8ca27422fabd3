"""A run folder as `sambench run` leaves it, small and made up."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from sambench import adapters
from sambench.suites.protocol import PRESETS
from sambench.suites.results import SCHEMA, CellResult

PAPER = PRESETS["paper"].to_json()
STRICT = PRESETS["strict"].to_json()
SHA = "0123456789abcdef" * 4
COCO_SHA = "e8c7f7908f1d7278341fae127d0da654f102f11bd7b21d8aeefa635b8c810b6f"
"""Of instances_val2017.json."""
SIZES = ("", "_small", "_medium", "_large")


@functools.cache
def _known() -> dict[str, Any]:
    file = Path(adapters.__file__).parent / "weights" / "weights.yaml"
    known: dict[str, Any] = yaml.safe_load(file.read_text())
    return known


def official(model: str) -> str:
    """Return the checksum of a model's registered file, as the file of weights has it."""
    known = _known()
    return str(known[model]["files"][0].get("sha256", SHA)) if model in known else SHA


def provenance(source: str = "file", model: str = "efficientvit_sam_xl1") -> dict[str, Any]:
    weights = {
        "file": {"source": "file", "path": "/data/weights/model.pt", "sha256": official(model)},
        "random": {"source": "random", "seed": 0},
        "none": {"source": "none"},
    }
    return {
        "weights": weights[source],
        "annotations": {"path": "/data/instances_val2017.json", "sha256": COCO_SHA, "count": 36781},
        "images": {"path": "/data/val2017"},
        "git": {"commit": "deadbeefcafe0123", "dirty": True},
        "versions": {"python": "3.11.2", "torch": "2.6.0"},
        "device": "Made-up GPU",
        "command": "sambench run --models a,b --suites gt_box,click --dataset coco --out runs/x",
    }


def cell(model: str = "efficientvit_sam_xl1", suite: str = "gt_box", **changes: Any) -> CellResult:
    """A cell that may be compared with the paper, but for the changes."""
    names = (
        [f"miou{s}" for s in SIZES]
        if suite == "gt_box"
        else [f"miou_{n}{s}" for n in (1, 3, 5) for s in SIZES]
    )
    metrics: dict[str, float | None] = {name: 70.0 + place for place, name in enumerate(names)}
    base = CellResult(
        model=model,
        engine="eager",
        precision="fp32",
        device="cuda",
        suite=suite,
        dataset="coco",
        protocol=PAPER,
        metrics=metrics,
        intervals={name: [value - 0.4, value + 0.5] for name, value in metrics.items() if value},
        n_images=5000,
        n_instances=36781,
        counts={"small": 15000, "medium": 12000, "large": 9781, "area_below_1_dropped": 3},
        timing={"seconds": 300.0, "images_per_s": 16.6, "read_s": 31.0, "encode_s": 120.4, "decode_s": 99.0},
        provenance=provenance(model=model),
    )
    return dataclasses.replace(base, **changes)


def mini(model: str, suite: str = "gt_box", source: str = "random", **changes: Any) -> CellResult:
    """A cell of a tiny set under the strict protocol: nothing of it may be compared."""
    few: dict[str, Any] = {
        "protocol": STRICT,
        "n_images": 10,
        "n_instances": 80,
        "device": "cpu",
        "partial": {"limit": 10, "of": 117, "seed": 0},
        "provenance": provenance(source, model),
    }
    return cell(model, suite, **{**few, **changes})


def write_run(folder: Path, cells: list[CellResult]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    about = {c.suite: c.about.to_json() for c in cells if c.about is not None}
    content = {"schema": SCHEMA, "suites": about, "cells": [c.to_json() for c in cells]}
    (folder / "results.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_records(folder: Path, iou: np.ndarray | list[Any], shards: int = 2) -> None:
    """Write Parquet shards with the columns of gt_box, and of click where there are lists."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, part in enumerate(np.array_split(np.arange(len(iou)), shards)):
        values = [iou[i].tolist() if isinstance(iou[i], np.ndarray) else iou[i] for i in part]
        columns: dict[str, Any] = {
            "image_id": part,
            "ann_id": part,
            "category_id": part % 80,
            "area": part * 10.0,
            "iscrowd": part == 0,
            "iou": values,
        }
        if values and isinstance(values[0], list):
            columns["points"] = [[[1, 2]] * len(v) for v in values]
            columns["labels"] = [[1] * len(v) for v in values]
        pq.write_table(pa.table(columns), folder / f"shard-{place:03d}.parquet")
