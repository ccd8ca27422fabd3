"""What the models share that differ from SAM in their image encoder alone: geometry, prompts, decoder."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from sambench.adapters.base import (
    Best,
    Capabilities,
    Embedding,
    Prediction,
    Prepared,
    Prompts,
    Segmenter,
    Weights,
)
from sambench.adapters.devices import by_kind
from sambench.adapters.engines.parts import Image, Parts, TorchParts
from sambench.adapters.weights.likeness import looks_like
from sambench.adapters.weights.resolve import resolve
from sambench.evsam import geometry
from sambench.evsam.checkpoint import OtherModelError, load_checkpoint
from sambench.evsam.errors import SambenchError
from sambench.evsam.fuse import fuse_norms
from sambench.evsam.mask_decoder import MaskDecoder
from sambench.evsam.model import Sam
from sambench.evsam.neck import EMBED_DIM, EMBED_SIZE
from sambench.evsam.prompt_encoder import MASK_CHANNELS, PROMPT_FRAME, PromptEncoder, as_points
from sambench.evsam.size import Size
from sambench.evsam.transformer import CROSS_DIM, HEADS, LAYERS, MLP_DIM, TwoWayTransformer

NORM_EPS = 1e-5
"""Epsilon of the layer norms in SAM's two-way transformer (torch's default, official ``transformer.py``)."""

PROMPT_BATCH = {"cpu": 16, "cuda": 64}
"""On a CPU larger batches gain little and take some 25 MB a prompt; a GPU wants many at once."""

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class SamEmbedding(Embedding):
    """An embedding with the decoder's image side, computed once for all prompts without a mask."""

    image: Image


class SamSegmenter(Segmenter):
    """Boxes, points and masks to three masks or one, in the geometry of SAM.

    The arithmetic is its `parts`, which an engine may replace (`adapters.engines`).

    Args:
        name: the registry's name.
        model: with its weights loaded. A copy is moved to the device, set to eval mode, frozen and fused;
            the caller's stays as it is, and what it learns later does not come here.
        weights: where they come from.
        device: where to compute.
        adopt: take the model itself, of a caller that has no more use for it: beside ViT-H, a copy would take
            2.5 GB.
    """

    capabilities = Capabilities()
    single: Literal["token", "best"] = "token"
    """Where one mask is wanted: that of mask token 0, or the best of the three."""

    def __init__(
        self, name: str, model: Any, weights: Weights, device: torch.device, *, adopt: bool = False
    ) -> None:
        self.name = name
        self.weights = weights
        self.device = device
        model = model if adopt else copy.deepcopy(model)
        self.model = model.to(device).eval().requires_grad_(False)
        fuse_norms(self.model)
        self.model.image_encoder.to(memory_format=torch.channels_last)
        self.prompt_batch = by_kind(PROMPT_BATCH, device.type)
        self.position: Tensor = self.model.prompt_encoder.get_dense_pe()
        self.parts: Parts = TorchParts(self.model, self.position)

    def prepare(self, image: np.ndarray) -> Prepared:
        """Resize to the input size, normalise, pad: (3, S, S) float32."""
        return Prepared(geometry.preprocess(image, self.model.input_size), (image.shape[0], image.shape[1]))

    @torch.inference_mode()
    def run_encoder(self, pixels: Tensor) -> Tensor:
        """Compute the image encoder alone."""
        return self.parts.encode(pixels)

    @torch.inference_mode()
    def embed(self, prepared: Sequence[Prepared]) -> list[Embedding]:
        """Encode a batch and project each image for the decoder."""
        pixels = torch.stack([p.pixels for p in prepared]).to(self.device, non_blocking=True)
        features = self.parts.encode(pixels)
        return [
            SamEmbedding(f, p.size, self.parts.project(f[None]))
            for f, p in zip(features, prepared, strict=True)
        ]

    @torch.inference_mode()
    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        """Bring the prompts into the model's frame and decode: logits (N, 3 or 1, 256, 256)."""
        if not multimask and self.single == "best":
            best = self.decode_best(embedding, prompts)
            return Prediction(best.logits[:, None], best.iou[:, None])
        image, prompts = self._image(embedding, prompts)
        return Prediction(*self.parts.decode(image, *self.to_points(prompts, embedding.size), multimask))

    @torch.inference_mode()
    def decode_best(self, embedding: Embedding, prompts: Prompts) -> Best:
        """Decode as `decode_batch`, up to the choice; one mask from there."""
        image, prompts = self._image(embedding, prompts)
        return Best(*self.parts.decode_best(image, *self.to_points(prompts, embedding.size)))

    @torch.inference_mode()
    def decode_each(self, embeddings: Sequence[Embedding], prompts: Prompts) -> Best:
        """Decode one prompt on each of N images in a single call, where the engine can."""
        images = [one.image for one in embeddings if isinstance(one, SamEmbedding)]
        image = self.parts.join(images) if prompts.masks is None else None
        if image is None:
            return super().decode_each(embeddings, prompts)
        prompts = prompts.to(self.device)
        points = [self.to_points(prompts[i : i + 1], one.size) for i, one in enumerate(embeddings)]
        xy, labels = (torch.cat(part) for part in zip(*points, strict=True))
        return Best(*self.parts.decode_best(image, xy, labels))

    def to_points(self, prompts: Prompts, size: Size) -> tuple[Tensor, Tensor]:
        """Write prompts on an image of ``size`` as points in the model's frame: xy (N, T, 2) and labels."""
        frame = self.model.prompt_encoder.frame
        boxes = points = None
        if prompts.boxes is not None:
            corners = prompts.boxes.float().reshape(-1, 2, 2)
            boxes = geometry.to_prompt_frame(corners, size, frame=frame).reshape(-1, 4)
        if prompts.points is not None and prompts.labels is not None:
            xy = geometry.to_prompt_frame(prompts.points.float(), size, frame=frame)
            points = (xy, prompts.labels)
        return as_points(points, boxes)

    def _image(self, embedding: Embedding, prompts: Prompts) -> tuple[Image, Prompts]:
        """Return the image to decode against, the prompts' masks in it, and the prompts on the device."""
        assert isinstance(embedding, SamEmbedding)
        prompts = prompts.to(self.device)
        if prompts.masks is None:
            return embedding.image, prompts
        side = self.model.mask_decoder.mask_size
        if prompts.masks.shape[-2:] != (side, side):
            raise SambenchError(
                f"{self.name}: prompts have masks of {tuple(prompts.masks.shape[-2:])}; it takes the logits "
                f"of an earlier round, {side} x {side}."
            )
        return self.parts.project(embedding.features[None], prompts.masks), prompts

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Resize to the model's frame, crop the padding, resize to the image."""
        return geometry.upsample(logits, size, frame=self.model.prompt_encoder.frame)


