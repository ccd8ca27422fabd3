"""The gate before any speed: the same masks as the reference, or no number.

The reference is the same weights in fp32 by the engine ``eager`` on the same device, TF32 off. Each mask is
held against the same alternative of the reference: where a model thinks two alternatives equally good, the
last bit decides between masks that may have nothing in common. That the choices are good has a bound of its
own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from sambench.adapters.base import Embedding, Prompts, Segmenter
from sambench.suites.throughput.inputs import Image, alike, load, shapes_of

LEAST_IOU = {"fp32": 0.999}
"""Mean mask IoU with the reference that a precision must reach; the others, `LEAST_IOU_LOW`."""
LEAST_IOU_LOW = 0.99

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.int64)


@dataclass(frozen=True)
class Masks:
    """The masks of n boxes of one image: of each the best, or all A alternatives."""

    packed: np.ndarray
    """Eight pixels a byte, (n, 1 or A, ceil(H * W / 8)) uint8."""
    iou: np.ndarray
    """As predicted, (n, 1 or A)."""
    choice: np.ndarray
    """Which alternative is the best, (n,)."""
    finite: bool
    """Whether all logits were."""


@dataclass(frozen=True)
class Gate:
    """What the comparison found."""

    images: int
    masks: int
    finite: bool
    mean_iou: float | None = None
    """With the same alternatives of the reference; ``None`` for the reference itself, as all that follows."""
    least_iou: float | None = None
    same_choice: float | None = None
    """Share of the boxes for which the reference chooses the same alternative."""
    choice_loss: float | None = None
    """What the choices lose of the IoU that the reference predicts for its own, on average."""

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
    if gate.choice_loss is not None and not gate.choice_loss <= 1 - least:
        return (
            f"parity: its choices among the alternatives lose {gate.choice_loss:.4f} of predicted IoU, more "
            f"than {1 - least:.3f}, over {gate.masks} boxes of {gate.images} images"
        )
    return None


@torch.inference_mode()
def masks_of(
    segmenter: Segmenter, images: Sequence[Image], batch: int, *, alternatives: bool = False
) -> list[Masks]:
    """Segment all objects of images by their boxes, encoding ``batch`` images at a time as the clock will.

    Where images have one shape the last batch is filled up with images from the front, so that every one has
    the size that an engine was built for. Of several shapes a batch has one, and those that are left over go
    together as they are. With ``alternatives`` all masks of a box are kept, as `compare` wants of a
    reference.

    Returns:
        The masks of each image, in the order of the images.
    """
    kinds = alike(shapes_of(segmenter, images))
    found: dict[int, Masks] = {}
    for members in kinds.values():
        size = batch if len(kinds) == 1 else min(batch, len(members))
        for start in range(0, len(members), size):
            batched = [members[(start + i) % len(members)] for i in range(size)]
            embeddings = segmenter.embed([load(segmenter, images[i]) for i in batched])
            for i, embedding in zip(members[start : start + size], embeddings, strict=False):
                found[i] = _masks_of_image(segmenter, embedding, images[i], alternatives)
    return [found[i] for i in range(len(images))]


def _masks_of_image(segmenter: Segmenter, embedding: Embedding, image: Image, alternatives: bool) -> Masks:
    packed, iou, choice, finite = [], [], [], True
    for part in segmenter.batches(Prompts(boxes=image.boxes)):
        if alternatives:
            every = segmenter.decode_batch(embedding, part, multimask=True)
            logits, predicted, best = every.logits, every.iou, every.iou.argmax(dim=1)
        else:
            found = segmenter.decode_best(embedding, part)
            logits, predicted, best = found.logits[:, None], found.iou[:, None], found.choice
        finite = finite and bool(torch.isfinite(logits).all())
        full = segmenter.upsample(logits.flatten(0, 1), embedding.size) > 0
        packed.append(np.packbits(full.unflatten(0, logits.shape[:2]).flatten(2).cpu().numpy(), axis=2))
        iou.append(predicted.cpu().numpy())
        choice.append(best.cpu().numpy())
    return Masks(np.concatenate(packed), np.concatenate(iou), np.concatenate(choice), finite)


def compare(found: Sequence[Masks], reference: Sequence[Masks] | None) -> Gate:
    """Compare best masks with the reference's alternatives, by image.

    Without a reference see only that they are finite.
    """
    finite = all(masks.finite for masks in found)
    count = sum(len(masks.packed) for masks in found)
    if reference is None:
        return Gate(len(found), count, finite)
    ious, same, losses = [], [], []
    for ours, its in zip(found, reference, strict=True):
        rows = np.arange(len(ours.choice))
        ious.append(iou(ours.packed[:, 0], its.packed[rows, ours.choice]))
        same.append(ours.choice == its.choice)
        losses.append(its.iou[rows, its.choice] - its.iou[rows, ours.choice])
    finite = finite and all(masks.finite for masks in reference)
    agreement = np.concatenate(ious)
    return Gate(
        len(found),
        count,
        finite,
        mean_iou=float(agreement.mean()),
        least_iou=float(agreement.min()),
        same_choice=float(np.concatenate(same).mean()),
        choice_loss=float(np.concatenate(losses).mean()),
    )


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of n pairs of packed masks, (n,) float64; two empty masks agree."""
    both = _BITS[a & b].sum(axis=1)
    either = _BITS[a | b].sum(axis=1)
    return np.where(either == 0, 1.0, both / np.maximum(either, 1))
