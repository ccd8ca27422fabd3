"""RepViT: a mobile convolution network with a vision transformer's split into token and channel mixers.

After RepViT (github.com/THU-MIG/RepViT, arXiv 2307.09283; ``sam/repvit_sam/modeling/repvit.py``) and
EdgeSAM's ``modeling/rep_vit.py``, which start from two releases of it that differ in the token mixer alone.
The parallel branches of a token mixer could be folded into one convolution; released checkpoints keep them
apart, and so does this. Attribute names are theirs. All maps are (B, C, H, W), all GELUs exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.modules.tiny_vit import NORM_EPS, ConvBN, conv_stem

SQUEEZE = 4  # channels of a block to those of its squeeze-and-excitation, ...
DIVISOR = 8  # ... which are rounded to a multiple of this (timm's ``SqueezeExcite(channels, 0.25)``)


@dataclass(frozen=True)
class Stage:
    """One resolution of the network."""

    width: int
    """Channels."""
    pairs: int
    """Pairs of blocks, the first of each with squeeze-and-excitation.

    Before them comes the step from the stage above, after them one more plain block, except in the last.
    """
    stride: int = 2
    """Of the step into this stage."""


class RepViT(nn.Module):
    """The network without a head; what turns its maps into an embedding is the models' own.

    Args:
        stages: from the finest to the coarsest.
        token_mixer: of the blocks, made from their channels.
    """

    def __init__(self, stages: Sequence[Stage], *, token_mixer: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.features = nn.ModuleList([conv_stem(stages[0].width)])
        self.ends: list[int] = []
        for i, stage in enumerate(stages):
            if i > 0:
                self.features.append(downsample(stages[i - 1].width, stage.width, stride=stage.stride))
            excite = [True, False] * stage.pairs + ([False] if stage is not stages[-1] else [])
            self.features.extend(block(token_mixer(stage.width), stage.width, excite=e) for e in excite)
            self.ends.append(len(self.features) - 1)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the last map of each stage for images (B, 3, S, S): (B, width, S / 4, S / 4), ..."""
        maps = []
        for i, feature in enumerate(self.features):
            x = feature(x)
            if i in self.ends:
                maps.append(x)
        return maps
