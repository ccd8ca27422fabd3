"""Small models of ultralytics with random weights, and its own predictors."""

import importlib
import importlib.util
from contextlib import contextmanager

import pytest
import torch

from sambench.adapters.families import ultralytics_models, ultralytics_sam
from tests.conftest import missing
from tests.golden import golden

SIDE = 256
"""Of the inputs, where the real models have 1024."""


@contextmanager
def imported():
    """ultralytics, with inputs of `SIDE` for FastSAM."""
    for package in ("ultralytics", "torchvision"):
        if importlib.util.find_spec(package) is None:
            missing(f"{package} is not installed: pip install 'sambench[yolo]'")
    with pytest.MonkeyPatch.context() as patch:
        # its predictors set the number of threads, and with it the rounding that is compared here
        patch.setattr(torch, "set_num_threads", lambda n: None)
        patch.setattr(ultralytics_models, "FAST_SAM_SIDE", SIDE)
        yield ultralytics_sam.import_ultralytics()


def predictor(library, kind, **options):
    """A predictor of ultralytics, with what its ``predict`` sets."""
    with ultralytics_sam._contained():
        module = importlib.import_module(f"ultralytics.models.{kind[0]}")
    options |= {"save": False, "verbose": False, "device": "cpu", "mode": "predict", "rect": True}
    return getattr(module, kind[1])(overrides=options)


