"""Folders of trainings made by hand, with what `sambench train` writes into them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file

DECIDES: dict[str, Any] = {
    "model": "efficientvit_sam_nano",
    "weights": {"source": "random", "seed": 0},
    "data": {"format": "shapes", "version": 1, "seed": 5, "images": 6},
    "optimiser": {"lr": 0.001, "clip": None, "frozen": ["image_encoder", "neck"]},
    "steps": 4,
}
ABOUT: dict[str, Any] = {
    "schema": 1,
    "id": "0123456789abcdef0123456789abcdef",
    "kind": "finetune",
    "began": 1_700_000_000.25,
    "command": "sambench train finetune tiny.yaml --out here",
    "decides": DECIDES,
    "validation": {"metric": "box", "least": None, "every": 2},
    "hardware": {"device": "A processor"},
    "versions": {"torch": "2.6.0"},
    "git": {"commit": "deadbeefcafe0123", "dirty": True},
}


def step(number: int, **changes: Any) -> dict[str, Any]:
    """The line of a step."""
    line = {"step": number, "epoch": number / 3, "loss": 1 / number, "lr": 0.001, "bad": False}
    return line | {"time": 1_700_000_001.125 + number} | changes


def scores(number: int, **named: float | None) -> dict[str, Any]:
    """The line of a validation after a step."""
    return {"step": number, "validation": named, "time": 1_700_000_001.375 + number}


def write_training(
    out: Path,
    lines: Sequence[Mapping[str, Any]],
    about: Mapping[str, Any] = ABOUT,
    whole: bool = True,
    seed: int = 0,
) -> Path:
    """Write what a training has said so far, and its model where it is whole."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "training.json").write_text(json.dumps(about))
    write_lines(out, lines)
    if whole:
        notes = {
            "training": about["id"],
            "best": {"step": 2, "metric": "box", "value": 71.5},
            "git": about["git"],
        }
        state = {"weight": torch.full((3, 5), float(seed))}
        save_file(state, out / "model.safetensors", {"sambench": json.dumps(notes)})
        Image.new("L", (4, 3)).save(out / "curve.png")
    return out


def write_lines(out: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write ``metrics.jsonl``."""
    (out / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


STEPS = (*map(step, (1, 2)), scores(2, box=71.5), *map(step, (3, 4)), scores(4, box=70.25, click_1=60.5))


COMMAND = "sambench run --models a,b --suites gt_box --dataset tiny --out runs/x"
CELL: dict[str, Any] = {
    "model": "efficientvit_sam_l0",
    "engine": "eager",
    "precision": "fp32",
    "device": "cpu",
    "suite": "gt_box",
    "dataset": "tiny",
    "protocol": {"preset": "strict", "crowd": "drop"},
    "metrics": {"miou": 71.25, "miou_small": None},
    "intervals": {"miou": [70.5, 72.0]},
    "n_images": 3,
    "n_instances": 5,
    "status": "done",
    "counts": {"all": 5, "small": 0},
    "timing": {"seconds": 1.5},
    "provenance": {
        "weights": {"source": "file", "path": "/data/l0.pt", "sha256": "ab" * 32},
        "annotations": {"path": "/data/instances.json", "sha256": "cd" * 32, "count": 5},
        "git": {"commit": "deadbeefcafe0123", "dirty": True},
        "command": COMMAND,
    },
}


def cell(command: str = COMMAND, weights: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A cell of a results.json as it is in the file, with changes."""
    provenance = CELL["provenance"] | {"command": command} | ({} if weights is None else {"weights": weights})
    return CELL | {"provenance": provenance} | changes


def write_cells(out: Path, *cells: Mapping[str, Any]) -> Path:
    """Write a results.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps({"schema": 1, "cells": cells}))
    return out
