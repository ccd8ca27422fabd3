"""The seam between a segmenter and what runs it: four calls, in tensors.

A segmenter with SAM's structure (`adapters.families.sam.SamSegmenter`) owns the geometry, and leaves the
arithmetic to its `Parts`. An engine replaces them; nothing else knows which one is at work.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sambench.evsam.mask_decoder import TokenDecoder
from sambench.evsam.transformer import ImageTokens

Image = Any
"""What an engine keeps of an encoded image to decode prompts against; it alone knows."""


class Network(Protocol):
    """What engines ask of a model; `evsam.model.Sam` documents the methods."""

    image_encoder: nn.Module
    mask_decoder: TokenDecoder
    input_size: int

    def project_image(
        self, features: Tensor, position: Tensor, masks: Tensor | None = None
    ) -> ImageTokens: ...
    def decode(
        self, image: ImageTokens, xy: Tensor, labels: Tensor, multimask: bool
    ) -> tuple[Tensor, Tensor]: ...
    def decode_best(
        self, image: ImageTokens, xy: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]: ...


class Parts(ABC):
    """The arithmetic of a model. Prompts are points alone (`evsam.prompt_encoder.as_points`)."""

    @abstractmethod
    def encode(self, pixels: Tensor) -> Tensor:
        """Encode prepared images (B, 3, S, S) float32: features (B, C, h, w), in the engine's precision."""

    @abstractmethod
    def project(self, features: Tensor, masks: Tensor | None = None) -> Image:
        """Prepare features (1, C, h, w) for decoding, with the masks (N, 1, 256, 256) of an earlier round."""

    @abstractmethod
    def decode(self, image: Image, xy: Tensor, labels: Tensor, multimask: bool) -> tuple[Tensor, Tensor]:
        """Decode points (N, T, 2), (N, T): logits (N, M, h, w) and predicted IoU (N, M), both float32."""

    @abstractmethod
    def decode_best(self, image: Image, xy: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decode the best alternative alone: logits (N, h, w), IoU (N,), both float32, choice (N,)."""

    def join(self, images: list[Image]) -> Image | None:
        """Make one of N images, for one prompt on each; ``None`` where the engine decodes them one by one."""
        del images
        return None


class TorchParts(Parts):
    """The model as it is, computed by PyTorch call by call.

    Args:
        model: in eval mode, on its device.
        position: of its prompt encoder, `get_dense_pe`.
        dtype: what the encoder, and in the decoder all that has the image's size, computes in.
    """

    def __init__(self, model: Any, position: Tensor, dtype: torch.dtype = torch.float32) -> None:
        self.model: Network = model
        self.position = position
        self.dtype = dtype
        model.image_encoder.to(dtype)
        model.mask_decoder.lower(dtype)

    def encode(self, pixels: Tensor) -> Tensor:
        """Run the encoder."""
        return self.model.image_encoder(pixels.to(self.dtype))

    def project(self, features: Tensor, masks: Tensor | None = None) -> ImageTokens:
        """Project the image for the transformer."""
        return self.model.project_image(features, self.position, masks)

    def decode(
        self, image: ImageTokens, xy: Tensor, labels: Tensor, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """Run the decoder."""
        logits, iou = self.model.decode(image, xy, labels, multimask)
        return logits.float(), iou.float()

    def decode_best(self, image: ImageTokens, xy: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the decoder up to the choice, and one mask from there."""
        logits, iou, choice = self.model.decode_best(image, xy, labels)
        return logits.float(), iou.float(), choice

    def join(self, images: list[ImageTokens]) -> ImageTokens:
        """Put images beside each other."""
        return ImageTokens.join(images)
