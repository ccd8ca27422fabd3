"""The two graphs of a model that other runtimes compute: image encoder and prompt-to-mask decoder.

Every exported engine, and ``sambench export``, comes through here, so that there is one artifact to compare.

encoder    ``pixels`` (B, 3, S, S) float32  ->  ``features`` (B, C, h, w)
decoder    ``features`` (1, C, h, w), ``xy`` (N, T, 2) float32 in the model's prompt frame, ``labels`` (N, T)
           int64  ->  ``logits``, ``iou`` and, of the best alone, ``choice``; with masks of an earlier round,
           ``masks`` (N, 1, 256, 256) is an input too. N and T are free.

Points are labelled as in `evsam.prompt_encoder.as_points`: 1 foreground, 0 background, 2 and 3 a box's
corners, -1 padding (a model that wants a padding point where there is no box gets it from the caller).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sambench.adapters.engines.parts import Network
from sambench.evsam.mask_decoder import TokenDecoder

MOST_PROMPTS, MOST_POINTS = 64, 12
"""Free sizes are promised up to here: prompts a call, and points a prompt (ten, and two corners of a box)."""

MOST_IMAGES = 64
"""Largest batch of an encoder whose batch is free."""

Which = Literal["three", "single", "best"]
"""Masks that a decoder graph returns: three alternatives, mask token 0's, or the best alternative alone."""

Free = dict[str, dict[int, tuple[str, int]]]
"""Of each input the dimensions that are free: their name and largest size."""


@dataclass(frozen=True)
class Types:
    """What a graph computes in; the graph says it of every tensor, so runtimes have nothing to choose."""

    encoder: torch.dtype
    decoder: torch.dtype
    """Of what has the image's size; tokens and their positions are float32 always."""
    features: torch.dtype
    """What encoder and decoder exchange."""


TYPES = {
    "fp32": Types(torch.float32, torch.float32, torch.float32),
    "tf32": Types(torch.float32, torch.float32, torch.float32),
    "bf16": Types(torch.bfloat16, torch.bfloat16, torch.bfloat16),
    "fp16": Types(torch.float16, torch.float16, torch.float16),
    "int8": Types(torch.float32, torch.float32, torch.float32),
}
"""Of each precision; int8 is made of the float32 graph (`adapters.engines.calibrate`)."""


class EncoderGraph(nn.Module):
    """The image encoder with the engine's casts around it; the model's encoder is cast in place.

    Args:
        model: the network.
        types: to compute in.
        batch: images a call; ``None`` leaves it free.
    """

    title = "encoder"
    inputs = ("pixels",)
    outputs = ("features",)

    def __init__(self, model: Network, types: Types, batch: int | None = None) -> None:
        super().__init__()
        self.encoder = model.image_encoder.to(types.encoder)
        self.embedding = embedding_shape(model.mask_decoder)
        self.types = types
        self.side = model.input_size
        self.batch = batch

    def forward(self, pixels: Tensor) -> Tensor:
        return self.encoder(pixels.to(self.types.encoder)).to(self.types.features)

    def example(self) -> tuple[Tensor, ...]:
        """Inputs to trace with. A free size is not traced at 1, which the exporter takes for a constant."""
        return (torch.zeros(self.batch or 2, 3, self.side, self.side),)

    def results(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return memory for what these inputs give."""
        shape = (pixels.shape[0], *self.embedding)
        return (pixels.new_empty(shape, dtype=self.types.features),)

    def free(self) -> Free:
        """Which sizes the graph leaves free."""
        return {} if self.batch else {"pixels": {0: ("B", MOST_IMAGES)}}


class DecoderGraph(nn.Module):
    """From features and points to masks, with the image's projections inside; cast in place.

    Args:
        model: the network.
        position: of its prompt encoder, `get_dense_pe`.
        types: to compute in.
        which: masks to return.
        with_masks: take masks of an earlier round too.
        most_points: that a prompt of the model may have.
    """

    def __init__(
        self,
        model: Any,
        position: Tensor,
        types: Types,
        which: Which,
        *,
        with_masks: bool = False,
        most_points: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.model.mask_decoder.lower(types.decoder)
        self.embedding = embedding_shape(model.mask_decoder)
        self.mask_size: int = model.mask_decoder.mask_size
        self.position = nn.Buffer(position, persistent=False)
        self.types = types
        self.which = which
        self.most_points = min(most_points or MOST_POINTS, MOST_POINTS)
        self.title = f"decoder-{which}" + ("-masks" if with_masks else "")
        self.inputs = ("features", "xy", "labels", *(("masks",) if with_masks else ()))
        self.outputs = ("logits", "iou", *(("choice",) if which == "best" else ()))

    def forward(
        self, features: Tensor, xy: Tensor, labels: Tensor, masks: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Decode: logits (N, M, h, w) and IoU (N, M), or (N, h, w), (N,) and choice (N,) of the best."""
        if masks is not None:
            # OpenVINO adds masks and features inside a convolution, where it cannot broadcast. An expansion
            # it would undo; a look-up it leaves alone.
            features = features[torch.zeros_like(labels[:, 0])]
        image = self.model.project_image(features.to(self.types.decoder), self.position, masks)
        if self.which == "best":
            logits, iou, choice = self.model.decode_best(image, xy, labels)
            return logits.float(), iou.float(), choice
        logits, iou = self.model.decode(image, xy, labels, self.which == "three")
        return logits.float(), iou.float()

    def example(self) -> tuple[Tensor, ...]:
        """Inputs to trace with. A free size is not traced at 1, which the exporter takes for a constant."""
        n, t = 2, 3
        features = torch.zeros(1, *self.embedding, dtype=self.types.features)
        masks = (torch.zeros(n, 1, self.mask_size, self.mask_size),) if "masks" in self.inputs else ()
        return (features, torch.ones(n, t, 2), torch.ones(n, t, dtype=torch.int64), *masks)

    def results(self, features: Tensor, xy: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Return memory for what these inputs give."""
        del features, rest
        n = xy.shape[0]
        alternatives = {"three": (n, 3), "single": (n, 1), "best": (n,)}[self.which]
        logits = xy.new_empty(*alternatives, self.mask_size, self.mask_size)
        choice = (xy.new_empty(n, dtype=torch.int64),) if self.which == "best" else ()
        return (logits, xy.new_empty(alternatives), *choice)

    def free(self) -> Free:
        """Which sizes the graph leaves free."""
        prompts, points = ("N", MOST_PROMPTS), ("T", self.most_points)
        sizes = {"xy": {0: prompts, 1: points}, "labels": {0: prompts, 1: points}, "masks": {0: prompts}}
        return {name: free for name, free in sizes.items() if name in self.inputs}


Graph = EncoderGraph | DecoderGraph


def embedding_shape(decoder: TokenDecoder) -> tuple[int, int, int]:
    """Return (C, h, w) of the features that a decoder takes."""
    return (decoder.transformer.dim, decoder.embed_size, decoder.embed_size)
