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

from sambench.evsam.prompt_encoder import PROMPT_FRAME
from sambench.evsam.size import Size

PIXEL_MEAN = (123.675, 116.28, 103.53)  # RGB, ImageNet's mean and deviation on the scale 0..255
PIXEL_STD = (58.395, 57.12, 57.375)


def resized(size: Size, side: int) -> Size:
    """Return (height, width) scaled so that the longest is ``side``, rounded half up as SAM does."""
    scale = side / max(size)
    return max(int(size[0] * scale + 0.5), 1), max(int(size[1] * scale + 0.5), 1)


def preprocess(image: np.ndarray, side: int) -> Tensor:
    """Turn an RGB image (H, W, 3) uint8 into the encoder's input (3, side, side) float32.

    In this order, on which the golden data insist: PIL's bilinear resize on bytes (it smooths where it
    shrinks), normalise, then pad with zeros.
    """
    size = resized((image.shape[0], image.shape[1]), side)
    if size != image.shape[:2]:
        scaled = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
        image = np.array(scaled)
    x = torch.from_numpy(image).permute(2, 0, 1)
    out = x.new_zeros((3, side, side), dtype=torch.float32)
    # In place: the same roundings, without six megabytes of fresh memory at each step.
    out[:, : size[0], : size[1]].copy_(x).div_(255).sub_(_per_channel(PIXEL_MEAN)).div_(
        _per_channel(PIXEL_STD)
    )
    return out


def to_prompt_frame(xy: Tensor, size: Size, *, frame: int = PROMPT_FRAME) -> Tensor:
    """Scale pixel coordinates (..., 2) of an image of ``size`` to the frame of prompts, ``frame`` wide."""
    height, width = resized(size, frame)
    return xy * torch.tensor([width / size[1], height / size[0]], dtype=xy.dtype, device=xy.device)


def upsample(logits: Tensor, size: Size, *, frame: int = PROMPT_FRAME) -> Tensor:
    """Bring low-resolution logits (N, h, w) to an image's size, (N, H, W). A mask is ``> 0``.

    As SAM does: resize to the frame of prompts, crop the padding, resize to the image; both bilinear.
    """
    if logits.device.type == "cuda":  # which has arithmetic to spare, and no whole frame is written
        return upsample_at_once(logits, size, frame=frame)
    height, width = resized(size, frame)
    whole = _resize(logits.float()[:, None], (frame, frame))
    return _resize(whole[..., :height, :width], size)[:, 0]


def upsample_at_once(logits: Tensor, size: Size, *, frame: int = PROMPT_FRAME) -> Tensor:
    """Do what `upsample` does in one step: along each axis the two resizes are one small matrix."""
    rows, columns = (
        _two_resizes(low, frame, kept, out, logits.device)
        for low, kept, out in zip(logits.shape[1:], resized(size, frame), size, strict=True)
    )
    return rows.T @ logits.float() @ columns


@functools.lru_cache(maxsize=256)
@torch.inference_mode(False)  # or gradients could not pass a matrix that inference had made
def _two_resizes(low: int, frame: int, kept: int, out: int, device: torch.device) -> Tensor:
    """The matrix (low, out) of a resize to ``frame``, a crop to ``kept`` of it, and a resize to ``out``."""
    whole = F.interpolate(torch.eye(low, device=device)[:, None], frame, mode="linear", align_corners=False)
    return F.interpolate(whole[..., :kept], out, mode="linear", align_corners=False)[:, 0]


def _resize(x: Tensor, size: Size) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _per_channel(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values).reshape(3, 1, 1) / 255
