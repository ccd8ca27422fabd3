"""YOLOv8 of ultralytics as a detector of a data set's categories, set up as for the published box AP.

A checkpoint is ultralytics' ``.pt`` (opened by its restricted loader alone, which runs nothing in it; the
architecture is built here, and takes the parameters strictly) or an ``.onnx`` export, which needs onnxruntime
and not ultralytics. Letterbox and suppression are ours (`adapters.detectors.boxes`), one for both.
ultralytics is under AGPL-3.0 and is imported only where a ``.pt`` or random weights are asked for.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sambench.adapters.base import Weights
from sambench.adapters.detectors.base import Category, Detector, ImageBoxes, find_weights, ids_by_name
from sambench.adapters.detectors.boxes import Letterbox, from_centre, nms
from sambench.adapters.extras import missing
from sambench.adapters.families.ultralytics_sam import import_ultralytics, load_parameters, open_checkpoint
from sambench.adapters.weights.upstream import weights_folder
from sambench.evsam.errors import SambenchError

# Of ``DetectionValidator`` (ultralytics models/yolo/detect/val.py) and the defaults of ``yolo val``.
SIDE = 640
CONFIDENCE = 0.001
OVERLAP = 0.7
MOST_BOXES = 300
MOST_CANDIDATES = 30_000  # of an image, before suppression: ``max_nms`` of utils/nms.py

Network = Callable[[np.ndarray], np.ndarray]
"""Pixels (1, 3, 640, 640) float32 in 0..1 to (4 + classes, anchors): centre x, y, width, height; scores."""


def create(name: str, *, categories: Sequence[Category], weights: str | None, device: torch.device) -> YoloV8:
    """Build a YOLOv8 by its registered name (see `adapters.detectors.registry.create`).

    Random weights know no classes, and are built for those of the data set.

    Raises:
        SambenchError: a library is missing, the weights are missing, damaged or of another model, or they do
            not know a category.
    """
    found = find_weights(name, weights, weights_folder() / f"{name}.pt")
    library = "ultralytics"
    if found.path is None:
        classes = [c.name for c in categories]
        network = _random(name, len(classes), found, device)
    elif found.path.endswith(".onnx"):
        library = "onnxruntime"
        network, classes = _onnx(name, Path(found.path), device)
    else:
        network, classes = _checkpoint(name, Path(found.path), device)
    return YoloV8(
        name, network=network, classes=classes, categories=categories, weights=found, library=library
    )


class YoloV8(Detector):
    """A YOLOv8 network between letterbox and suppression.

    As in ultralytics' validation, and unlike its ``predict``, an anchor makes a box of every class whose
    score is over the confidence, not of the best alone. Unlike there, every image goes in as a square.

    Args:
        name: the registry's name.
        network: from pixels to boxes and scores.
        classes: its classes' names.
        categories: of the data set.
        weights: where the parameters come from.
        library: the distribution that runs the network.
    """

    def __init__(
        self,
        name: str,
        *,
        network: Network,
        classes: Sequence[str],
        categories: Sequence[Category],
        weights: Weights,
        library: str,
    ) -> None:
        self.name = name
        self.weights = weights
        self.libraries = (library,)
        self.network = network
        ids = ids_by_name(name, classes, categories)
        self.known = np.array([i for i, known in enumerate(ids) if known is not None])
        self.ids = np.array([known for known in ids if known is not None], dtype=np.int64)
        self.settings = {
            "input": f"{SIDE} x {SIDE}, letterboxed",
            "confidence": CONFIDENCE,
            "nms": f"class-wise, IoU {OVERLAP}",
            "most_boxes": MOST_BOXES,
            "labels": "every class over the confidence",
            "classes": "by name",
            "classes_left_out": [c for c, known in zip(classes, ids, strict=True) if known is None],
        }

    def detect_one(self, image: np.ndarray) -> ImageBoxes:
        """Detect in one RGB image (H, W, 3) uint8."""
        letterbox = Letterbox(image.shape[0], image.shape[1], SIDE)
        pixels = letterbox.apply(image).transpose(2, 0, 1)[None].astype(np.float32) / 255
        output = self.network(pixels)
        scores = output[4:][self.known]  # (classes of the data set, anchors)
        anchor, label = np.nonzero(scores.T > CONFIDENCE)
        score = scores[label, anchor]
        first = np.argsort(-score, kind="stable")[:MOST_CANDIDATES]
        anchor, label, score = anchor[first], label[first], score[first]
        boxes = from_centre(output[:4].T[anchor].astype(np.float64))
        kept = nms(boxes, score, label, OVERLAP, MOST_BOXES)
        return ImageBoxes(letterbox.undo(boxes[kept]), score[kept], self.ids[label[kept]])


def _build(library: Any, name: str, classes: int) -> Any:
    return library.nn.tasks.DetectionModel(f"{name}.yaml", nc=classes, verbose=False)


def _random(name: str, classes: int, weights: Weights, device: torch.device) -> Network:
    library = import_ultralytics()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights.seed or 0)
        model = _build(library, name, classes)
    return _of_module(model, device)


def _of_module(model: Any, device: torch.device) -> Network:
    model = model.float().eval().requires_grad_(False).to(device).fuse(verbose=False)

    @torch.inference_mode()
    def network(pixels: np.ndarray) -> np.ndarray:
        output = model(torch.from_numpy(pixels).to(device))[0]
        return np.asarray(output[0].cpu())

    return network


def _checkpoint(name: str, path: Path, device: torch.device) -> tuple[Network, list[str]]:
    """Open ultralytics' pickle of a whole model, and move its parameters into one built here.

    Raises:
        SambenchError: it is damaged, holds code, or is another model.
    """
    library = import_ultralytics()
    held: Any = open_checkpoint(library, path)
    if type(held) is not library.nn.tasks.DetectionModel:
        raise SambenchError(f"{path}: holds a {type(held).__name__}; {name} is a DetectionModel.")
    names = [str(held.names[i]) for i in sorted(held.names)]
    model = _build(library, name, len(names))
    load_parameters(name, model, held, path)
    return _of_module(model, device), names


def _onnx(name: str, path: Path, device: torch.device) -> tuple[Network, list[str]]:
    """Open an export of ultralytics, whose metadata name its classes.

    Raises:
        SambenchError: onnxruntime is missing or without CUDA, or the file is no such export of this model.
    """
    session = _session(path, device)
    metadata = session.get_modelmeta().custom_metadata_map
    try:
        classes = [str(c) for _, c in sorted(ast.literal_eval(metadata["names"]).items())]
    except (KeyError, ValueError, SyntaxError, AttributeError):
        raise SambenchError(
            f"{path}: has no class names in its metadata. Export it with ultralytics, which writes them."
        ) from None
    described = metadata.get("description", "").lower()
    if "yolov8" in described and name not in described:
        raise SambenchError(f"{path}: is no {name}; it says {metadata['description']!r} of itself.")
    given, taken = ([list(x.shape) for x in side] for side in (session.get_inputs(), session.get_outputs()))
    if given != [[1, 3, SIDE, SIDE]] or [shape[1:2] for shape in taken] != [[4 + len(classes)]]:
        raise SambenchError(
            f"{path}: takes {given} and gives {taken}, not (1, 3, {SIDE}, {SIDE}) and "
            f"(1, {4 + len(classes)}, anchors). Export a detector with imgsz={SIDE}, batch=1, nms=False."
        )
    pixels_name = session.get_inputs()[0].name
    return lambda pixels: np.asarray(session.run(None, {pixels_name: pixels})[0][0]), classes


def _session(path: Path, device: torch.device) -> Any:
    try:
        onnxruntime: Any = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise missing(str(path), error, "onnx") from None
    provider: Any = "CPUExecutionProvider"
    if device.type == "cuda":
        provider = ("CUDAExecutionProvider", {"device_id": device.index or 0})
        if provider[0] not in onnxruntime.get_available_providers():
            raise SambenchError(
                f"onnxruntime {onnxruntime.__version__} has no CUDA: pip install onnxruntime-gpu, or say "
                "--device cpu."
            )
    try:
        return onnxruntime.InferenceSession(str(path), providers=[provider])
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise SambenchError(f"{path}: no ONNX model that onnxruntime can run ({said}).") from None
