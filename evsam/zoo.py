"""The five variants of the paper by name, and two small ones of our own."""

from __future__ import annotations

from dataclasses import dataclass

from sambench.evsam.backbone import Backbone, Stage
from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.evsam.layers import NORM_EPS
from sambench.evsam.mask_decoder import MaskDecoder
from sambench.evsam.model import Sam
from sambench.evsam.neck import EMBED_DIM, EMBED_SIZE, ImageEncoder, Neck
from sambench.evsam.prompt_encoder import PROMPT_FRAME, PromptEncoder
from sambench.evsam.transformer import CROSS_DIM, HEADS, MLP_DIM, TwoWayTransformer


@dataclass(frozen=True)
class Head:
    """The sizes of prompt encoder and mask decoder; SAM's are the defaults."""

    dim: int = EMBED_DIM
    embed_size: int = EMBED_SIZE
    frame: int = PROMPT_FRAME
    heads: int = HEADS
    cross_dim: int = CROSS_DIM
    mlp_dim: int = MLP_DIM


@dataclass(frozen=True)
class Variant:
    """What tells one EfficientViT-SAM from another (paper, section 3.1; official ``sam_model_zoo``)."""

    stages: tuple[Stage, ...]
    neck_depth: int
    neck_expand: int
    input_size: int
    head: Head = Head()


def _large(*depths: int, neck_depth: int) -> Variant:
    d0, d1, d2, d3, d4 = depths
    stages = (
        Stage(32, d0, "res"),
        Stage(64, d1, "fmb", expand=4),
        Stage(128, d2, "fmb", expand=4),
        Stage(256, d3, "mb", expand=4),
        Stage(512, d4, "att", expand=6, kernel=5),
    )
    return Variant(stages, neck_depth=neck_depth, neck_expand=1, input_size=512)


def _extra_large(*depths: int, neck_depth: int) -> Variant:
    d0, d1, d2, d3, d4, d5 = depths
    stages = (
        Stage(32, d0, "res"),
        Stage(64, d1, "fmb", expand=4),
        Stage(128, d2, "fmb", expand=4),
        Stage(256, d3, "fmb", expand=4),
        Stage(512, d4, "att", expand=4, kernel=3),
        Stage(1024, d5, "att", expand=6, kernel=3),
    )
    return Variant(stages, neck_depth=neck_depth, neck_expand=4, input_size=1024)


VARIANTS: dict[str, Variant] = {
    "efficientvit_sam_l0": _large(1, 1, 1, 4, 4, neck_depth=4),
    "efficientvit_sam_l1": _large(1, 1, 1, 6, 6, neck_depth=8),
    "efficientvit_sam_l2": _large(1, 2, 2, 8, 8, neck_depth=12),
    "efficientvit_sam_xl0": _extra_large(0, 1, 1, 2, 3, 3, neck_depth=6),
    "efficientvit_sam_xl1": _extra_large(1, 2, 2, 4, 6, 6, neck_depth=12),
}

_NANO_HEAD = Head(dim=64, frame=256, heads=4, cross_dim=32, mlp_dim=256)

OURS: dict[str, Variant] = {
    "efficientvit_sam_nano": Variant(
        (
            Stage(16, 1, "res"),
            Stage(48, 1, "fmb"),
            Stage(96, 2, "fmb"),
            Stage(192, 2, "att", expand=4),
        ),
        neck_depth=2,
        neck_expand=1,
        input_size=256,
        head=_NANO_HEAD,
    ),
    "efficientvit_sam_pico": Variant(
        (
            Stage(8, 1, "res"),
            Stage(24, 1, "fmb"),
            Stage(48, 1, "fmb"),
            Stage(96, 1, "att", expand=4),
        ),
        neck_depth=1,
        neck_expand=1,
        input_size=256,
        head=_NANO_HEAD,
    ),
}
"""Ours, not the paper's: nano is small enough to be trained on two processor cores; pico's encoder is
distilled from nano's (docs/training.md)."""

FUSED_STAGES = 3  # the neck reads the three deepest maps


def create_model(name: str) -> Sam:
    """Build a variant with random weights, in eval mode, with the official ``state_dict`` layout.

    Raises:
        SambenchError: there is no variant of that name.
    """
    known = VARIANTS | OURS
    if name not in known:
        raise SambenchError(
            f"no model {name!r} in evsam; there are {', '.join(known)}.{did_you_mean(name, known)}"
        )
    variant = known[name]
    head = variant.head
    widths = [stage.width for stage in variant.stages[::-1][:FUSED_STAGES]]
    neck = Neck(
        widths,
        depth=variant.neck_depth,
        expand=variant.neck_expand,
        dim=head.dim,
        embed_size=head.embed_size,
    )
    transformer = TwoWayTransformer(
        norm_eps=NORM_EPS, dim=head.dim, heads=head.heads, cross_dim=head.cross_dim, mlp_dim=head.mlp_dim
    )
    model = Sam(
        image_encoder=ImageEncoder(Backbone(variant.stages), neck),
        prompt_encoder=PromptEncoder(dim=head.dim, embed_size=head.embed_size, frame=head.frame),
        mask_decoder=MaskDecoder(transformer, embed_size=head.embed_size),
        input_size=variant.input_size,
    )
    return model.eval()
