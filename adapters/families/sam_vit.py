"""SAM (arXiv 2304.02643) with its own image encoders, ViT-B, ViT-L and ViT-H."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sambench.adapters.base import Segmenter
from sambench.adapters.families.sam import build_sam, create_sam
from sambench.adapters.modules.vit import ImageEncoder
from sambench.evsam.model import Sam


@dataclass(frozen=True)
class Variant:
    """What tells one image encoder from another (official ``build_sam.py``)."""

    dim: int
    """Channels."""
    depth: int
    """Blocks."""
    heads: int
    """Of the attention."""
    global_blocks: tuple[int, ...]
    """Those that attend over the whole image: the last of each quarter."""


VARIANTS: dict[str, Variant] = {
    "sam_vit_b": Variant(dim=768, depth=12, heads=12, global_blocks=(2, 5, 8, 11)),
    "sam_vit_l": Variant(dim=1024, depth=24, heads=16, global_blocks=(5, 11, 17, 23)),
    "sam_vit_h": Variant(dim=1280, depth=32, heads=16, global_blocks=(7, 15, 23, 31)),
}


def create_model(name: str) -> Sam:
    """Build ``sam_vit_b``, ``_l`` or ``_h`` with random weights and the official ``state_dict`` layout."""
    variant = VARIANTS[name]
    encoder = ImageEncoder(
        dim=variant.dim, depth=variant.depth, heads=variant.heads, global_blocks=variant.global_blocks
    )
    return build_sam(encoder)


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Create ``sam_vit_b``, ``sam_vit_l`` or ``sam_vit_h``."""
    return create_sam(create_model, name, weights=weights, device=device)
