"""FastSAM, SAM 2 and SAM 3 of the ultralytics library: ``ultralytics:FILE``, by the names it gives files.

ultralytics is under AGPL-3.0: sambench does not depend on it, and imports it only where one of its models is
asked for. What it does to a process at import is undone; it finds no network, and writes nothing into the
user's home. FastSAM's files are pickles of modules: they are opened by ultralytics' restricted loader alone,
which rebuilds known classes and runs nothing else.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import PIL.Image
import torch
from torch import nn

from sambench.adapters.base import Segmenter
from sambench.adapters.extras import missing
from sambench.adapters.families import ultralytics_models as models
from sambench.adapters.families import ultralytics_sam3 as sam3
from sambench.adapters.families.sam import with_weights
from sambench.adapters.weights.resolve import resolve
from sambench.evsam.errors import SambenchError, did_you_mean

LEAST_VERSION = (8, 4, 67)
"""The first whose ``torch_safe_load`` refuses code (ultralytics pull request 24829)."""

FAST_SAM = {"FastSAM-s.pt": "yolov8s-seg.yaml", "FastSAM-x.pt": "yolov8x-seg.yaml"}
"""File to architecture (FastSAM paper, section 3.2: YOLOv8-seg with one class)."""

SAM2 = tuple(f"sam2{version}_{size}.pt" for version in ("", ".1") for size in "tsbl")

REGISTERED = {"fast_sam_s": "FastSAM-s.pt", "fast_sam_x": "FastSAM-x.pt"}

PARTS = (
    *("data.augment", "models.sam.build", "models.sam.build_sam3"),
    *("nn.tasks", "utils.nms", "utils.ops"),
)
"""Modules that are used here, in `adapters.families.ultralytics_models` and in `..ultralytics_sam3`."""


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Build a model by its file's name (see `adapters.registry.create`).

    Raises:
        SambenchError: ultralytics is missing or too old, the file is of no model served here, is missing or
            damaged, or holds anything but that model.
    """
    file = REGISTERED.get(name) or Path(name.partition(":")[2]).name
    served = (*FAST_SAM, *SAM2, *sam3.FILES)
    if file not in served:
        raise SambenchError(
            f"{name}: of ultralytics, files named {', '.join(served)} are served, not {file!r}."
            f"{did_you_mean(file, served)} SAM and MobileSAM are sambench's own: sam_vit_b, mobile_sam."
        )
    library = import_ultralytics()
    found = resolve(name, weights)
    if file in sam3.FILES:
        return sam3.Sam3(name, sam3.load(library, found), found, device, library)
    if file in SAM2:
        sam2, found = with_weights(lambda: _sam2(library, file), found)
        return models.Sam2(name, sam2, found, device, library)
    model, _ = with_weights(
        lambda: library.nn.tasks.SegmentationModel(FAST_SAM[file], nc=1, verbose=False),
        replace(found, path=None),
    )
    if found.path is not None:
        load_parameters(name, model, open_checkpoint(library, Path(found.path)), Path(found.path))
    return models.FastSam(name, model, found, device, library)


def import_ultralytics() -> Any:
    """Import ultralytics with the modules that are used of it.

    Raises:
        SambenchError: it is missing, or too old to open a file safely.
    """
    try:
        with _contained():
            library = importlib.import_module("ultralytics")
            version = tuple(int(part) for part in library.__version__.split(".")[:3])
            if version >= LEAST_VERSION:
                for part in PARTS:
                    importlib.import_module(f"ultralytics.{part}")
    except ImportError as error:
        licence = " (ultralytics is under AGPL-3.0, mind its licence)"
        raise missing("FastSAM, like any ultralytics:...,", error, "yolo", licence) from None
    if version < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise SambenchError(
            f"ultralytics {library.__version__} runs what is in a checkpoint when it opens one. The first "
            f"that need not is {least}: pip install 'ultralytics>={least}'"
        )
    return library


@contextmanager
def _contained() -> Iterator[None]:
    """Import quietly and without the network, and undo what ultralytics changes for all others.

    It sets OpenCV to one thread, and OpenMP of child processes too, replaces ``torch.save``, changes how
    numbers are printed, and replaces ``PIL.Image.open`` by one that installs a package on a damaged image.
    """
    environment, printed = dict(os.environ), np.get_printoptions()
    threads, save, open_image = cv2.getNumThreads(), torch.save, PIL.Image.open
    tensors = vars(torch._tensor_str.PRINT_OPTS).copy()
    with tempfile.TemporaryDirectory(prefix="sambench-") as folder:
        os.environ |= {
            "YOLO_OFFLINE": "true",
            "YOLO_AUTOINSTALL": "false",
            "YOLO_VERBOSE": "false",
            "YOLO_CONFIG_DIR": folder,
        }
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(environment)
            np.set_printoptions(**printed)
            vars(torch._tensor_str.PRINT_OPTS).update(tensors)
            cv2.setNumThreads(threads)
            torch.save, PIL.Image.open = save, open_image


def open_checkpoint(library: Any, path: Path) -> nn.Module:
    """Return the module in a checkpoint of ultralytics, a pickle of all of it; nothing that is in it is run.

    ultralytics' loader would also replace a file that it cannot find or read by a download; not here.

    Raises:
        SambenchError: it is damaged, or holds code or no module.
    """
    downloads = importlib.import_module("ultralytics.utils.downloads")
    try:
        with mock.patch.object(downloads, "attempt_download_asset", str):
            checkpoint, _ = library.nn.tasks.torch_safe_load(str(path.resolve()), safe_only=True)
        held = checkpoint.get("ema") or checkpoint.get("model")
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise SambenchError(
            f"{path}: refused. It is no checkpoint of ultralytics, is damaged, or would run code when opened "
            f"({type(error).__name__}: {said}). Get the file again from its authors."
        ) from None
    if not isinstance(held, nn.Module):
        raise SambenchError(f"{path}: holds a {type(held).__name__}, not a model of ultralytics.")
    return held


def load_parameters(name: str, model: nn.Module, held: nn.Module, path: Path) -> None:
    """Move the parameters of a checkpoint's module into one built here, strictly.

    Raises:
        SambenchError: they are of another model.
    """
    if type(held) is not type(model):
        raise SambenchError(f"{path}: holds a {type(held).__name__}; {name} is a {type(model).__name__}.")
    try:
        model.load_state_dict(held.float().state_dict())
    except RuntimeError as error:
        difference = " ".join(str(error).split())[:200]
        raise SambenchError(f"{path}: is no {name} ({difference}). Is it of another size?") from None


def _sam2(library: Any, file: str) -> Any:
    """Build SAM 2 without weights. 2.1 has two parts more in its memory, which images do not use."""
    model = library.models.sam.build.sam_model_map[file]()
    if file.startswith("sam2.1"):
        model.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, model.mem_dim))
        model.obj_ptr_tpos_proj = nn.Linear(model.hidden_dim, model.mem_dim)
    return model
