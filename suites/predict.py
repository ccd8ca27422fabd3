"""Prompts to masks: decode, choose one of the alternatives, upsample that one alone.

Work goes in the decoder's batches from end to end, so that a mask is scored while it is still in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sambench.adapters.base import Best, Embedding, Prediction, Prompts, Segmenter, best_of
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Stopwatch
from sambench.suites.metrics.stability import stability
from sambench.suites.protocol import Protocol


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
        masks = upsampled(segmenter, best.logits, (len(prompts), *embedding.size)) > 0
    return ChosenMasks(masks, best.logits, best.iou, best.choice)


def _decode(segmenter: Segmenter, embedding: Embedding, prompts: Prompts, protocol: Protocol) -> Best:
    """Decode the alternative of each prompt that it is scored by, and no other where the model can."""
    segmenter.check(prompts)
    if protocol.select == "pred_iou":
        return segmenter.decode_best(embedding, prompts)
    prediction = segmenter.decode_batch(embedding, prompts, multimask=protocol.select != "single")
    return choose(prediction, protocol)


def upsampled(segmenter: Segmenter, logits: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Bring logits (N, h, w) to the image's size, ``shape`` (N, H, W).

    Raises:
        SambenchError: what would else be scored as a bad mask: an adapter's or a precision's fault.
    """
    full = segmenter.upsample(logits, shape[1:])
    if tuple(full.shape) != shape:
        raise SambenchError(
            f"{segmenter.name}: upsample gave {tuple(full.shape)}, the image asks for {shape}."
        )
    if not bool(torch.isfinite(logits).all()):
        raise SambenchError(f"{segmenter.name}: its logits are not finite (NaN or infinite).")
    return full


def choose(prediction: Prediction, protocol: Protocol) -> Best:
    """Choose the alternative that each prompt is scored by, the first among equals."""
    if protocol.select != "stability":
        return best_of(prediction)
    return best_of(prediction, by=stability(prediction.logits).nan_to_num())  # no pixel: not stable at all
