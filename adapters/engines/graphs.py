"""The two graphs of a model that other runtimes compute: image encoder and prompt-to-mask decoder.

Every exported engine, and ``sambench export``, comes through here, so that there is one artifact to compare.

encoder    ``pixels`` (B, 3, S, S) float32  ->  ``features`` (B, C, h, w)
decoder    ``features`` (1, C, h, w), ``xy`` (N, T, 2) float32 in the model's prompt frame, ``labels`` (N, T)
           int64  ->  ``logits``, ``iou`` and, of the best alone, ``choice``; with masks of an earlier round,
           ``masks`` (N, 1, 256, 256) is an input too. N and T are free.

Points are labelled as in `evsam.prompt_encoder.as_points`: 1 foreground, 0 background, 2 and 3 a box's corners,
-1 padding (a model that wants a padding point where there is no box gets it from the caller).
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from adapters.engines.parts import Network

MOST_PROMPTS, MOST_POINTS = 64, 12
"""Free sizes are promised up to here: prompts a call, and points a prompt (ten, and two corners of a box)."""

OPSET = 20
"""Of ONNX: the first with Gelu in both forms."""

Which = Literal["three", "single", "best"]
"""Masks that a decoder graph returns: three alternatives, mask token 0's, or the best alternative alone."""


class EncoderGraph(nn.Module):
    """The image encoder with the engine's casts around it."""

    inputs = ("pixels",)
    outputs = ("features",)

    def __init__(self, model: Network, dtype: torch.dtype) -> None:
        super().__init__()
        self.encoder = model.image_encoder
        self.dtype = dtype

    def forward(self, pixels: Tensor) -> Tensor:
        return self.encoder(pixels.to(self.dtype))

    def example(self, side: int, batch: int) -> tuple[Tensor, ...]:
        """Inputs to trace with."""
        return (torch.zeros(batch, 3, side, side),)


class DecoderGraph(nn.Module):
    """From features and points to masks, with the image's projections inside.

    Args:
        model: the network.
        position: of its prompt encoder, `get_dense_pe`.
        which: masks to return.
        with_masks: take masks of an earlier round too.
    """

    def __init__(self, model: nn.Module, position: Tensor, which: Which, *, with_masks: bool = False) -> None:
        super().__init__()
        self.model = model
        self.position = nn.Buffer(position, persistent=False)
        self.which = which
        self.with_masks = with_masks
        self.inputs = ("features", "xy", "labels", *(("masks",) if with_masks else ()))
        self.outputs = ("logits", "iou", *(("choice",) if which == "best" else ()))

    def forward(
        self, features: Tensor, xy: Tensor, labels: Tensor, masks: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Decode: logits (N, M, h, w) and IoU (N, M), or (N, h, w), (N,) and choice (N,) of the best."""
        image = self.model.project_image(features, self.position, masks)
        if self.which == "best":
            logits, iou, choice = self.model.decode_best(image, xy, labels)
            return logits.float(), iou.float(), choice
        logits, iou = self.model.decode(image, xy, labels, self.which == "three")
        return logits.float(), iou.float()
