"""A detector's boxes from a file of COCO results, as columns of numbers indexed by image."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from sambench.adapters.files import refuse_changed
from sambench.evsam.errors import SambenchError

_Id = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_KEYS = ("image_id", "category_id", "bbox", "score")
_REMEDY = "ids are the whole numbers of the annotation file, bbox is [x, y, width, height]"
_SHOWN = 60  # characters of a wrong value that a message quotes


class _Detection(msgspec.Struct, gc=False):
    """An entry of the file; further keys, such as ``segmentation``, are passed over."""

    image_id: _Id
    category_id: _Id
    bbox: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True)
class ImageDetections:
    """The N detections of an image, best score first."""

    boxes: np.ndarray
    """(N, 4) float64: x0, y0, x1, y1 in pixels of the image."""
    xywh: np.ndarray
    """(N, 4) float64: x, y, width, height, as the file has them."""
    scores: np.ndarray
    """(N,) float64."""
    category_ids: np.ndarray
    """(N,) int64."""

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Coverage:
    """How detections and a choice of images overlap."""

    used: int
    """Detections on these images."""
    elsewhere: int
    """Detections on other images, which stay unused."""
    images_without: int
    """Of these images, those without a detection."""


class Detections:
    """The boxes of a result file: a list of ``{"image_id", "category_id", "bbox": [x, y, w, h], "score"}``.

    Boxes are sorted by image, falling score, category, then box, so that equal scores do not fall out by the
    order of the file. Boxes without area stay: detectors that round produce them, and prompts are made of
    every box. Nothing is clipped or rounded. An empty list is a detector that found nothing.

    Args:
        path: JSON file in COCO's result format.
        sha256: of the file as it was when the run was planned, where there was a plan.

    Attributes:
        path: as given.
        sha256: of the bytes that were parsed.
        image_ids: (I,) int64, rising, the images with at least one detection.
        category_ids: those found at least once.

    Raises:
        SambenchError: the file is missing, damaged, of another format or another than was planned with, or
            has an impossible number.
    """

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        self.path = path
        content = _read(path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        refuse_changed(path, self.sha256, sha256)
        found = _decode(content, path)
        n = len(found)
        image_ids = np.fromiter((d.image_id for d in found), np.int64, n)
        category_ids = np.fromiter((d.category_id for d in found), np.int64, n)
        scores = np.fromiter((d.score for d in found), np.float64, n)
        xywh = np.fromiter(chain.from_iterable(d.bbox for d in found), np.float64, 4 * n).reshape(n, 4)
        del found
        _refuse_negative(xywh, path)
        x, y, width, height = xywh.T
        order = np.lexsort((height, width, y, x, category_ids, -scores, image_ids))
        self._xywh, self._scores, self._category_ids = xywh[order], scores[order], category_ids[order]
        self.category_ids = frozenset(self._category_ids.tolist())
        self.image_ids, start = np.unique(image_ids[order], return_index=True)
        self._edges = np.append(start, n)  # image i has the rows from edge i to edge i + 1

    def __len__(self) -> int:
        return len(self._scores)

    def of(self, image_id: int) -> ImageDetections:
        """Return the detections of an image; none for an image that the file does not name."""
        i = int(np.searchsorted(self.image_ids, image_id))
        there = i < len(self.image_ids) and self.image_ids[i] == image_id
        rows = slice(self._edges[i], self._edges[i + 1]) if there else slice(0)
        xywh = self._xywh[rows]
        boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        return ImageDetections(boxes, xywh, self._scores[rows], self._category_ids[rows])

    def for_images(self, image_ids: Collection[int]) -> Coverage:
        """Count the detections on the images that are evaluated, and those elsewhere."""
        here = np.isin(self.image_ids, np.fromiter(set(image_ids), np.int64))
        used = int(np.diff(self._edges)[here].sum())
        return Coverage(used, len(self) - used, len(set(image_ids)) - int(here.sum()))


def detections_sha256(path: Path) -> str:
    """Hash a result file, which is not parsed.

    Raises:
        SambenchError: it cannot be read.
    """
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SambenchError(f"{path}: no such file of detections. Give it with --detections.") from None
    except OSError as error:
        raise SambenchError(f"{path}: cannot be read ({error.strerror}).") from None


def _decode(content: bytes, path: Path) -> list[_Detection]:
    try:
        return msgspec.json.decode(content, type=list[_Detection])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SambenchError(f"{path}: {_explain(content, error)}") from None


def _explain(content: bytes, error: Exception) -> str:
    """Say what is wrong with a file that does not parse, after a second, slower look at it."""
    try:
        loaded = json.loads(content)  # unlike the strict parser, takes NaN and Infinity
    except ValueError:
        return f"not valid JSON, perhaps cut off ({error}). Write or copy the file again."
    except RecursionError:
        return "not COCO's result format but lists within lists."
    if isinstance(loaded, dict) and "annotations" in loaded:
        return (
            "an annotation file, not detections. Give it with --annotations; this takes a detector's boxes."
        )
    if not isinstance(loaded, list):
        return f"a JSON {type(loaded).__name__}, not a list of detections ({', '.join(_KEYS)})."
    return next((f"entry {i}: {wrong}" for i, e in enumerate(loaded) if (wrong := _wrong(e))), f"{error}.")


def _wrong(entry: Any) -> str | None:
    """Say what is wrong with an entry, if anything is."""
    if not isinstance(entry, dict):
        return f"{_quote(entry)} is not a detection with {', '.join(_KEYS)}."
    missing = [key for key in _KEYS if key not in entry]
    if missing:
        return f"has no {missing[0]}. Every detection needs {', '.join(_KEYS)}."
    numbers = [entry["score"], *(entry["bbox"] if isinstance(entry["bbox"], list) else [])]
    if any(isinstance(v, float) and not math.isfinite(v) for v in numbers):
        key = "bbox" if _finite(entry["score"]) else "score"
        return f"{key} is {_quote(entry[key])}, not finite. Remove the detection or mend the detector."
    try:
        msgspec.convert(entry, _Detection)
    except msgspec.ValidationError as error:
        field = re.search(r"\$\.(\w+)", str(error))
        value = f"{field[1]} is {_quote(entry[field[1]])}. " if field else ""
        return f"{value}{str(error).partition(' - at')[0]}; {_REMEDY}."
    return None


def _finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _quote(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _refuse_negative(xywh: np.ndarray, path: Path) -> None:
    rows = np.flatnonzero((xywh[:, 2:] < 0).any(axis=1))
    if len(rows):
        raise SambenchError(
            f"{path}: entry {rows[0]}: bbox is {xywh[rows[0]].tolist()}, of negative width or height "
            f"({len(rows)} such). COCO's boxes are [x, y, width, height]; were corners written as x1, y1?"
        )
