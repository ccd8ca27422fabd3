"""An image and its masks in the model's frame: mirrored, resized by the longest side, normalised, padded.

Sizes are (height, width); the frame is S x S with the image at its top left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sambench.evsam.geometry import PIXEL_MEAN, PIXEL_STD, resized
from sambench.evsam.size import Size
from sambench.evsam.train.recipe import Samples

GREY = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R BT.601, as Pillow


@dataclass(frozen=True)
class Sample:
    """One image in the frame."""

    image: Tensor
    """(3, S, S) float32."""
    masks: Tensor
    """(N, S, S): soft masks in [0, 1] as float32, or in [0, 255] as bytes (see `soft`)."""
    boxes: Tensor
    """(N, 4) xyxy in pixels of the frame."""
    size: Size
    """Of the image in the frame; the rest is padding."""


@dataclass(frozen=True)
class Change:
    """What is done to an image beside fitting it into the frame."""

    mirrored: bool = False
    contrast: float = 1.0
    brightness: float = 1.0
    saturation: float = 1.0


def draw_change(recipe: Samples, rng: np.random.Generator) -> Change:
    """Draw what a recipe does to an image."""
    mirrored = bool(rng.random() < recipe.flip)
    if not recipe.colour:
        return Change(mirrored)
    return Change(mirrored, *(1 + recipe.colour * rng.uniform(-1, 1, 3)))


def fit(
    image: np.ndarray,
    masks: Iterable[np.ndarray],
    boxes: np.ndarray,
    side: int,
    recipe: Samples,
    change: Change = Change(),
) -> Sample:
    """Bring an image with its objects into the frame.

    Masks come one by one, and each is resized before the next is made: 64 of them at the size of an SA-1B
    image would take 0.9 GB.

    Args:
        image: (H, W, 3) uint8 RGB.
        masks: N of (H, W) bool.
        boxes: (N, 4) xyxy in pixels of the image.
        side: S.
        recipe: how to resize.
        change: what else to do.
    """
    height, width = image.shape[:2]
    size = resized((height, width), side)
    tensors = recipe.resize == "tensor"
    turn = (lambda x: x[:, ::-1]) if change.mirrored else (lambda x: x)
    shrink = _shrink_tensor if tensors else _shrink_bytes
    pixels = shrink(np.ascontiguousarray(turn(image)), size).permute(2, 0, 1).float()
    x = _normalise(coloured(pixels, change))
    small = [shrink(np.ascontiguousarray(turn(mask)), size) for mask in masks]
    empty = torch.zeros(0, *size, dtype=torch.float32 if tensors else torch.uint8)
    frame = (0, side - size[1], 0, side - size[0])
    xyxy = torch.from_numpy(boxes.astype(np.float64)).reshape(-1, 4)
    if change.mirrored:
        xyxy = torch.stack([width - xyxy[:, 2], xyxy[:, 1], width - xyxy[:, 0], xyxy[:, 3]], dim=1)
    scale = torch.tensor([size[1] / width, size[0] / height] * 2, dtype=torch.float64)
    return Sample(
        F.pad(x, frame), F.pad(torch.stack(small) if small else empty, frame), (xyxy * scale).float(), size
    )


def soft(masks: Tensor) -> Tensor:
    """Return a sample's masks as float32 in [0, 1]."""
    return masks / 255 if masks.dtype == torch.uint8 else masks


def _shrink_bytes(pixels: np.ndarray, size: Size) -> Tensor:
    """Resize bytes (H, W, 3), or a mask (H, W) to bytes in [0, 255], as the models' inference does."""
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    if size != pixels.shape[:2]:
        pixels = np.array(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels)


def _shrink_tensor(pixels: np.ndarray, size: Size) -> Tensor:
    """Resize an image (H, W, 3) or a mask (H, W) as floats, smoothing, as the released training does."""
    x = torch.from_numpy(pixels).float()
    maps = x.permute(2, 0, 1) if x.ndim == 3 else x[None]
    if size != maps.shape[1:]:
        maps = F.interpolate(maps[None], size, mode="bilinear", align_corners=False, antialias=True)[0]
    return maps.permute(1, 2, 0) if x.ndim == 3 else maps[0]


def coloured(pixels: Tensor, change: Change) -> Tensor:
    """Change contrast, brightness and saturation of pixels (3, h, w) in [0, 255]."""
    if (change.contrast, change.brightness, change.saturation) == (1, 1, 1):
        return pixels
    grey = torch.tensordot(torch.tensor(GREY), pixels, dims=1)
    mixed = grey + change.saturation * (pixels - grey)
    return ((mixed - grey.mean()) * change.contrast + grey.mean() * change.brightness).clamp(0, 255)


def _normalise(pixels: Tensor) -> Tensor:
    """Normalise (3, h, w) in [0, 255]."""
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_STD))
    return (pixels - mean) / std
