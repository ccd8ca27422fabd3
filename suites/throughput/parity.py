"""The gate before any speed: the same masks as the reference, or no number.

The reference is the same weights in fp32 by the engine ``eager`` on the same device, TF32 off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from adapters.base import Prompts, Segmenter
from suites.images import read_image
from suites.throughput.inputs import Image

LEAST_IOU = {"fp32": 0.999}
"""Mean mask IoU with the reference that a precision must reach; the others, `LEAST_IOU_LOW`."""
LEAST_IOU_LOW = 0.99

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.int64)


@dataclass(frozen=True)
class Masks:
    """The masks of one image."""

    packed: np.ndarray
    """Eight pixels a byte, (n, ceil(H * W / 8)) uint8."""
    finite: bool
    """Whether all logits were."""


@dataclass(frozen=True)
class Gate:
    """What the comparison found."""

    images: int
    masks: int
    finite: bool
    mean_iou: float | None
    """With the reference's masks; ``None`` for the reference itself."""
    least_iou: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the findings as a plain dictionary."""
        return asdict(self)


def least_iou(precision: str) -> float:
    """Return the mean mask IoU that a precision must reach."""
    return LEAST_IOU.get(precision, LEAST_IOU_LOW)


def refusal(gate: Gate, precision: str) -> str | None:
    """Say why no speed may be printed, or return ``None``."""
    if not gate.finite:
        return f"parity: NaN or infinite logits on {gate.images} images"
    least = least_iou(precision)
    if gate.mean_iou is not None and not gate.mean_iou >= least:
        return (
            f"parity: mean mask IoU with fp32 eager is {gate.mean_iou:.4f}, below {least}, over "
            f"{gate.masks} boxes of {gate.images} images"
        )
    return None


@torch.inference_mode()
def masks_of(segmenter: Segmenter, images: Sequence[Image], batch: int) -> Iterator[Masks]:
    """Segment all objects of images by their boxes, encoding ``batch`` images at a time as the clock will.

    The last batch is filled up with images from the front, so that every one has the size that an engine was
    built for.
    """
    for start in range(0, len(images), batch):
        indices = [(start + i) % len(images) for i in range(batch)]
        read = [read_image(images[i].file, images[i].stated) for i in indices]
        embeddings = segmenter.embed([segmenter.prepare(pixels) for pixels in read])
        for i in range(min(batch, len(images) - start)):
            found = [
                segmenter.decode_best(embeddings[i], part).logits
                for part in segmenter.batches(Prompts(boxes=images[start + i].boxes))
            ]
            finite = all(bool(torch.isfinite(logits).all()) for logits in found)
            masks = [segmenter.upsample(logits, embeddings[i].size) > 0 for logits in found]
            packed = [np.packbits(m.flatten(1).cpu().numpy(), axis=1) for m in masks]
            yield Masks(np.concatenate(packed), finite)


def compare(found: Sequence[Masks], reference: Sequence[Masks] | None) -> Gate:
    """Compare masks with the reference's, by image; without a reference see only that they are finite."""
    finite = all(masks.finite for masks in found)
    count = sum(len(masks.packed) for masks in found)
    if reference is None:
        return Gate(len(found), count, finite, None, None)
    ious = np.concatenate([iou(a.packed, b.packed) for a, b in zip(found, reference, strict=True)])
    finite = finite and all(masks.finite for masks in reference)
    return Gate(len(found), count, finite, float(ious.mean()), float(ious.min()))


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of n pairs of packed masks, (n,) float64; two empty masks agree."""
    both = _BITS[a & b].sum(axis=1)
    either = _BITS[a | b].sum(axis=1)
    return np.where(either == 0, 1.0, both / np.maximum(either, 1))
