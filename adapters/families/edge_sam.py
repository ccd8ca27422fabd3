"""EdgeSAM (arXiv 2312.06660): SAM with RepViT-M1 for an encoder, trained with prompts in the loop.

After github.com/chongzhou96/EdgeSAM (``modeling/rep_vit.py`` with ``fuse=True``); prompts, decoder and
geometry are SAM's own. ``edge_sam`` is trained on 1% of SA-1B; ``edge_sam_3x`` is the same network, trained
on 3%. Its authors do not distil the predicted IoU and advise in their README to choose among the masks by
stability instead: the protocol's ``select: stability``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sambench.adapters.base import Segmenter
from sambench.adapters.families.sam import build_sam, create_sam
from sambench.adapters.modules.neck import sam_neck
from sambench.adapters.modules.repvit import RepViT, Stage, TokenMixer
from sambench.evsam.layers import Ops
from sambench.evsam.model import Sam
from sambench.evsam.neck import EMBED_DIM

REPVIT_M1 = (Stage(48, pairs=1), Stage(96, pairs=1), Stage(192, pairs=7), Stage(384, pairs=1))
"""``m1_cfgs`` of ``modeling/rep_vit.py``."""


class FusedRepViT(RepViT):
    """RepViT-M1 whose two deepest maps are added, (B, 3, 16 h, 16 w) to embeddings (B, 256, h, w)."""

    def __init__(self) -> None:
        super().__init__(REPVIT_M1, token_mixer=TokenMixer)
        *_, middle, deep = REPVIT_M1
        self.fuse_stage2 = nn.Conv2d(middle.width, EMBED_DIM, 1, bias=False)
        self.fuse_stage3 = Ops(
            [
                nn.Conv2d(deep.width, EMBED_DIM, 1, bias=False),
                nn.Upsample(scale_factor=2, mode="bicubic", align_corners=False),
            ]
        )
        self.neck = sam_neck(EMBED_DIM)

    def forward(self, x: Tensor) -> Tensor:
        *_, middle, deep = self.maps(x)
        return self.neck(self.fuse_stage2(middle) + self.fuse_stage3(deep))


def create_model(name: str) -> Sam:
    """Build ``edge_sam`` or ``edge_sam_3x``, random weights, eval mode, official ``state_dict`` layout."""
    del name  # they differ in weights alone
    return build_sam(FusedRepViT())


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Create ``edge_sam`` or ``edge_sam_3x``."""
    return create_sam(create_model, name, weights=weights, device=device)
