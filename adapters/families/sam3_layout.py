"""Checkpoints in the layout of SAM 3's authors (``sam3.pt``), for the models of transformers.

Ours is `hf.ModelOfLibrary`: ``model`` (transformers' ``Sam3TrackerModel``) and ``detector`` (its
``Sam3Model``) over one encoder, a student (`adapters.modules.student`). Theirs has the encoder and both necks
in the detector. Names of theirs are those of github.com/facebookresearch/sam3 and of
``_load_checkpoint`` in EfficientSAM3's ``model_builder.py``; most pairs are in transformers'
``convert_sam3_to_hf.py`` and ``convert_sam3_video_to_hf.py`` too. Loading is strict: every parameter of ours
is there, and of theirs nothing is left but what `LEFT` names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sambench.evsam.checkpoint import find_state

_VISION = "detector.backbone.vision_backbone."
_LANGUAGE = "detector.backbone.language_backbone."

_NECK = (  # rules of both necks; the first levels are four and two times as fine
    (r"(\.0\.)scale_layers\.0\.", r"\1dconv_2x2_0."),
    (r"(\.0\.)scale_layers\.2\.", r"\1dconv_2x2_1."),
    (r"(\.1\.)scale_layers\.0\.", r"\1dconv_2x2."),
    (r"\.proj1\.", ".conv_1x1."),
    (r"\.proj2\.", ".conv_3x3."),
)
_LAYER = (  # of a transformer's layer
    (r"\.layer_norm(\d)\.", r".norm\1."),
    (r"\.mlp\.fc(\d)\.", r".linear\1."),
    (r"\.cross_attn\.", ".cross_attn_image."),
    (r"\.o_proj\.", ".out_proj."),
)
_MLP = tuple((rf"\.layer{n + 1}\.", f".layers.{n}.") for n in range(3))
_HEAD = r"(\.(?:output_hypernetworks_mlps\.\d|iou_prediction_head|pred_obj_score_head))"
_HEADS = (  # perceptrons of three layers, of which transformers names the first and the last otherwise
    (rf"{_HEAD}\.layers\.0\.", r"\1.layers.1."),
    (rf"{_HEAD}\.proj_in\.", r"\1.layers.0."),
    (rf"{_HEAD}\.proj_out\.", r"\1.layers.2."),
)

PARTS: Mapping[str, tuple[str, Sequence[tuple[str, str]]]] = {
    **{
        f"{head}.vision_encoder.backbone.student.{ours}": (f"{_VISION}trunk.model.{theirs}", ())
        for head in ("model", "detector")
        for ours, theirs in (("backbone.", "backbone.model."), ("head.", "head."))
    },
    "detector.vision_encoder.neck.fpn_layers.": (f"{_VISION}convs.", _NECK),
    "model.vision_encoder.neck.fpn_layers.": (f"{_VISION}sam2_convs.", _NECK),
    "detector.text_encoder.text_model.embeddings.token_embedding.": (
        f"{_LANGUAGE}encoder.token_embedding.",
        (),
    ),
    "detector.text_encoder.text_model.embeddings.position_embedding.weight": (
        f"{_LANGUAGE}encoder.positional_embedding",
        (),
    ),
    "detector.text_encoder.text_model.encoder.layers.": (
        f"{_LANGUAGE}encoder.transformer.resblocks.",
        (
            (r"\.self_attn\.", ".attn."),
            (r"\.layer_norm(\d)\.", r".ln_\1."),
            (r"\.mlp\.fc1\.", ".mlp.c_fc."),
            (r"\.mlp\.fc2\.", ".mlp.c_proj."),
        ),
    ),
    "detector.text_encoder.text_model.final_layer_norm.": (f"{_LANGUAGE}encoder.ln_final.", ()),
    "detector.text_encoder.text_projection.weight": (f"{_LANGUAGE}encoder.text_projection", ()),
    "detector.text_projection.": (f"{_LANGUAGE}resizer.", ()),
    "detector.geometry_encoder.layers.": ("detector.geometry_encoder.encode.", _LAYER),
    "detector.geometry_encoder.vision_layer_norm.": ("detector.geometry_encoder.img_pre_norm.", ()),
    "detector.geometry_encoder.prompt_layer_norm.": ("detector.geometry_encoder.norm.", ()),
    "detector.geometry_encoder.output_layer_norm.": ("detector.geometry_encoder.encode_norm.", ()),
    "detector.detr_encoder.": ("detector.transformer.encoder.", _LAYER),
    "detector.detr_decoder.layers.": (
        "detector.transformer.decoder.layers.",
        (
            (r"\.vision_cross_attn_layer_norm\.", ".norm1."),
            (r"\.text_cross_attn_layer_norm\.", ".catext_norm."),
            (r"\.self_attn_layer_norm\.", ".norm2."),
            (r"\.mlp_layer_norm\.", ".norm3."),
            (r"\.vision_cross_attn\.", ".cross_attn."),
            (r"\.text_cross_attn\.", ".ca_text."),
            (r"\.mlp\.fc(\d)\.", r".linear\1."),
            (r"\.o_proj\.", ".out_proj."),
        ),
    ),
    "detector.detr_decoder.": (
        "detector.transformer.decoder.",
        (
            (r"\.output_layer_norm\.", ".norm."),
            (r"\.box_head\.", ".bbox_embed."),
            (r"\.presence_head\.", ".presence_token_head."),
            (r"\.presence_layer_norm\.", ".presence_token_out_norm."),
            (r"\.box_rpb_embed_", ".boxRPB_embed_"),
            *_MLP,
        ),
    ),
    "detector.dot_product_scoring.": (
        "detector.dot_prod_scoring.",
        (
            (r"\.text_mlp_out_norm\.", ".prompt_mlp.out_norm."),
            (r"\.text_mlp\.", ".prompt_mlp."),
            (r"\.text_proj\.", ".prompt_proj."),
            (r"\.query_proj\.", ".hs_proj."),
            *_MLP,
        ),
    ),
    "detector.mask_decoder.": (
        "detector.segmentation_head.",
        (
            (r"\.mask_embedder\.", ".mask_predictor.mask_embed."),
            (r"\.instance_projection\.", ".instance_seg_head."),
            (r"\.semantic_projection\.", ".semantic_seg_head."),
            (r"\.prompt_cross_attn_norm\.", ".cross_attn_norm."),
            (r"\.prompt_cross_attn\.", ".cross_attend_prompt."),
            (r"\.o_proj\.", ".out_proj."),
        ),
    ),
    "model.no_memory_embedding": ("tracker.no_mem_embed", ()),
    "model.shared_image_embedding.": (
        "tracker.sam_prompt_encoder.pe_layer.",
        ((r"\.positional_embedding$", ".positional_encoding_gaussian_matrix"),),
    ),
    "model.prompt_encoder.": (
        "tracker.sam_prompt_encoder.",
        (
            (r"\.shared_embedding\.positional_embedding$", ".pe_layer.positional_encoding_gaussian_matrix"),
            (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
            (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
            (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
            (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
            (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
        ),
    ),
    "model.mask_decoder.": (
        "tracker.sam_mask_decoder.",
        (
            (r"\.layer_norm(_final_attn|\d)\.", r".norm\1."),
            (r"\.mlp\.proj_in\.", ".mlp.lin1."),
            (r"\.mlp\.proj_out\.", ".mlp.lin2."),
            (r"\.upscale_conv1\.", ".output_upscaling.0."),
            (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
            (r"\.upscale_conv2\.", ".output_upscaling.3."),
            (r"\.o_proj\.", ".out_proj."),
            *_HEADS,
        ),
    ),
}
"""How names of ours begin, to how theirs do, and what is replaced in the rest, one rule after the other. Of
those that fit the longest counts; what begins as none is named alike."""

LEFT = re.compile(
    "|".join(
        (
            rf"{_VISION}trunk\.(blocks|patch_embed|pos_embed|ln_pre)",  # SAM 3's own encoder
            rf"{_VISION}trunk\.model\.backbone\.model\.(classifier|head|norm_head)\.",  # of ImageNet
            rf"{_LANGUAGE}encoder\.attn_mask$",  # a constant
            r"detector\.geometry_encoder\.points_",  # which transformers' has not, and no prompt here needs
            # the memory of videos
            r"tracker\.(maskmem|transformer|obj_ptr|no_obj|no_mem_pos_enc|mask_downsample)",
        )
    )
)
"""Of theirs, but in no part of ours: parts that do nothing for an image, or that the student replaces."""

_ATTENTION = re.compile(r"(detector\..*\.)([qkv])_proj\.(weight|bias)")
_POINTS = "model.prompt_encoder.point_embed.weight"


@dataclass(frozen=True)
class Origin:
    """Where a parameter of ours lies in theirs."""

    names: tuple[str, ...]
    """One, or as many as ours has rows."""
    third: int | None = None
    """Which third of its rows, where theirs joins queries, keys and values."""
    transposed: bool = False

    def shapes(self, own: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Return theirs for the shape of ours."""
        if not own:
            return dict.fromkeys(self.names, own)
        rows, *rest = reversed(own) if self.transposed else own
        rows = rows // len(self.names) if self.third is None else 3 * rows
        return dict.fromkeys(self.names, (rows, *rest))

    def read(self, theirs: Mapping[str, Tensor]) -> Tensor:
        """Return the parameter."""
        first, *others = (theirs[name] for name in self.names)
        value = torch.cat([first, *others]) if others else first
        if self.third is not None:
            value = value.chunk(3)[self.third]
        return value.T if self.transposed else value


