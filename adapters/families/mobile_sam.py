"""MobileSAM (arXiv 2306.14289): SAM with TinyViT-5M for an encoder.

After github.com/ChaoningZhang/MobileSAM; prompts, decoder and geometry are SAM's own.
"""

from __future__ import annotations

import torch

from sambench.adapters.base import Segmenter
from sambench.adapters.families.sam import build_sam, create_sam
from sambench.adapters.modules.tiny_vit import SamTinyViT
from sambench.evsam.model import Sam


def create_model(name: str) -> Sam:
    """Build ``mobile_sam`` with random weights, in eval mode, with the official ``state_dict`` layout."""
    del name  # there is one
    return build_sam(SamTinyViT())


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Create ``mobile_sam``."""
    return create_sam(create_model, name, weights=weights, device=device)
