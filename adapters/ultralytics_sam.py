"""FastSAM and SAM 2 of the ultralytics library: ``ultralytics:FILE``, by the file names of ultralytics.

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
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch
from torch import nn

from adapters import ultralytics_models as models
from adapters.base import Segmenter
from adapters.sam import with_weights
from adapters.weights import resolve
from evsam.errors import SambenchError, did_you_mean

LEAST_VERSION = (
    8,
    4,
    67,
)  # the first whose ``torch_safe_load`` refuses code (ultralytics pull request 24829)

FAST_SAM = {"FastSAM-s.pt": "yolov8s-seg.yaml", "FastSAM-x.pt": "yolov8x-seg.yaml"}
"""File to architecture (FastSAM paper, section 3.2: YOLOv8-seg with one class)."""

SAM2 = tuple(f"sam2{version}_{size}.pt" for version in ("", ".1") for size in "tsbl")

REGISTERED = {"fast_sam_s": "FastSAM-s.pt", "fast_sam_x": "FastSAM-x.pt"}

PARTS = ("data.augment", "models.sam.build", "nn.tasks", "utils.nms", "utils.ops")
"""Modules that are used here and in `adapters.ultralytics_models`."""


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Build a model by its file's name (see `adapters.registry.create`).

    Raises:
        SambenchError: ultralytics is missing or too old, the file is of no model served here, is missing or
            damaged, or holds anything but that model.
    """
    file = REGISTERED.get(name) or Path(name.partition(":")[2]).name
    served = (*FAST_SAM, *SAM2)
    if file not in served:
        raise SambenchError(
            f"{name}: of ultralytics, files named {', '.join(served)} are served, not {file!r}."
            f"{did_you_mean(file, served)} SAM and MobileSAM are sambench's own: sam_vit_b, mobile_sam."
        )
    library = import_ultralytics()
    found = resolve(name, weights)
    if file in SAM2:
        return models.Sam2(name, with_weights(lambda: _sam2(library, file), found), found, device, library)
    if found.path is not None:
        model = load_fast_sam(library, Path(found.path))
    else:
        build = library.nn.tasks.SegmentationModel
        model = with_weights(lambda: build(FAST_SAM[file], nc=1, verbose=False), found)
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
        raise SambenchError(
            f"FastSAM and ultralytics:... need ultralytics (under AGPL-3.0, mind its licence): "
            f"pip install 'sambench[yolo]' ({error})"
        ) from None
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


def load_fast_sam(library: Any, path: Path) -> nn.Module:
    """Open a FastSAM checkpoint, a pickle of the whole model, without running anything that is in it.

    Raises:
        SambenchError: it is damaged, holds code, or is another model.
    """
    try:
        checkpoint, _ = library.nn.tasks.torch_safe_load(str(path), safe_only=True)
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise SambenchError(
            f"{path}: refused. It is no checkpoint of ultralytics, is damaged, or would run code when opened "
            f"({type(error).__name__}: {said}). Get the file again from its authors."
        ) from None
    model = checkpoint.get("ema") or checkpoint.get("model")
    head = model.model[-1] if isinstance(model, library.nn.tasks.SegmentationModel) else None
    if head is None or head.nc != 1:
        kind = type(model).__name__ + (f" of {head.nc} classes" if head else "")
        raise SambenchError(f"{path}: holds a {kind}; FastSAM is a SegmentationModel of one class.")
    return model


def _sam2(library: Any, file: str) -> Any:
    """Build SAM 2 without weights. 2.1 has two parts more in its memory, which images do not use."""
    model = library.models.sam.build.sam_model_map[file]()
    if file.startswith("sam2.1"):
        model.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, model.mem_dim))
        model.obj_ptr_tpos_proj = nn.Linear(model.hidden_dim, model.mem_dim)
    return model