def build_sam(
    image_encoder: nn.Module,
    *,
    dim: int = EMBED_DIM,
    embed_size: int = EMBED_SIZE,
    frame: int = PROMPT_FRAME,
    mask_channels: int = MASK_CHANNELS,
    layers: int = LAYERS,
    heads: int = HEADS,
    cross_dim: int = CROSS_DIM,
    mlp_dim: int = MLP_DIM,
) -> Sam:
    """Give an image encoder SAM's own prompt encoder and decoder; the defaults are SAM's numbers.

    Args:
        image_encoder: images (B, 3, frame, frame) to embeddings (B, dim, embed_size, embed_size).
        dim: channels of embedding and tokens.
        embed_size: height and width of the embedding.
        frame: side of the encoder's input, and of the frame that prompts are given in.
        mask_channels: as of `evsam.prompt_encoder.PromptEncoder`.
        layers: as of `evsam.transformer.TwoWayTransformer`, like the three that follow.
        heads: of its attentions.
        cross_dim: inside those between tokens and image.
        mlp_dim: inside its feed-forward layers.
    """
    prompt_encoder = PromptEncoder(dim=dim, embed_size=embed_size, frame=frame, mask_channels=mask_channels)
    transformer = TwoWayTransformer(
        norm_eps=NORM_EPS, layers=layers, dim=dim, heads=heads, cross_dim=cross_dim, mlp_dim=mlp_dim
    )
    model = Sam(
        image_encoder=image_encoder,
        prompt_encoder=prompt_encoder,
        mask_decoder=MaskDecoder(transformer, embed_size=embed_size),
        input_size=frame,
    )
    return model.eval()


def create_sam(
    create_model: Callable[[str], Sam], name: str, *, weights: str | None, device: torch.device
) -> Segmenter:
    """Build a model and give it the weights asked for (see `adapters.registry.create`)."""
    model, found = with_weights(lambda: create_model(name), resolve(name, weights))
    return SamSegmenter(name, model, found, device, adopt=True)


def with_weights(create_model: Callable[[], Model], weights: Weights) -> tuple[Model, Weights]:
    """Build a module with weights from a checkpoint, or from the seed of a random initialisation.

    Returns:
        The module, and its weights with how they lay in their file.

    Raises:
        SambenchError: the checkpoint is damaged or belongs to another model.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights.seed or 0)
        model = create_model()
    if weights.path is None:
        return model, weights
    try:
        taken = load_checkpoint(model, Path(weights.path))
    except OtherModelError as error:
        raise SambenchError(f"{error} {looks_like(error.shapes)}") from None
    return model, dataclasses.replace(weights, taken=taken)
