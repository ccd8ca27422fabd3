"""EfficientSAM3's image encoders: a small backbone, and a head that gives its map the shape of SAM 3's own.

After ``ImageStudentEncoder`` and ``_create_student_vision_backbone`` in ``sam3/sam3/model_builder.py`` of
github.com/SimonZeng7108/efficientsam3 (arXiv 2511.15833). The nine backbones are those of their papers at
stride 32, each without its classifier; attribute names are those of the official checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from sambench.adapters.modules.repvit import NormedTokenMixer, RepViT
from sambench.adapters.modules.repvit import Stage as RepViTStage
from sambench.adapters.modules.tiny_vit import Stage as TinyViTStage
from sambench.adapters.modules.tiny_vit import TinyViT
from sambench.evsam.backbone_b import B0, B1, B2, BackboneB, Sizes

CHANNELS = 1024
"""Of the map that SAM 3's ViT gives, and so the student: ``embed_dim``."""
SIDE = 72
"""Its height and width: ``embed_size``, 1008 / 14."""

Built = tuple[nn.Module, int]
"""A backbone, (B, 3, S, S) to (B, width, S / 32, S / 32), and its width."""


class Student(nn.Module):
    """Images (B, 3, S, S) to maps (B, channels, side, side), whatever the stride of the backbone.

    Args:
        backbone: images to maps of ``width`` channels.
        width: its channels.
        channels: of the result.
        side: height and width of the result.
    """

    def __init__(
        self, backbone: nn.Module, width: int, *, channels: int = CHANNELS, side: int = SIDE
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(
            nn.Conv2d(width, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.size = (side, side)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.head(self.backbone(x)), self.size, mode="bilinear", align_corners=False)


def _efficientvit(sizes: Sizes) -> Built:
    return BackboneB(sizes), sizes.widths[-1]


def _repvit(widths: tuple[int, ...], pairs: tuple[int, ...]) -> Built:
    stages = [RepViTStage(width, pairs=n) for width, n in zip(widths, pairs, strict=True)]
    return RepViT(stages, token_mixer=NormedTokenMixer), widths[-1]


def _tiny_vit(*widths: int) -> Built:
    depths, windows = (2, 2, 6, 2), (0, 7, 14, 7)  # of all three
    stages = tuple(TinyViTStage(*sizes) for sizes in zip(widths, depths, windows, strict=True))
    return TinyViT(stages), widths[-1]


BACKBONES: dict[str, Callable[[], Built]] = {
    "repvit_s": lambda: _repvit((48, 96, 192, 384), (1, 1, 7, 1)),  # M0.9
    "repvit_m": lambda: _repvit((64, 128, 256, 512), (1, 1, 6, 1)),  # M1.1
    "repvit_l": lambda: _repvit((80, 160, 320, 640), (3, 3, 17, 1)),  # M2.3
    "tinyvit_s": lambda: _tiny_vit(64, 128, 160, 320),  # 5M
    "tinyvit_m": lambda: _tiny_vit(64, 128, 256, 448),  # 11M
    "tinyvit_l": lambda: _tiny_vit(96, 192, 384, 576),  # 21M
    "efficientvit_s": lambda: _efficientvit(B0),
    "efficientvit_m": lambda: _efficientvit(B1),
    "efficientvit_l": lambda: _efficientvit(B2),
}
"""By their names in the checkpoints' files, after which comment which of its paper's each is."""