def save_fast_sam(library, folder):
    """FastSAM-s, a YOLOv8s-seg of one class, as a checkpoint; it finds a hundred instances in any image."""
    torch.manual_seed(0)
    model = library.nn.tasks.SegmentationModel("yolov8s-seg.yaml", nc=1, verbose=False)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    pixels = torch.from_numpy(golden.make_image(192, SIDE)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        model.train()(pixels)  # so that every map has the scale of a trained model's
        head = model.model[-1]
        for boxes, scores, masks in zip(head.cv2, head.cv3, head.cv4, strict=True):
            boxes[-1].weight.normal_(0, 0.3)
            scores[-1].weight.normal_(0, 0.1)
            scores[-1].bias.fill_(-2)
            masks[-1].weight.normal_(0, 0.3)
    path = folder / "FastSAM-s.pt"
    torch.save({"model": model.eval(), "ema": None, "train_args": {"imgsz": 1024}}, path)
    return path


def small_sam2(library):
    """SAM 2 with a small encoder for inputs of 256 x 256."""
    model = library.models.sam.build._build_sam2(
        encoder_embed_dim=16,
        encoder_stages=[1, 2, 2, 1],
        encoder_num_heads=1,
        encoder_global_att_blocks=[4],
        encoder_backbone_channel_list=[128, 64, 32, 16],
        encoder_window_spec=[8, 4, 14, 7],
    )
    model.set_imgsz((SIDE, SIDE))
    return model


WIDTH3 = 32
SIDE3 = 112
"""Of SAM 3's input, where the real ones have 1008: 8 x 8 patches."""


def tokenize(texts, context_length):
    """Letters as tokens, between a first and a last; 0 behind."""
    rows = torch.zeros(len(texts), context_length, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        codes = [90, *(ord(c) % 60 + 1 for c in text), 91][:context_length]
        row[: len(codes)] = torch.tensor(codes)
    return rows


def small_sam3(library):
    """SAM 3's image model of all its own parts, in small; its builder has no sizes."""
    sam = library.models.sam
    blocks = importlib.import_module(f"{sam.__name__}.modules.blocks")
    d = WIDTH3
    position = blocks.PositionEmbeddingSine(num_pos_feats=d, normalize=True)

    def part(name):
        return importlib.import_module(f"{sam.__name__}.sam3.{name}")

    def attention(**more):
        return torch.nn.MultiheadAttention(num_heads=4, dropout=0.1, embed_dim=d, **more)

    def encoder_layer(**more):
        both = {"self_attention": attention(batch_first=True), "cross_attention": attention(batch_first=True)}
        settings = {"d_model": d, "dim_feedforward": 64, "dropout": 0.1, "pre_norm": True}
        return part("encoder").TransformerEncoderLayer(**settings, **(both | more))

    trunk = part("vitdet").ViT(
        **{"img_size": SIDE3, "pretrain_img_size": 56, "patch_size": 14, "window_size": 4},
        **{"embed_dim": 32, "depth": 2, "num_heads": 2, "mlp_ratio": 2.0, "global_att_blocks": (1,)},
        **{"norm_layer": "LayerNorm", "use_abs_pos": True, "tile_abs_pos": True, "rel_pos_blocks": ()},
        **{"use_rope": True, "use_interp_rope": True, "pretrain_use_cls_token": True, "ln_pre": True},
        **{"retain_cls_token": False, "return_interm_layers": False, "bias_patch_embed": False},
    )
    neck = part("necks").Sam3DualViTDetNeck(
        position_encoding=position,
        d_model=d,
        scale_factors=[4.0, 2.0, 1.0, 0.5],
        trunk=trunk,
        add_sam2_neck=True,
    )
    text = part("text_encoder_ve").VETextEncoder(
        d_model=d, tokenizer=tokenize, width=32, heads=4, layers=1, vocab_size=100
    )
    mlp = importlib.import_module("ultralytics.nn.modules.transformer").MLP
    places = {"pos_enc_at_cross_attn_queries": False, "pos_enc_at_cross_attn_keys": False}
    encoder = part("encoder").TransformerEncoderFusion(
        layer=encoder_layer(pos_enc_at_attn=True, **places),
        num_layers=1,
        d_model=d,
        num_feature_levels=1,
        frozen=False,
        use_act_checkpoint=True,
        add_pooled_text_to_img_feat=False,
        pool_text_with_mask=True,
    )
    decoder = part("decoder").TransformerDecoder(
        layer=part("decoder").TransformerDecoderLayer(
            d_model=d,
            dim_feedforward=64,
            dropout=0.1,
            cross_attention=attention(),
            n_heads=4,
            use_text_cross_attention=True,
        ),
        **{"num_layers": 2, "num_queries": 20, "return_intermediate": True, "box_refine": True},
        **{"dac": True, "boxRPB": "log", "d_model": d, "frozen": False, "interaction_layer": None},
        **{"use_act_checkpoint": True, "presence_token": True},
    )
    head = part("maskformer_segmentation")
    return (
        part("sam3_image")
        .SAM3SemanticModel(
            backbone=part("vl_combiner").SAM3VLBackbone(visual=neck, text=text, scalp=1),
            transformer=part("model_misc").TransformerWrapper(encoder=encoder, decoder=decoder, d_model=d),
            input_geometry_encoder=part("geometry_encoders").SequenceGeometryEncoder(
                pos_enc=position,
                d_model=d,
                num_layers=1,
                layer=encoder_layer(pos_enc_at_attn=False, **(places | {"pos_enc_at_cross_attn_keys": True})),
                **{"boxes_direct_project": True, "boxes_pool": True, "boxes_pos_enc": True},
                **{"use_act_ckpt": True, "add_cls": True, "add_post_encode_proj": True},
            ),
            segmentation_head=head.UniversalSegmentationHead(
                hidden_dim=d,
                upsampling_stages=3,
                act_ckpt=True,
                cross_attend_prompt=attention(),
                pixel_decoder=head.PixelDecoder(num_upsampling_stages=3, hidden_dim=d),
            ),
            num_feature_levels=1,
            dot_prod_scoring=part("model_misc").DotProductScoring(
                d_model=d,
                d_proj=d,
                prompt_mlp=mlp(d, 64, d, 2, residual=True, out_norm=torch.nn.LayerNorm(d)),
            ),
            use_instance_query=False,
        )
        .eval()
    )
