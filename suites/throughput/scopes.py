"""The stretches of work that are timed. Each loads, computes and stores the k-th batch of a rotation.

`load` and `store` run on the CPU, `compute` where the model is; between them `suites.throughput.loops`
carries tensors. What a scope does once, before the clock, stands in its constructor.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from sambench.adapters.base import Prepared, Prompts, Segmenter
from sambench.suites.data.rle import encode
from sambench.suites.throughput.carry import Tensors
from sambench.suites.throughput.inputs import (
    Batch,
    Image,
    Inputs,
    Shape,
    load,
    make_inputs,
    prepare,
    prompt_boxes,
    shape_of,
)
from sambench.suites.throughput.job import FEWEST_BATCHES, Scope

READERS = 8
"""Threads that read the images of a batch; JPEGs take a GPU's time otherwise."""


class Step(ABC):
    """One batch after the other of a scope.

    Attributes:
        images: in a batch.
        prompts: in a batch.
        batches: distinct ones; batch k is the same as batch k + batches.
        inputs: the images in them, by their places among those drawn.
        shapes: that they are prepared to.
        note: what a reader must know of how it was done, or nothing.
    """

    images: int
    prompts: int = 0
    batches: int
    inputs: tuple[int, ...]
    shapes: tuple[Shape, ...]
    note: str = ""

    @abstractmethod
    def load(self, k: int) -> Tensors:
        """Return the k-th batch on the CPU."""

    @abstractmethod
    def compute(self, k: int, given: Tensors) -> Tensors:
        """Compute the k-th batch, given on the model's device; the results stay there."""

    def store(self, k: int, results: Tensors) -> None:
        """Do with the results, on the CPU, what the scope asks for; most ask for nothing."""
        del k, results


class Batched(Step):
    """A scope of several images at once."""

    def __init__(self, segmenter: Segmenter, inputs: Inputs) -> None:
        self.segmenter, self.rotation = segmenter, inputs.batches
        self.images, self.batches = len(inputs.batches[0].members), len(inputs.batches)
        self.inputs, self.note = inputs.used, inputs.note
        self.shapes = tuple(dict.fromkeys(inputs.shapes[i] for i in inputs.used))

    def batch(self, k: int) -> Batch:
        """Return the k-th batch."""
        return self.rotation[k % self.batches]


class Encoder(Batched):
    """Prepared pixels to image features."""

    def __init__(self, segmenter: Segmenter, inputs: Inputs) -> None:
        super().__init__(segmenter, inputs)
        self.alone = True
        try:
            segmenter.run_encoder(self.batch(0).pixels.to(segmenter.device))
        except NotImplementedError:
            self.alone = False
            how = "encoder timed through embed, with what it prepares for the decoder"
            self.note = "; ".join(filter(None, (how, self.note)))

    def load(self, k: int) -> Tensors:
        return (self.batch(k).pixels,)

    def compute(self, k: int, given: Tensors) -> Tensors:
        """(B, 3, S, S) to (B, C, h, w), or to B times (C, h, w) through `embed`."""
        if self.alone:
            return (self.segmenter.run_encoder(given[0]),)
        embeddings = self.segmenter.embed(_at(given[0], self.batch(k).prepared))
        return tuple(e.features for e in embeddings)


class Decoder(Step):
    """Boxes on one encoded image to the best mask of each, at the model's low resolution."""

    def __init__(self, segmenter: Segmenter, images: Sequence[Image], prompts: int, seed: int) -> None:
        self.segmenter = segmenter
        images = images[:FEWEST_BATCHES]
        prepared = prepare(segmenter, images)
        self.shapes = tuple(dict.fromkeys(map(shape_of, prepared)))
        self.embeddings = [segmenter.embed([p])[0] for p in prepared]
        pairs = enumerate(zip(images, self.embeddings, strict=True))
        self.boxes = [prompt_boxes(image, e.size, prompts, seed + i) for i, (image, e) in pairs]
        if segmenter.device.type == "cuda":
            self.boxes = [boxes.pin_memory() for boxes in self.boxes]
        self.images, self.prompts = 1, prompts
        self.batches, self.inputs = len(images), tuple(range(len(images)))

    def load(self, k: int) -> Tensors:
        return (self.boxes[k % self.batches],)

    def compute(self, k: int, given: Tensors) -> Tensors:
        """(P, 4) to logits (P, h, w) and predicted IoU (P,)."""
        embedding = self.embeddings[k % self.batches]
        found = [
            self.segmenter.decode_best(embedding, part)
            for part in self.segmenter.batches(Prompts(boxes=given[0]))
        ]
        if len(found) == 1:
            return found[0].logits, found[0].iou
        return torch.cat([f.logits for f in found]), torch.cat([f.iou for f in found])


