"""Masks to COCO's compressed run-length encoding."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

import cv2
import numpy as np


class Rle(TypedDict):
    """A mask as COCO writes it: run lengths down the columns, five bits a character."""

    size: list[int]
    """[height, width]."""
    counts: bytes


def encode(masks: np.ndarray) -> list[Rle]:
    """Encode masks, byte for byte as ``pycocotools.mask.encode`` does.

    COCO counts down the columns while masks lie in memory row by row. OpenCV turns them, one mask at a
    time; NumPy's transposed copy would cost ten times the encoding (`benchmarks.detections` has the numbers).

    Args:
        masks: (N, H, W) bool, H and W at least 1.
    """
    import hotcoco  # at the first use, as the evaluators do

    return [hotcoco.mask.encode(cv2.transpose(mask).T) for mask in masks.view(np.uint8)]


def as_json(rle: Rle) -> dict[str, Any]:
    """Return an encoding that JSON can hold: its counts as text."""
    return {"size": rle["size"], "counts": rle["counts"].decode("ascii")}


def as_text(coded: Mapping[str, Any]) -> str:
    """Return what `as_json` made as records hold it: JSON without spaces."""
    return json.dumps(coded, separators=(",", ":"))


def encode_text(masks: np.ndarray) -> list[str]:
    """Encode masks (N, H, W) bool as records hold them (see `encode` and `as_text`)."""
    return [as_text(as_json(rle)) for rle in encode(masks)]
