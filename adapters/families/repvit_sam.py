"""RepViT-SAM (arXiv 2312.05760): SAM with RepViT-M2.3 for an encoder.

After github.com/THU-MIG/RepViT (``sam/repvit_sam``); prompts, decoder and geometry are SAM's own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sambench.adapters.base import Segmenter
from sambench.adapters.families.sam import build_sam, create_sam
from sambench.adapters.modules.neck import sam_neck
from sambench.adapters.modules.repvit import NormedTokenMixer, RepViT, Stage
from sambench.evsam.model import Sam

REPVIT_M2_3 = (
    Stage(80, pairs=3),
    Stage(160, pairs=3),
    Stage(320, pairs=17),
    Stage(640, pairs=1, stride=1),  # RepViT halves here too; SAM's decoder wants 64 x 64
)
"""``cfgs`` of ``modeling/repvit.py``; the last stride is in ``RepViTBlock``."""


class Encoder(RepViT):
    """RepViT-M2.3 at stride 16 and SAM's neck, (B, 3, 16 h, 16 w) to embeddings (B, 256, h, w)."""

    def __init__(self) -> None:
        super().__init__(REPVIT_M2_3, token_mixer=NormedTokenMixer)
        self.neck = sam_neck(REPVIT_M2_3[-1].width)

    def forward(self, x: Tensor) -> Tensor:
        return self.neck(self.maps(x)[-1])


def create_model(name: str) -> Sam:
    """Build ``repvit_sam`` with random weights, in eval mode, with the official ``state_dict`` layout."""
    del name  # there is one
    return build_sam(Encoder())


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Create ``repvit_sam``."""
    return create_sam(create_model, name, weights=weights, device=device)
