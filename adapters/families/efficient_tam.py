"""EfficientTAM (arXiv 2411.18933) on images: SAM 2 with a plain ViT for an encoder.

After github.com/yformer/EfficientTAM. The ViT gives one map, and so the mask decoder, transformers' SAM 2's,
gets none of finer resolution (``use_high_res_features_in_sam: false``). Models of one size differ in their
weights alone: ``_2`` names those whose memory of a video is coarser, a part that an image does not need.

Not proven: what the released weights give, for they are not here. Proven is the arithmetic against the
same parts of ultralytics (tests/adapters/families/test_efficient_tam.py).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sambench.adapters.base import Segmenter, Weights
from sambench.adapters.families import hf, hf_models
from sambench.adapters.families.hf import ModelOfLibrary
from sambench.adapters.families.layout import Layout
from sambench.adapters.families.sam3_layout import TRACKER
from sambench.adapters.modules.plain_vit import PlainViT
from sambench.adapters.weights.likeness import looks_like
from sambench.adapters.weights.resolve import resolve
from sambench.evsam.checkpoint import OtherModelError
from sambench.evsam.errors import SambenchError, did_you_mean

DEPTH = 12
WINDOWED = (0, 1, 3, 4, 6, 7, 9, 10)
"""``depth`` and ``window_block_indexes`` of all configurations."""

WIDTHS = {"ti": (192, 3), "s": (384, 6)}
"""``embed_dim`` and ``num_heads``."""

VARIANTS = {f"efficient_tam_{size}{memory}": size for size in WIDTHS for memory in ("", "_2")}

LAYOUT = Layout(
    {
        **{ours: (theirs.removeprefix("tracker."), rules) for ours, (theirs, rules) in TRACKER.items()},
        "model.vision_encoder.": (
            "image_encoder.trunk.",
            ((r"\.mlp\.fc1\.", ".mlp.layers.0."), (r"\.mlp\.fc2\.", ".mlp.layers.1.")),
        ),
        **{
            f"model.vision_encoder.neck.{i}.": (f"image_encoder.neck.convs.0.{layer}.", ())
            for i, layer in enumerate(("conv_1x1", "norm_0", "conv_3x3", "norm_1"))
        },
    },
    re.compile(r"(memory_|maskmem|obj_ptr|no_obj|no_mem_pos_enc|mask_downsample)"),  # the memory of videos
)


class EfficientTam(hf_models.Sam2):
    """Boxes, points and masks as SAM 2 takes them, on one map."""

    def features(self, pixels: Tensor) -> Sequence[Tensor]:
        """Encode: the embedding, and nothing to add to the decoder's finer maps."""
        model = self.model
        embedding = model.vision_encoder(pixels) + model.no_memory_embedding.reshape(-1, 1, 1)
        channels = embedding.shape[1]
        fine, middle = (embedding.new_zeros(len(pixels), channels // part, 1, 1) for part in (8, 4))
        return embedding, fine, middle


def build(encoder: nn.Module, config: Mapping[str, Any]) -> ModelOfLibrary:
    """Give an encoder SAM 2's decoder, in eval mode.

    Args:
        encoder: images (B, 3, S, S) to maps (B, 256, S / 16, S / 16).
        config: keywords of transformers' ``Sam2Config``; its defaults are the numbers of SAM 2.
    """
    (model_class,) = hf.model_classes(hf.FAMILIES["sam2"])
    with hf.quiet_and_offline():
        model = model_class(model_class.config_class(**config))
    model.vision_encoder = encoder
    del model.mask_decoder.conv_s0, model.mask_decoder.conv_s1  # of the finer maps
    return ModelOfLibrary(model).eval()


def create_model(name: str) -> ModelOfLibrary:
    """Build a variant with random weights, in eval mode.

    Raises:
        SambenchError: there is no variant of that name, or transformers is missing or too old.
    """
    if name not in VARIANTS:
        raise SambenchError(
            f"no EfficientTAM {name!r}; there are {', '.join(VARIANTS)}.{did_you_mean(name, VARIANTS)}"
        )
    dim, heads = WIDTHS[VARIANTS[name]]
    return build(PlainViT(dim=dim, heads=heads, depth=DEPTH, windowed=WINDOWED), {})


def create(name: str, *, weights: str | None, device: torch.device) -> Segmenter:
    """Create a model of `VARIANTS`."""
    found = resolve(name, weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(found.seed or 0)
        network = create_model(name)
    return segmenter(name, network, found, device)


def segmenter(name: str, network: ModelOfLibrary, weights: Weights, device: torch.device) -> EfficientTam:
    """Load what the weights say into a network, and put it behind the common interface.

    Raises:
        SambenchError: the checkpoint is damaged, or of another model.
    """
    if weights.path is not None:
        try:
            taken = LAYOUT.load(network, Path(weights.path))
        except OtherModelError as error:
            raise SambenchError(f"{error} {looks_like(error.shapes)}") from None
        weights = dataclasses.replace(weights, taken=taken)
    return EfficientTam(name, network.model, weights, device)
