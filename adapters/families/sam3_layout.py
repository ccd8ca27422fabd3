"""The layout of checkpoints of SAM 3's authors (``sam3.pt``), beside that of transformers (see `layout`).

Ours is `hf.ModelOfLibrary`: ``model`` (transformers' ``Sam3TrackerModel``) and ``detector`` (its
``Sam3Model``) over one encoder, a student (`adapters.modules.student`). Theirs has the encoder and both necks
in the detector. Names of theirs are those of github.com/facebookresearch/sam3 and of
``_load_checkpoint`` in EfficientSAM3's ``model_builder.py``; most pairs are in transformers'
``convert_sam3_to_hf.py`` and ``convert_sam3_video_to_hf.py`` too.
"""

from __future__ import annotations

import re

from sambench.adapters.families.layout import Layout, Parts

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

TRACKER: Parts = {
    "model.no_memory_embedding": ("tracker.no_mem_embed", ()),
    "model.shared_image_embedding.": (
        "tracker.sam_prompt_encoder.pe_layer.",
        ((r"\.positional_embedding$", ".positional_encoding_gaussian_matrix"),),
    ),
    "model.prompt_encoder.": (
        "tracker.sam_prompt_encoder.",
        (
            (r"\.point_embed\.", ".point_embeddings.#."),
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
"""Of the head that takes clicks and boxes; SAM 2's is named alike."""

DETECTOR: Parts = {
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
}
"""Of the encoder, both necks, and the head that takes phrases."""

_LEFT = re.compile(
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

SAM3 = Layout(
    {**TRACKER, **DETECTOR},
    _LEFT,
    joined=re.compile(r"(detector\..*\.)([qkv])_proj\.(weight|bias)"),
    transposed=".text_projection",
)
