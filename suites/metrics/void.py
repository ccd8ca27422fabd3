"""Pixels that count nowhere: they are taken from masks before these are scored or clicked on.

A mask is then what of it lies where the truth is known. No object has a void pixel, so that neither an
overlap nor a union has one, no click falls on one, and a border of void around an object (as VOC draws) costs
a mask that ends within it nothing, its boundary included: both outlines end where the void begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pycocotools import mask as rle

from sambench.suites.data.masks import WindowMask
from sambench.suites.data.rle import encode

if TYPE_CHECKING:
    from torch import Tensor


def without_void(masks: Tensor, void: WindowMask | None) -> Tensor:
    """Return masks (n, H, W) bool without void pixels; the very same where there are none."""
    if void is None:
        return masks
    import torch

    rows, columns = void.window
    left = masks.clone()
    left[:, rows, columns] &= ~torch.from_numpy(void.pixels).to(masks.device)
    return left


def without_void_coded(
    masks: Sequence[Mapping[str, Any]], void: WindowMask | None
) -> Sequence[Mapping[str, Any]]:
    """Return masks as run lengths without void pixels; the very same where there are none."""
    if void is None:
        return masks
    (counts,) = encode(~void.full()[None])
    return [rle.merge([mask, counts], intersect=True) for mask in masks]
