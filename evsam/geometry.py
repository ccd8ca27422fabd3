"""How an image gets into the encoder, prompts into the decoder's frame, and masks back to the image.

The geometry of SAM and its relatives that keep the aspect ratio: longest side to the input size, zeros at
the right and the bottom. Sizes are (height, width); coordinates are pixels, x then y.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from evsam.prompt_encoder import PROMPT_FRAME

PIXEL_MEAN = (123.675, 116.28, 103.53)  # RGB, ImageNet's mean and deviation on the scale 0..255
PIXEL_STD = (58.395, 57.12, 57.375)

Size = tuple[int, int]


def resized(size: Size, side: int) -> Size:
    """Return (height, width) scaled so that the longest is ``side``, rounded half up as SAM does."""
    scale = side / max(size)
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


def preprocess(image: np.ndarray, side: int) -> Tensor:
    """Turn an RGB image (H, W, 3) uint8 into the encoder's input (3, side, side) float32.

    In this order, on which the golden data insist: PIL's bilinear resize on bytes (it smooths where it
    shrinks), normalise, then pad with zeros.
    """
    size = resized((image.shape[0], image.shape[1]), side)
    if size != image.shape[:2]:
        scaled = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
        image = np.array(scaled)
    x = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    x = (x - _per_channel(PIXEL_MEAN)) / _per_channel(PIXEL_STD)
    return F.pad(x, (0, side - size[1], 0, side - size[0]))


def to_prompt_frame(xy: Tensor, size: Size) -> Tensor:
    """Scale pixel coordinates (..., 2) of an image of ``size`` to the 1024 frame."""
    height, width = resized(size, PROMPT_FRAME)
    return xy * torch.tensor([width / size[1], height / size[0]], dtype=xy.dtype, device=xy.device)


def upsample(logits: Tensor, size: Size) -> Tensor:
    """Bring low-resolution logits (N, h, w) to an image's size, (N, H, W). A mask is ``> 0``.

    SAM resizes bilinearly to 1024 x 1024, crops the padding and resizes bilinearly to the image. Each of
    the three is a linear map of rows times one of columns, so their product is too: two small matrices
    (`resize_matrix`) do in two products what would else write a 1024 x 1024 map a mask.
    """
    rows, columns = (
        resize_matrix(n_in, kept, n_out)
        for n_in, kept, n_out in zip(logits.shape[-2:], resized(size, PROMPT_FRAME), size, strict=True)
    )
    rows, columns = rows.to(logits.device), columns.to(logits.device)
    return rows @ (logits.float() @ columns.T)


@functools.lru_cache(maxsize=256)
def resize_matrix(n_in: int, kept: int, n_out: int) -> Tensor:
    """The map of one axis from a low-resolution mask to the image, (n_out, n_in) float32.

    Args:
        n_in: low-resolution length, standing for 1024 pixels of the prompt frame.
        kept: how many of the 1024 belong to the image; the rest is padding.
        n_out: the image's length.
    """
    to_frame = bilinear_matrix(n_in, PROMPT_FRAME)[:kept]
    return (bilinear_matrix(kept, n_out) @ to_frame).float()


def bilinear_matrix(n_in: int, n_out: int) -> Tensor:
    """Bilinear resize of one axis without corner alignment, as a matrix (n_out, n_in) float64."""
    position = (torch.arange(n_out, dtype=torch.float64) + 0.5) * n_in / n_out - 0.5
    position = position.clamp(min=0)
    low = position.floor().long().clamp(max=n_in - 1)
    high = (low + 1).clamp(max=n_in - 1)
    weight = position - low
    matrix = torch.zeros(n_out, n_in, dtype=torch.float64)
    matrix.scatter_add_(1, low[:, None], (1 - weight)[:, None])
    matrix.scatter_add_(1, high[:, None], weight[:, None])
    return matrix


def _per_channel(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values).reshape(3, 1, 1) / 255
