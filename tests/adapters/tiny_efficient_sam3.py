"""A small EfficientSAM3, and the same network of ultralytics' SAM 3, which keeps its authors' names."""

import tiny_hf
import torch
from torch import nn

from sambench.adapters.families import efficient_sam3
from sambench.adapters.modules.student import Student
from sambench.evsam.backbone_b import BackboneB, Sizes

SIDE, WIDTH, MAP = tiny_hf.SIDE, tiny_hf.WIDTH, tiny_hf.SIDE // tiny_hf.PATCH
CHANNELS = tiny_hf.VIT3["hidden_size"]
LAYERS, TEXT_LAYERS, HEADS, TRACKER_HEADS = 2, 3, 2, 2

BACKBONE = Sizes((4, 8, 8, 16, 32), (1, 1, 1, 1, 1), head_dim=16)


def student():
    return Student(BackboneB(BACKBONE), BACKBONE.widths[-1], channels=CHANNELS, side=MAP)


def network():
    """Ours, with random weights."""
    vision = {"model_type": "sam3_vision_model", "backbone_config": tiny_hf.VIT3, **tiny_hf.NECK}
    tracker = {
        "vision_config": vision,
        "prompt_encoder_config": tiny_hf.PROMPT,
        "mask_decoder_config": tiny_hf.DECODER,
    }
    return efficient_sam3.build(
        student(), detector=tiny_hf._detector(**tiny_hf._CLIP, hidden_act="gelu"), tracker=tracker
    )


class Trunk(nn.Module):
    """Theirs: a list of maps, under the names of EfficientSAM3's checkpoints."""

    def __init__(self):
        super().__init__()
        own = student()
        self.channel_list = [CHANNELS]
        self.model = nn.Module()
        self.model.backbone = nn.Module()
        self.model.backbone.model = own.backbone
        self.model.head = own.head

    def forward(self, x):
        x = self.model.head(self.model.backbone.model(x))
        return [nn.functional.interpolate(x, (MAP, MAP), mode="bilinear", align_corners=False)]


def attention(batch_first=False):
    return nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first)


def position():
    from ultralytics.models.sam.modules.blocks import PositionEmbeddingSine

    return PositionEmbeddingSine(num_pos_feats=WIDTH, normalize=True, scale=None, temperature=10000)


def layer(**options):
    from ultralytics.models.sam.sam3.encoder import TransformerEncoderLayer

    return TransformerEncoderLayer(
        d_model=WIDTH, dim_feedforward=WIDTH, dropout=0.1, pre_norm=True,
        pos_enc_at_cross_attn_queries=False, **options,
    )  # fmt: skip


class Detector(nn.Module):
    """ultralytics' SAM 3 in small, as its ``build_sam3_image_model`` puts it together, on any trunk."""

    def __init__(self, trunk=None):
        from ultralytics.models.sam.sam3.decoder import TransformerDecoder, TransformerDecoderLayer
        from ultralytics.models.sam.sam3.encoder import TransformerEncoderFusion
        from ultralytics.models.sam.sam3.geometry_encoders import SequenceGeometryEncoder
        from ultralytics.models.sam.sam3.maskformer_segmentation import (
            PixelDecoder,
            UniversalSegmentationHead,
        )
        from ultralytics.models.sam.sam3.model_misc import DotProductScoring, TransformerWrapper
        from ultralytics.models.sam.sam3.necks import Sam3DualViTDetNeck
        from ultralytics.models.sam.sam3.sam3_image import SAM3SemanticModel
        from ultralytics.models.sam.sam3.text_encoder_ve import VETextEncoder
        from ultralytics.models.sam.sam3.vl_combiner import SAM3VLBackbone
        from ultralytics.nn.modules.transformer import MLP

        super().__init__()
        neck = Sam3DualViTDetNeck(trunk or Trunk(), position(), WIDTH, add_sam2_neck=True)
        words = len(tiny_hf.vocabulary())
        text = VETextEncoder(
            WIDTH, self.tokens, width=WIDTH, heads=HEADS, layers=TEXT_LAYERS, vocab_size=words
        )
        for block in text.encoder.transformer.resblocks:  # tiny_hf's is as wide
            block.mlp.c_fc, block.mlp.c_proj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        encoder = TransformerEncoderFusion(
            layer=layer(
                pos_enc_at_attn=True, pos_enc_at_cross_attn_keys=False,
                self_attention=attention(True), cross_attention=attention(True),
            ),
            num_layers=LAYERS, d_model=WIDTH, num_feature_levels=1, frozen=False, use_act_checkpoint=False,
            add_pooled_text_to_img_feat=False, pool_text_with_mask=True,
        )  # fmt: skip
        decoder = TransformerDecoder(
            layer=TransformerDecoderLayer(
                d_model=WIDTH, dim_feedforward=WIDTH, dropout=0.1, cross_attention=attention(),
                n_heads=HEADS, use_text_cross_attention=True,
            ),
            num_layers=LAYERS, num_queries=tiny_hf.QUERIES, return_intermediate=True, box_refine=True,
            num_o2m_queries=0, dac=True, boxRPB="log", d_model=WIDTH, frozen=False, interaction_layer=None,
            dac_use_selfatt_ln=True, use_act_checkpoint=False, presence_token=True,
        )  # fmt: skip
        self.model = SAM3SemanticModel(
            backbone=SAM3VLBackbone(visual=neck, text=text, scalp=1),
            transformer=TransformerWrapper(encoder=encoder, decoder=decoder, d_model=WIDTH),
            input_geometry_encoder=SequenceGeometryEncoder(
                pos_enc=position(), boxes_direct_project=True, boxes_pool=True, boxes_pos_enc=True,
                d_model=WIDTH, num_layers=LAYERS, use_act_ckpt=False, add_cls=True, add_post_encode_proj=True,
                layer=layer(
                    pos_enc_at_attn=False, pos_enc_at_cross_attn_keys=True,
                    self_attention=attention(), cross_attention=attention(),
                ),
            ),
            segmentation_head=UniversalSegmentationHead(
                hidden_dim=WIDTH, upsampling_stages=3, aux_masks=False, presence_head=False,
                dot_product_scorer=None, act_ckpt=False, cross_attend_prompt=attention(),
                pixel_decoder=PixelDecoder(
                    num_upsampling_stages=3, interpolation_mode="nearest", hidden_dim=WIDTH
                ),
            ),
            num_feature_levels=1, o2m_mask_predict=True, use_instance_query=False, multimask_output=True,
            dot_prod_scoring=DotProductScoring(
                d_model=WIDTH, d_proj=WIDTH,
                prompt_mlp=MLP(WIDTH, WIDTH, WIDTH, 2, residual=True, out_norm=nn.LayerNorm(WIDTH)),
            ),
        )  # fmt: skip

    @staticmethod
    def tokens(phrases, context_length):
        """Token ids (N, T), 0 where there is none, as the authors' tokenizer gives them."""
        found = tiny_hf.tokenizer()(
            phrases, padding="max_length", max_length=context_length, return_tensors="pt"
        )
        return torch.where(found["attention_mask"] > 0, found["input_ids"], 0)

    def ask(self, pixels, phrases):
        """What the detector says of phrases on one image without a box, as the authors ask it."""
        from ultralytics.models.sam.sam3.geometry_encoders import Prompt

        seen = self.model.backbone.forward_image(pixels)
        self.model.text_embeddings = self.model.backbone.forward_text(list(phrases))
        none = Prompt(torch.zeros(0, len(phrases), 4), torch.zeros(len(phrases), 0, dtype=torch.bool))
        ids = torch.arange(len(phrases))
        return self.model.forward_grounding(seen, ids, none)


