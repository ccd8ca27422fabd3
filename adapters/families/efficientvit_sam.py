"""EfficientViT-SAM (arXiv 2402.05008) behind the common interface; the model itself is `evsam`."""

from __future__ import annotations

import torch

from sambench.adapters.base import Segmenter
from sambench.adapters.families.sam import create_sam
from sambench.evsam.zoo import create_model


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Create ``efficientvit_sam_l0``, ``_l1``, ``_l2``, ``_xl0`` or ``_xl1``."""
    return create_sam(create_model, name, weights=weights, device=device)
