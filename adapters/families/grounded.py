"""A detector of phrases followed by a segmenter: ``DETECTOR+SEGMENTER``, such as ``llmdet_l+sam_vit_h``.

As Grounded SAM does it (arXiv 2401.14159), and SAM 3's authors with baselines that give boxes alone: the
phrase gives boxes with scores, each box is a prompt of the segmenter, and its mask keeps the box's score. The
single mask is taken, as in Grounded SAM's code (``multimask_output=False``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sambench.adapters import plugins
from sambench.adapters.base import (
    Best,
    Embedding,
    Given,
    Prediction,
    Prepared,
    Prompts,
    Segmenter,
)
from sambench.adapters.concepts import Instances, Wanted
from sambench.adapters.detectors.phrases import PhraseDetector
from sambench.adapters.models import PHRASE_DETECTORS, parts_of
from sambench.adapters.registry import create as create_model
from sambench.adapters.weights.resolve import joined, of_parts
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size


def create(name: str, *, weights: Given, device: torch.device) -> Grounded:
    """Build both parts (see `adapters.registry.create`).

    Raises:
        SambenchError: the segmenter takes no boxes, or a part cannot be created.
    """
    detector, segmenter = parts_of(name)
    given = of_parts(name, weights)
    build = plugins.load(PHRASE_DETECTORS[detector].target)
    return Grounded(
        name,
        build(detector, weights=given[detector], device=device),
        create_model(segmenter, weights=given[segmenter], device=str(device)),
    )


@dataclass(frozen=True)
class GroundedPrepared(Prepared):
    """An image made ready for both; ``pixels`` are the segmenter's."""

    own: Prepared
    """The segmenter's."""
    seen: Tensor
    """The detector's pixels."""


@dataclass(frozen=True)
class GroundedEmbedding(Embedding):
    """The segmenter's embedding, and what the detector needs once it is asked for a phrase."""

    own: Embedding
    see: Callable[[], Any]

    @cached_property
    def seen(self) -> Any:
        """The image as the detector sees it; suites without phrases never ask."""
        return self.see()


class Grounded(Segmenter):
    """All that its segmenter is, and phrases beside it.

    All of the detector's proposals compete; what is not wanted goes before a mask is made of it. Doubles are
    not suppressed: these detectors are trained to find each thing once.

    Args:
        name: the registry's name.
        detector: of phrases.
        segmenter: takes boxes.

    Raises:
        SambenchError: it takes none.
    """

    def __init__(self, name: str, detector: PhraseDetector, segmenter: Segmenter) -> None:
        if not segmenter.capabilities.boxes:
            raise SambenchError(
                f"{name}: {segmenter.name} takes no boxes, and boxes are what {detector.name} finds. Name "
                "another segmenter after the +."
            )
        self.name = name
        self.detector = detector
        self.segmenter = segmenter
        self.device = segmenter.device
        self.weights = joined({detector.name: detector.weights, segmenter.name: segmenter.weights})
        self.capabilities = dataclasses.replace(segmenter.capabilities, concepts=True)
        self.prompt_batch = segmenter.prompt_batch
        self.phrase_batch = detector.phrase_batch

    def prepare(self, image: np.ndarray) -> GroundedPrepared:
        """Make an RGB image (H, W, 3) uint8 ready for both."""
        own = self.segmenter.prepare(image)
        return GroundedPrepared(own.pixels, own.size, own, self.detector.prepare(image))

    def embed(self, prepared: Sequence[Prepared]) -> list[Embedding]:
        """Encode a batch for the segmenter; the detector waits for a phrase."""
        both = [one for one in prepared if isinstance(one, GroundedPrepared)]
        found = self.segmenter.embed([dataclasses.replace(p.own, pixels=p.pixels) for p in both])
        return [self._embedding(own, p.seen) for own, p in zip(found, both, strict=True)]

    def _embedding(self, own: Embedding, seen: Tensor) -> GroundedEmbedding:
        return GroundedEmbedding(own.features, own.size, own, lambda: self.detector.see(seen, own.size))

    @torch.inference_mode()
    def find_batch(self, embedding: Embedding, phrases: Sequence[str], wanted: Wanted) -> list[Instances]:
        """Find each phrase's boxes, and a mask for each that is wanted, over all phrases at once."""
        assert isinstance(embedding, GroundedEmbedding)
        found = self.detector.find(embedding.seen, phrases)
        best = [wanted.best(one.scores) for one in found]
        boxes = torch.cat([one.boxes[places] for one, places in zip(found, best, strict=True)])
        parts = [self.decode_batch(embedding, p, multimask=False) for p in self.batches(Prompts(boxes=boxes))]
        counts = [len(places) for places in best]
        logits = torch.cat([part.logits[:, 0] for part in parts]).split(counts)
        rows = zip(logits, found, best, boxes.split(counts), strict=True)
        return [Instances(mask, one.scores[places], own) for mask, one, places, own in rows]

    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        """Have the segmenter decode."""
        return self.segmenter.decode_batch(_own(embedding), prompts, multimask)

    def decode_best(self, embedding: Embedding, prompts: Prompts) -> Best:
        """Have the segmenter decode the best alone."""
        return self.segmenter.decode_best(_own(embedding), prompts)

    def decode_each(self, embeddings: Sequence[Embedding], prompts: Prompts) -> Best:
        """Have the segmenter decode a prompt an image."""
        return self.segmenter.decode_each([_own(one) for one in embeddings], prompts)

    def run_encoder(self, pixels: Tensor) -> Tensor:
        """Compute the segmenter's image encoder alone."""
        return self.segmenter.run_encoder(pixels)

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Have the segmenter bring logits (N, h, w) to the image's size."""
        return self.segmenter.upsample(logits, size)


def _own(embedding: Embedding) -> Embedding:
    assert isinstance(embedding, GroundedEmbedding)
    return embedding.own