class Tracker(nn.Module):
    """What of ultralytics' interactive SAM 3 an image needs."""

    def __init__(self):
        from ultralytics.models.sam.modules.decoders import SAM2MaskDecoder
        from ultralytics.models.sam.modules.encoders import PromptEncoder
        from ultralytics.models.sam.modules.transformer import TwoWayTransformer

        super().__init__()
        prompt, decoder = tiny_hf.PROMPT, tiny_hf.DECODER
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.sam_prompt_encoder = PromptEncoder(
            WIDTH, (MAP, MAP), (SIDE, SIDE), prompt["mask_input_channels"]
        )
        transformer = TwoWayTransformer(
            depth=2, embedding_dim=WIDTH, mlp_dim=decoder["mlp_dim"], num_heads=decoder["num_attention_heads"]
        )
        self.sam_mask_decoder = SAM2MaskDecoder(
            WIDTH, transformer, iou_head_hidden_dim=decoder["iou_head_hidden_dim"],
            use_high_res_features=True, iou_prediction_use_sigmoid=True,
            dynamic_multimask_via_stability=True, pred_obj_scores=True, pred_obj_scores_mlp=True,
            use_multimask_token_for_obj_ptr=True,
        )  # fmt: skip

    def decode(self, maps, points, labels):
        """Masks (N, 3, 4h, 4w) and predicted IoU (N, 3) of points in the frame, on maps of one image."""
        fine, middle, coarse = maps
        coarse = coarse + self.no_mem_embed.reshape(1, -1, 1, 1)
        decoder, prompts = self.sam_mask_decoder, self.sam_prompt_encoder
        sparse, dense = prompts((points, labels), None, None)
        logits, iou, *_ = decoder(
            image_embeddings=coarse,
            image_pe=prompts.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            repeat_image=True,
            high_res_features=[decoder.conv_s0(fine), decoder.conv_s1(middle)],
        )
        return logits, iou


def fill(model):
    """Give every parameter values of a useful size, and leave what is computed, such as the causal mask."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if "running_var" in key:
                value.copy_(1 + 0.1 * noise.abs())
            elif value.ndim < 2:
                value.copy_(0.1 * noise + (1 if key.endswith("weight") else 0))
            else:
                value.copy_(noise / value[0].numel() ** 0.5)
    return model.eval()


def theirs():
    """Detector and tracker, filled, and their state dict as a checkpoint of EfficientSAM3 has it."""
    detector, tracker = fill(Detector()), fill(Tracker())
    state = {f"detector.{key}": value for key, value in detector.model.state_dict().items()}
    state |= {f"tracker.{key}": value for key, value in tracker.state_dict().items()}
    return detector, tracker, state