def origin(key: str) -> Origin:
    """Tell where a parameter of ours lies in theirs."""
    if key == _POINTS:
        return Origin(tuple(f"tracker.sam_prompt_encoder.point_embeddings.{i}.weight" for i in range(4)))
    name = _renamed(key)
    if joined := _ATTENTION.fullmatch(name):
        return Origin((f"{joined[1]}in_proj_{joined[3]}",), third="qkv".index(joined[2]))
    return Origin((name,), transposed=name.endswith(".text_projection"))


def _renamed(key: str) -> str:
    start = max((one for one in PARTS if key.startswith(one)), key=len, default="")
    theirs, rules = PARTS.get(start, ("", ()))
    # rules see the end of the beginning too, for names are told apart by the dots around them
    stem, dot, rest = theirs.rpartition(".") if theirs.endswith(".") else (theirs, "", "")
    rest = dot + key[len(start) :]
    for pattern, replacement in rules:
        rest = re.sub(pattern, replacement, rest)
    return stem + rest


def load(model: nn.Module, path: Path) -> str | None:
    """Load a checkpoint of theirs into a module of ours, strictly.

    Returns:
        How it lay in its file; ``None`` where it is all that the file holds.

    Raises:
        SambenchError: the file is damaged, holds code, or is of another model; the message names the first
            keys of theirs that are missing, or that nothing takes.
    """
    own = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    origins = {key: origin(key) for key in own}
    wanted: dict[str, tuple[int, ...]] = {}
    for key, shape in own.items():
        wanted |= origins[key].shapes(shape)
    found = find_state(path, wanted, spare=lambda key: LEFT.match(key) is not None)
    model.load_state_dict({key: one.read(found.state) for key, one in origins.items()}, strict=True)
    return found.taken
