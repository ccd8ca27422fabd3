"""A SAM of the same classes that computes in milliseconds."""

import torch

from sambench.evsam.backbone import Backbone, Stage
from sambench.evsam.mask_decoder import MaskDecoder
from sambench.evsam.model import Sam
from sambench.evsam.neck import ImageEncoder, Neck
from sambench.evsam.prompt_encoder import PromptEncoder
from sambench.evsam.transformer import TwoWayTransformer

INPUT, FRAME, EMBED, MASK = 128, 256, 16, 64
"""Sides: of the encoder's input, of the frame of prompts, of the embedding, and of the masks."""

DIM = 64

STAGES = (Stage(8, 1, "res"), Stage(16, 1, "fmb"), Stage(32, 1, "mb"), Stage(32, 1, "att"))


def small_sam(seed=0):
    """In eval mode, with random weights."""
    torch.manual_seed(seed)
    neck = Neck([32, 32, 16], depth=1, expand=1, dim=DIM, embed_size=EMBED)
    transformer = TwoWayTransformer(norm_eps=1e-6, dim=DIM, heads=4, cross_dim=32, mlp_dim=128)
    model = Sam(
        image_encoder=ImageEncoder(Backbone(STAGES), neck),
        prompt_encoder=PromptEncoder(dim=DIM, embed_size=EMBED, frame=FRAME, mask_channels=8),
        mask_decoder=MaskDecoder(transformer, embed_size=EMBED),
        input_size=INPUT,
    )
    return model.eval()
