"""The stretches of work that are timed. Each loads, computes and stores the k-th batch of a rotation.

`load` and `store` run on the CPU, `compute` where the model is; between them `suites.throughput.loops`
carries tensors. What a scope does once, before the clock, stands in its constructor.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from sambench.adapters.base import Prepared, Prompts, Segmenter
from sambench.suites.data.rle import encode
from sambench.suites.throughput.carry import Tensors
from sambench.suites.throughput.inputs import Image, Ring, load, make_ring, prepare, prompt_boxes, rotation
from sambench.suites.throughput.job import FEWEST_BATCHES, Scope

READERS = 8
"""Threads that read the images of a batch; JPEGs take a GPU's time otherwise."""


class Step(ABC):
    """One batch after the other of a scope.

    Attributes:
        images: in a batch.
        prompts: in a batch.
        batches: distinct ones; batch k is the same as batch k + batches.
        inputs: distinct images in them.
        note: what a reader must know of how it was done, or nothing.
    """

    images: int
    prompts: int = 0
    batches: int
    inputs: int
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


class Encoder(Step):
    """Prepared pixels to image features."""

    def __init__(self, segmenter: Segmenter, ring: Ring) -> None:
        self.segmenter, self.ring = segmenter, ring
        self.images, self.batches, self.inputs = ring.batch, len(ring.starts), len(ring.prepared)
        self.alone = True
        try:
            segmenter.run_encoder(ring.pixels[ring.slice(0)].to(segmenter.device))
        except NotImplementedError:
            self.alone = False
            self.note = "encoder timed through embed, with what it prepares for the decoder"

    def load(self, k: int) -> Tensors:
        return (self.ring.pixels[self.ring.slice(k)],)

    def compute(self, k: int, given: Tensors) -> Tensors:
        """(B, 3, S, S) to (B, C, h, w)."""
        if self.alone:
            return (self.segmenter.run_encoder(given[0]),)
        embeddings = self.segmenter.embed(_members(self.ring.members(k), given[0]))
        return (torch.stack([e.features for e in embeddings]),)


class Decoder(Step):
    """Boxes on one encoded image to the best mask of each, at the model's low resolution."""

    def __init__(self, segmenter: Segmenter, images: Sequence[Image], prompts: int, seed: int) -> None:
        self.segmenter = segmenter
        images = images[:FEWEST_BATCHES]
        self.embeddings = [segmenter.embed([p])[0] for p in prepare(segmenter, images)]
        pairs = enumerate(zip(images, self.embeddings, strict=True))
        self.boxes = [prompt_boxes(image, e.size, prompts, seed + i) for i, (image, e) in pairs]
        if segmenter.device.type == "cuda":
            self.boxes = [boxes.pin_memory() for boxes in self.boxes]
        self.images, self.prompts = 1, prompts
        self.batches = self.inputs = len(images)

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


class EndToEnd(Step):
    """Prepared pixels and one box an image to the best mask of each, at the model's low resolution."""

    def __init__(self, segmenter: Segmenter, ring: Ring) -> None:
        self.segmenter, self.ring = segmenter, ring
        self.images = self.prompts = ring.batch
        self.batches, self.inputs = len(ring.starts), len(ring.prepared)

    def load(self, k: int) -> Tensors:
        rows = self.ring.slice(k)
        return self.ring.pixels[rows], self.ring.boxes[rows]

    def compute(self, k: int, given: Tensors) -> Tensors:
        """(B, 3, S, S) and (B, 4) to logits (B, h, w) and predicted IoU (B,)."""
        embeddings = self.segmenter.embed(_members(self.ring.members(k), given[0]))
        best = self.segmenter.decode_each(embeddings, Prompts(boxes=given[1]))
        return best.logits, best.iou


class Application(Step):
    """Image files and one box an image to run-length encoded masks at the images' sizes.

    `READERS` threads read and prepare the images of a batch.
    """

    def __init__(
        self, segmenter: Segmenter, images: Sequence[Image], batch: int, starts: Sequence[int]
    ) -> None:
        self.segmenter = segmenter
        self.readers = ThreadPoolExecutor(READERS, thread_name_prefix="sambench-read")
        self.rotation = [[images[(s + i) % len(images)] for i in range(batch)] for s in starts]
        self.images = self.prompts = batch
        self.batches, self.inputs = len(starts), len(images)

    def load(self, k: int) -> Tensors:
        """Decode and prepare: pixels (B, 3, S, S), boxes (B, 4), sizes (B, 2)."""
        batch = self.rotation[k % self.batches]
        prepared = list(self.readers.map(functools.partial(load, self.segmenter), batch))
        return (
            torch.stack([p.pixels for p in prepared]),
            torch.stack([image.boxes[0] for image in batch]),
            torch.tensor([p.size for p in prepared]),
        )

    def compute(self, k: int, given: Tensors) -> Tensors:
        """B masks, each (1, H, W) bool at its image's size."""
        pixels, boxes, _ = given
        sizes = self._sizes(k, given)
        prepared = [Prepared(p, size) for p, size in zip(pixels, sizes, strict=True)]
        best = self.segmenter.decode_each(self.segmenter.embed(prepared), Prompts(boxes=boxes))
        return tuple(
            self.segmenter.upsample(logits[None], size) > 0
            for logits, size in zip(best.logits, sizes, strict=True)
        )

    def _sizes(self, k: int, given: Tensors) -> list[tuple[int, int]]:
        """The images' sizes: as the annotations state them, for asking a GPU would make it wait."""
        stated = [image.stated for image in self.rotation[k % self.batches]]
        known = [size for size in stated if size is not None]
        if len(known) == len(stated):
            return known
        return [(int(h), int(w)) for h, w in given[2].tolist()]

    def store(self, k: int, results: Tensors) -> None:
        """Encode the masks as COCO writes them."""
        for mask in results:
            encode(mask.numpy())


def _members(prepared: Sequence[Prepared], pixels: Tensor) -> list[Prepared]:
    """The same images with their pixels where they were carried to."""
    return [Prepared(row, p.size) for row, p in zip(pixels, prepared, strict=True)]


def make_step(segmenter: Segmenter, scope: Scope, images: Sequence[Image], batch: int, seed: int) -> Step:
    """Prepare a scope: read the images, fill the rotation, encode what a decoder needs.

    Raises:
        SambenchError: an image cannot be read, or images are no batch.
    """
    if scope.kind == "decoder":
        return Decoder(segmenter, images, scope.prompts, seed)
    if scope.kind == "application":
        return Application(segmenter, images, batch, rotation(len(images), batch))
    ring = make_ring(segmenter, images, batch)
    return Encoder(segmenter, ring) if scope.kind == "encoder" else EndToEnd(segmenter, ring)