class EndToEnd(Batched):
    """Prepared pixels and one box an image to the best mask of each, at the model's low resolution."""

    def __init__(self, segmenter: Segmenter, inputs: Inputs) -> None:
        super().__init__(segmenter, inputs)
        self.prompts = self.images

    def load(self, k: int) -> Tensors:
        return self.batch(k).pixels, self.batch(k).boxes

    def compute(self, k: int, given: Tensors) -> Tensors:
        """(B, 3, S, S) and (B, 4) to logits (B, h, w) and predicted IoU (B,)."""
        embeddings = self.segmenter.embed(_at(given[0], self.batch(k).prepared))
        best = self.segmenter.decode_each(embeddings, Prompts(boxes=given[1]))
        return best.logits, best.iou


class Application(Batched):
    """Image files and one box an image to run-length encoded masks at the images' sizes.

    `READERS` threads read and prepare the images of a batch. They were read once before, to know which have
    one shape; nothing of that is kept but their sizes.
    """

    def __init__(self, segmenter: Segmenter, inputs: Inputs, images: Sequence[Image]) -> None:
        super().__init__(segmenter, inputs)
        self.prompts = self.images
        self.files = images
        self.rotation = tuple(_emptied(batch) for batch in inputs.batches)
        self.readers = ThreadPoolExecutor(READERS, thread_name_prefix="sambench-read")

    def load(self, k: int) -> Tensors:
        """Decode and prepare: pixels (B, 3, S, S), boxes (B, 4)."""
        files = [self.files[i] for i in self.batch(k).members]
        prepared = list(self.readers.map(functools.partial(load, self.segmenter), files))
        return torch.stack([p.pixels for p in prepared]), self.batch(k).boxes

    def compute(self, k: int, given: Tensors) -> Tensors:
        """B masks, each (1, H, W) bool at its image's size."""
        pixels, boxes = given
        prepared = _at(pixels, self.batch(k).prepared)
        best = self.segmenter.decode_each(self.segmenter.embed(prepared), Prompts(boxes=boxes))
        return tuple(
            self.segmenter.upsample(logits[None], p.size) > 0
            for logits, p in zip(best.logits, prepared, strict=True)
        )

    def store(self, k: int, results: Tensors) -> None:
        """Encode the masks as COCO writes them."""
        for mask in results:
            encode(mask.numpy())


def _at(pixels: Tensor, prepared: Sequence[Prepared]) -> list[Prepared]:
    """The same images with their pixels where they were carried to."""
    return [replace(p, pixels=row) for row, p in zip(pixels, prepared, strict=True)]


def _emptied(batch: Batch) -> Batch:
    """A batch without its pixels, which is small."""
    nothing = torch.empty(0)
    return replace(
        batch,
        pixels=nothing,
        prepared=tuple(replace(p, pixels=nothing) for p in batch.prepared),
    )


def make_step(segmenter: Segmenter, scope: Scope, images: Sequence[Image], batch: int, seed: int) -> Step:
    """Prepare a scope: read the images, fill the rotation, encode what a decoder needs.

    Raises:
        SambenchError: an image cannot be read.
        NotApplicableError: images of one shape are too few for batches.
    """
    if scope.kind == "decoder":
        return Decoder(segmenter, images, scope.prompts, seed)
    inputs = make_inputs(segmenter, images, batch)
    if scope.kind == "application":
        return Application(segmenter, inputs, images)
    return Encoder(segmenter, inputs) if scope.kind == "encoder" else EndToEnd(segmenter, inputs)
