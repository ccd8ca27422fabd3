"""TinySAM (arXiv 2312.13789): MobileSAM's network with the weights of another distillation.

After github.com/xinghaochen/TinySAM (``build_sam.py``; ``modeling/mask_decoder.py``, which alone differs).
"""

from __future__ import annotations

import torch

from sambench.adapters.base import Segmenter
from sambench.adapters.families import mobile_sam
from sambench.adapters.families.sam import SamSegmenter, with_weights
from sambench.adapters.weights.resolve import resolve
from sambench.evsam.model import Sam


class TinySam(SamSegmenter):
    """SAM without the single mask: the official decoder returns mask tokens 1 to 3, whatever it is asked.

    Where one mask is wanted it is the best of the three by predicted IoU, as the official demo and COCO
    evaluation take it; token 0 is in the checkpoint, but nothing of its authors reads it.
    """

    single = "best"


def create_model(name: str) -> Sam:
    """Build ``tiny_sam`` with random weights, in eval mode, with the official ``state_dict`` layout."""
    return mobile_sam.create_model(name)


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Create ``tiny_sam``."""
    model, found = with_weights(lambda: create_model(name), resolve(name, weights))
    return TinySam(name, model, found, device, adopt=True)
