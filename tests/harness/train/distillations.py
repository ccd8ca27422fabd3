"""Distillations small enough for tests: from one nano model with weights of its own to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save_file
from tiny_coco import TinyCoco

from sambench.adapters.base import Segmenter
from sambench.adapters.images import read_image
from sambench.adapters.registry import create, create_module
from sambench.evsam.train.recipe import Distill, Optimiser
from sambench.harness.train.config import Data, Distilling

NANO = "efficientvit_sam_nano"
OPTIMISER = Optimiser(lr=1e-3, clip="norm", clip_at=1.0, norms="frozen")


def weights_of(path: Path, seed: int, model: str = NANO) -> Path:
    """Write random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        save_file(create_module(model).state_dict(), path)
    return path


def distillation(tiny: TinyCoco, teacher: Path, out: Path, **changes: Any) -> Distilling:
    """Settings of a tiny distillation, with changes."""
    settings: dict[str, Any] = {
        "model": NANO,
        "weights": "random",
        "teacher": NANO,
        "teacher_weights": str(teacher),
        "data": Data(format="coco", images=tiny.images, annotations=tiny.annotations),
        "recipe": Distill(),
        "optimiser": OPTIMISER,
        "steps": 4,
        "batch": 2,
        "device_batch": 2,
        "workers": 0,
    }
    return Distilling(out=out, **{**settings, **changes})


def file_of(path: Path, tiny: TinyCoco, teacher: Path, **changes: Any) -> Path:
    """Write a configuration file of such a distillation."""
    data = {"format": "coco", "images": str(tiny.images), "annotations": str(tiny.annotations)}
    content: dict[str, Any] = {
        "model": NANO,
        "weights": "random",
        "teacher": NANO,
        "teacher_weights": str(teacher),
        "data": data,
        "validation": {"data": data | {"limit": 2}, "every": 4, "metric": "embedding"},
        "optimiser": {"lr": 1e-3, "clip": "norm", "norms": "frozen"},
        "steps": 8,
        "batch": 2,
        "device_batch": 2,
        "workers": 0,
        "out": str(path.parent / "out"),
    }
    path.write_text(yaml.safe_dump(content | changes))
    return path


def pixels_of(tiny: TinyCoco, image_id: int) -> np.ndarray:
    """One of the data's images, (H, W, 3)."""
    return read_image(tiny.file(image_id))


def segmenter_of(teacher: Path) -> Segmenter:
    """The teacher, as anyone would have it."""
    return create(NANO, weights=str(teacher))
