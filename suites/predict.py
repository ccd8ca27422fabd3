"""Prompts to scored masks: decode, choose one of the alternatives, upsample that one alone, compare.

Work goes in the decoder's batches from end to end, so that a mask is scored while it is still in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sambench.adapters.base import Best, Embedding, Prediction, Prompts, Segmenter, best_of
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Stopwatch
from sambench.suites.data.masks import WindowMask
from sambench.suites.protocol import Protocol

STABILITY_OFFSET = 1.0  # logits are cut at +1 and -1 ("Segment Anything", appendix B; SAM's generator)


@dataclass(frozen=True)
class ChosenMasks:
    """One mask for each of n prompts, the alternative that the protocol selects."""

    masks: Tensor
    """(n, H, W) bool at the image's size, on the segmenter's device."""
    logits: Tensor
    """(n, h, w), low resolution."""
    pred_iou: Tensor
    """(n,) as the model predicts."""
    choice: Tensor
    """(n,) which of the alternatives."""


def predict(
    segmenter: Segmenter, embedding: Embedding, prompts: Prompts, protocol: Protocol, watch: Stopwatch
) -> Iterator[ChosenMasks]:
    """Predict masks for all prompts on an image, one decoder batch after the other, in order."""
    for batch in segmenter.batches(prompts):
        yield _predict_batch(segmenter, embedding, batch, protocol, watch)


@torch.inference_mode()
def _predict_batch(
    segmenter: Segmenter, embedding: Embedding, prompts: Prompts, protocol: Protocol, watch: Stopwatch
) -> ChosenMasks:
    with watch("decode", segmenter.device):
        best = _decode(segmenter, embedding, prompts, protocol)
    with watch("upsample", segmenter.device):
        full = segmenter.upsample(best.logits, embedding.size)
        _check(segmenter, best.logits, full, (len(prompts), *embedding.size))
        masks = full > 0
    return ChosenMasks(masks, best.logits, best.iou, best.choice)


def _decode(segmenter: Segmenter, embedding: Embedding, prompts: Prompts, protocol: Protocol) -> Best:
    """Decode the alternative of each prompt that it is scored by, and no other where the model can."""
    segmenter.check(prompts)
    if protocol.select == "pred_iou":
        return segmenter.decode_best(embedding, prompts)
    prediction = segmenter.decode_batch(embedding, prompts, multimask=protocol.select != "single")
    return choose(prediction, protocol)


def _check(segmenter: Segmenter, logits: Tensor, full: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse what would else be scored as a bad mask: an adapter's or a precision's fault."""
    if tuple(full.shape) != shape:
        raise SambenchError(
            f"{segmenter.name}: upsample gave {tuple(full.shape)}, the image asks for {shape}."
        )
    if not bool(torch.isfinite(logits).all()):
        raise SambenchError(f"{segmenter.name}: its logits are not finite (NaN or infinite).")


def choose(prediction: Prediction, protocol: Protocol) -> Best:
    """Choose the alternative that each prompt is scored by, the first among equals."""
    return best_of(prediction, by=stability(prediction.logits) if protocol.select == "stability" else None)


def stability(logits: Tensor) -> Tensor:
    """IoU between a mask cut high and cut low, (N, M): how little it depends on the threshold."""
    high = (logits > STABILITY_OFFSET).flatten(2).sum(dim=2)
    low = (logits > -STABILITY_OFFSET).flatten(2).sum(dim=2)
    return high / low.clamp(min=1)


def mask_iou(masks: Tensor, truth: Sequence[WindowMask]) -> np.ndarray:
    """IoU of n predicted masks (n, H, W) bool with their objects, (n,) float64; 0 where both are empty.

    Counted where the masks are: numpy on the CPU (its count over bytes is several times torch's), one
    reduction for all on a GPU.
    """
    if masks.device.type == "cpu":
        pairs = [_count(m, t) for m, t in zip(masks.numpy(), truth, strict=True)]
        overlap, predicted = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    else:
        overlap, predicted = count_on_device(masks, truth)
    union = predicted + np.array([t.area for t in truth], dtype=np.int64) - overlap
    return overlap / np.maximum(union, 1)


def _count(mask: np.ndarray, truth: WindowMask) -> tuple[int, int]:
    """Pixels in both, and in the predicted mask."""
    overlap = np.count_nonzero(mask[truth.window] & truth.pixels)
    return int(overlap), int(np.count_nonzero(mask))


def count_on_device(masks: Tensor, truth: Sequence[WindowMask]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in both, and in the predicted masks, each (n,), in three reductions on the masks' device."""
    full = torch.from_numpy(np.stack([t.full() for t in truth])).to(masks.device, non_blocking=True)
    overlap = (masks & full).flatten(1).sum(dim=1)
    predicted = masks.flatten(1).sum(dim=1)
    counted = torch.stack([overlap, predicted]).cpu().numpy()
    return counted[0], counted[1]
