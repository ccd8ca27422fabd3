"""EfficientViT-SAM behind the common interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adapters.base import Capabilities, Embedding, Prediction, Prepared, Prompts, Segmenter, Size, Weights
from adapters.registry import entry
from adapters.weights import resolve
from evsam import geometry
from evsam.model import EfficientViTSam
from evsam.transformer import ImageTokens
from evsam.zoo import create_model, load_checkpoint

PROMPT_BATCH = {"cpu": 8, "cuda": 64}
"""On a CPU larger batches gain nothing and take some 25 MB a prompt; a GPU wants many at once."""


@dataclass(frozen=True)
class SamEmbedding(Embedding):
    """An embedding with the decoder's image side, computed once for all prompts without a mask."""

    image: ImageTokens


class EfficientViTSamSegmenter(Segmenter):
    """Boxes, points and masks to three masks or one, in the geometry of SAM.

    Args:
        name: the registry's name.
        model: with its weights loaded; moved to the device and set to eval mode.
        weights: where they come from.
        device: where to compute.
    """

    capabilities = Capabilities()

    def __init__(self, name: str, model: EfficientViTSam, weights: Weights, device: torch.device) -> None:
        self.name = name
        self.weights = weights
        self.device = device
        self.model = model.to(device).eval().requires_grad_(False)
        self.model.image_encoder.to(memory_format=torch.channels_last)
        self.prompt_batch = PROMPT_BATCH[device.type]
        self.position = self.model.prompt_encoder.get_dense_pe()

    def prepare(self, image: np.ndarray) -> Prepared:
        """Resize to the input size, normalise, pad: (3, S, S) float32."""
        return Prepared(geometry.preprocess(image, self.model.input_size), (image.shape[0], image.shape[1]))

    @torch.inference_mode()
    def embed(self, prepared: Sequence[Prepared]) -> list[Embedding]:
        """Encode a batch and project each image for the decoder."""
        pixels = torch.stack([p.pixels for p in prepared]).to(self.device, non_blocking=True)
        features = self.model.image_encoder(pixels)
        no_mask = self.model.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return [
            SamEmbedding(f, p.size, self.model.mask_decoder.project_image(f[None] + no_mask, self.position))
            for f, p in zip(features, prepared, strict=True)
        ]

    @torch.inference_mode()
    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        """Scale the prompts to the 1024 frame and decode: logits (N, 3 or 1, 256, 256)."""
        assert isinstance(embedding, SamEmbedding)
        prompts = prompts.to(self.device)
        boxes = points = None
        if prompts.boxes is not None:
            corners = prompts.boxes.float().reshape(-1, 2, 2)
            boxes = geometry.to_prompt_frame(corners, embedding.size).reshape(-1, 4)
        if prompts.points is not None and prompts.labels is not None:
            points = (geometry.to_prompt_frame(prompts.points.float(), embedding.size), prompts.labels)
        sparse, dense = self.model.prompt_encoder(points=points, boxes=boxes, masks=prompts.masks)
        decoder, image = self.model.mask_decoder, embedding.image
        if prompts.masks is not None:
            image = decoder.project_image(embedding.features[None] + dense, self.position)
        return Prediction(*decoder.decode(image, sparse, multimask))

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Resize to the 1024 frame, crop the padding, resize to the image."""
        return geometry.upsample(logits, size)


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Build a variant with the weights asked for (see `adapters.registry.create`)."""
    found = resolve(name, entry(name).weights_file, weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(found.seed or 0)
        model = create_model(name)
    if found.path is not None:
        load_checkpoint(model, Path(found.path))
    return EfficientViTSamSegmenter(name, model, found, device)
