"""Grounding DINO, MM Grounding DINO and LLMDet of transformers as detectors of phrases: one structure.

A phrase is a caption of its own, "hot dog.", so that it is answered as if it were alone. A box's score is the
mean of the sigmoids at the phrase's tokens, as of a category (`adapters.detectors.captions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sambench.adapters.base import Weights
from sambench.adapters.concepts import Texts
from sambench.adapters.detectors import grounding_dino
from sambench.adapters.detectors.base import Category
from sambench.adapters.detectors.captions import Caption, captions
from sambench.adapters.detectors.phrases import Boxes, PhraseDetector, find_folder
from sambench.adapters.devices import by_kind
from sambench.adapters.weights.upstream import weights_folder
from sambench.evsam.size import Size

PHRASE_BATCH = {"cpu": 1, "cuda": 8}
"""A phrase takes 0.9 GB over an image of 800 x 1067, and on a CPU four at once take longer than one by one.
"""

Maps = tuple[list[tuple[Tensor, Tensor]], list[Tensor]]
"""What the backbone makes of an image: maps (1, C, h, w) with their masks (1, h, w), and positions."""


@dataclass(frozen=True)
class Seen:
    """An image as the backbone saw it, once for all phrases."""

    pixels: Tensor
    """(1, 3, h, w), on the device."""
    maps: Maps
    size: Size
    """Of the original image."""


def create(name: str, *, weights: str | None, device: torch.device) -> GroundingPhrases:
    """Build a detector by its name in `adapters.models.PHRASE_DETECTORS`.

    Args:
        name: of the detector.
        weights: a folder as ``save_pretrained`` writes it; ``"random"``; ``None`` for that of the weights
            folder.
        device: where to compute.

    Raises:
        SambenchError: transformers is missing, or weights or vocabulary are missing or wrong.
    """
    found = find_folder(name, weights)
    vocabulary = Path(found.path or weights_folder() / "bert-base-uncased")
    tokenizer = grounding_dino.load_tokenizer(vocabulary, f"put them into {vocabulary}")
    model = grounding_dino.transformers_model(name, found, device)
    return GroundingPhrases(name, model=model, tokenizer=tokenizer, weights=found, device=device)


class GroundingPhrases(PhraseDetector):
    """Captions of one phrase each, through a model whose backbone remembers the image.

    Args:
        name: of the detector.
        model: of transformers, with its weights loaded.
        tokenizer: of BERT's uncased vocabulary.
        weights: where the parameters come from.
        device: where to compute.
    """

    def __init__(
        self, name: str, *, model: Any, tokenizer: Any, weights: Weights, device: torch.device
    ) -> None:
        self.name = name
        self.weights = weights
        self.device = device
        self.phrase_batch = by_kind(PHRASE_BATCH, device.type)
        self.model = model
        self.backbone = _Remembered(model.model.backbone)
        self.model.model.backbone = self.backbone
        self.tokenizer = tokenizer
        self.texts = Texts(self._encode_texts)

    def prepare(self, image: np.ndarray) -> Tensor:
        """Resize and normalise an RGB image (H, W, 3) uint8: (3, h, w) float32."""
        return grounding_dino.prepare(image)

    @torch.inference_mode()
    def see(self, pixels: Tensor, size: Size) -> Seen:
        """Compute the backbone for a prepared image (3, h, w) that was of ``size``."""
        pixels = pixels[None].to(self.device)
        everywhere = torch.ones(pixels[:, 0].shape, dtype=torch.long, device=self.device)
        return Seen(pixels, self.backbone.compute(pixels, everywhere), size)

    @torch.inference_mode()
    def find(self, seen: Seen, phrases: Sequence[str]) -> list[Boxes]:
        """Find each phrase, at least one, by itself; they go through the rest of the model as a batch."""
        texts = self.texts(phrases)
        # padding is masked wherever the model reads text, so a longer phrase beside it changes nothing
        tokens = nn.utils.rnn.pad_sequence([text.tokens for text in texts], batch_first=True)
        lengths = torch.tensor([[len(text.tokens)] for text in texts])
        there = torch.arange(tokens.shape[1]) < lengths
        with self.backbone.remembering(seen.maps):
            output = self.model(
                pixel_values=seen.pixels.expand(len(texts), -1, -1, -1),
                input_ids=tokens.to(self.device),
                attention_mask=there.long().to(self.device),
            )
        height, width = seen.size
        centre, half = output.pred_boxes.float().split(2, dim=2)
        corners = torch.cat([centre - half / 2, centre + half / 2], dim=2)
        boxes = corners * corners.new_tensor([width, height, width, height])
        return [
            Boxes(text.scores(logits.float())[:, 0], own)
            for text, logits, own in zip(texts, output.logits, boxes, strict=True)
        ]

    def _encode_texts(self, phrases: Sequence[str]) -> list[Caption]:
        each = [Category(i, phrase) for i, phrase in enumerate(phrases)]
        return captions(self.tokenizer, each, chunk_size=1, names="as_given")


class _Remembered(nn.Module):
    """A backbone that answers with what it has made of an image before, for as many phrases as ask."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.compute = backbone
        self.position_embedding = backbone.position_embedding  # the model asks for it by this name
        self.maps: Maps | None = None

    def remembering(self, maps: Maps) -> _Remembered:
        """Answer with these maps within a ``with``."""
        self.maps = maps
        return self

    def __enter__(self) -> None:
        assert self.maps is not None

    def __exit__(self, *_: object) -> None:
        self.maps = None

    def forward(self, pixels: Tensor, _mask: Tensor) -> Maps:
        """Repeat the maps for each of B phrases, whose pixels (B, 3, h, w) are the same."""
        assert self.maps is not None
        maps, positions = self.maps
        n = len(pixels)
        repeated = [(_repeat(one, n), _repeat(mask, n)) for one, mask in maps]
        return repeated, [_repeat(one, n) for one in positions]


def _repeat(x: Tensor, n: int) -> Tensor:
    return x.expand(n, *x.shape[1:])
