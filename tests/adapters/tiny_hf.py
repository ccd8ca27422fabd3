"""Tiny models of transformers with random weights, and the processors that go with them."""

import importlib.util
import math

import torch

from tests.conftest import missing

SIDE = 128
"""Of the encoder's input, where the real models have 1024 or 1008."""

FAMILIES = ("sam", "sam_hq", "sam2", "edgetam", "sam3_tracker")

PATCH = 16
WIDTH = 64
MAPS = [[SIDE // s, SIDE // s] for s in (PATCH // 4, PATCH // 2, PATCH)]
PROMPT = {"hidden_size": WIDTH, "image_size": SIDE, "patch_size": PATCH, "mask_input_channels": 32}
DECODER = {"hidden_size": WIDTH, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32}

VIT = {
    "hidden_size": 32,
    "output_channels": WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
    "window_size": 3,
    "global_attn_indexes": [1, 2],
    "num_pos_feats": WIDTH // 2,
    "mlp_dim": 64,
}

HIERA = {
    "model_type": "sam2_hiera_det_model",
    "image_size": [SIDE, SIDE],
    "hidden_size": 8,
    "num_attention_heads": 1,
    "blocks_per_stage": [1, 1, 2, 1],
    "embed_dim_per_stage": [8, 16, 32, 64],
    "num_attention_heads_per_stage": [1, 1, 2, 2],
    "window_size_per_stage": [4, 2, 4, 2],
    "global_attention_blocks": [3],
    "window_positional_embedding_background_size": [4, 4],
}

REPVIT = {
    "model_type": "timm_wrapper",
    "architecture": "repvit_m1",
    "num_classes": 2,
    "model_args": {
        "in_chans": 3,
        "features_only": True,
        "out_indices": [0, 1, 2, 3],
        "embed_dim": [8, 16, 24, 32],
        "depth": [1, 1, 1, 1],
    },
}

VIT3 = {
    "model_type": "sam3_vit_model",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
    "window_size": 4,
    "global_attn_indexes": [1],
    "pretrain_image_size": 64,
}

MEMORY = {
    "memory_attention_hidden_size": WIDTH,
    "memory_attention_num_layers": 1,
    "memory_attention_feed_forward_hidden_size": WIDTH,
    "memory_encoder_hidden_size": WIDTH,
    "memory_encoder_output_channels": 16,
    "mask_downsampler_embed_dim": WIDTH,
    "memory_fuser_embed_dim": WIDTH,
    "memory_fuser_intermediate_dim": WIDTH,
    "memory_fuser_num_layers": 1,
}
"""Of the video models: the parts that the image models leave."""

NECK = {"backbone_feature_sizes": MAPS, "fpn_hidden_size": WIDTH}

QUERIES = 6
"""Of SAM 3's detector, where the real one has 200."""

ENDS = ("<|startoftext|>", "<|endoftext|>")
MERGES = (("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>"))
PHRASES = ("sam3", "sam3_lite_text", "sam3_video")
"""What takes phrases, and has a tokenizer in its folder."""


def _vit(prefix, **decoder):
    return lambda t: getattr(t, f"{prefix}Config")(
        vision_config=VIT, prompt_encoder_config=PROMPT, mask_decoder_config=DECODER | decoder
    )


def _pyramid(prefix, vision, **more):
    def config(transformers):
        return getattr(transformers, f"{prefix}Config")(
            vision_config=getattr(transformers, f"{vision[0]}VisionConfig")(**vision[1], **NECK),
            prompt_encoder_config=PROMPT,
            mask_decoder_config=DECODER,
            **more,
        )

    return config


def vocabulary():
    """CLIP's words in small: all bytes, alone and at the end of a word, some merges, two ends."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, MERGES), *ENDS]
    return {word: i for i, word in enumerate(words)}


def tokenizer():
    """CLIP's tokenizer with few words."""
    import transformers

    return transformers.CLIPTokenizer(vocab=vocabulary(), merges=list(MERGES))


def _detector(**text):
    """What SAM 3's detector and SAM3-LiteText's are made of."""
    words = vocabulary()
    small = {"hidden_size": WIDTH, "num_attention_heads": 2}
    layer = {**small, "intermediate_size": WIDTH, "num_layers": 2}
    text = {**small, "intermediate_size": WIDTH, "num_hidden_layers": 3, "vocab_size": len(words), **text}
    return {
        "vision_config": {"model_type": "sam3_vision_model", "backbone_config": VIT3, **NECK},
        "text_config": text | dict(zip(("bos_token_id", "eos_token_id"), map(words.get, ENDS), strict=True)),
        "geometry_encoder_config": layer,
        "detr_encoder_config": layer,
        "detr_decoder_config": {**layer, "num_queries": QUERIES},
        "mask_decoder_config": small,
    }


_CLIP = {"model_type": "clip_text_model", "max_position_embeddings": 32}


def _sam3_video(transformers):
    """As the hub's facebook/sam3: detector and tracker share an encoder, each has a neck of its own."""
    vision = {"backbone_config": VIT3, **NECK}
    tracker = {"prompt_encoder_config": PROMPT, "mask_decoder_config": DECODER, "image_size": SIDE, **MEMORY}
    return transformers.Sam3VideoConfig(
        detector_config={"model_type": "sam3", **_detector(**_CLIP)},
        tracker_config={"model_type": "sam3_tracker_video", "vision_config": vision, **tracker},
    )


_HIERA = ("Sam2", {"backbone_config": HIERA, "backbone_channel_list": HIERA["embed_dim_per_stage"][::-1]})
_REPVIT = (
    "EdgeTam",
    {"backbone_config": REPVIT, "backbone_channel_list": REPVIT["model_args"]["embed_dim"][::-1]},
)
_VIT3 = ("Sam3", {"backbone_config": VIT3})

CONFIGS = {
    "sam": _vit("Sam"),
    "sam_hq": _vit("SamHQ", vit_dim=VIT["hidden_size"]),
    "sam2": _pyramid("Sam2", _HIERA),
    "sam2_video": _pyramid("Sam2Video", _HIERA, **MEMORY),
    "edgetam": _pyramid("EdgeTam", _REPVIT),
    "edgetam_video": _pyramid("EdgeTamVideo", _REPVIT, **MEMORY),
    "sam3_tracker": _pyramid("Sam3Tracker", _VIT3),
    "sam3_tracker_video": _pyramid("Sam3TrackerVideo", _VIT3, image_size=SIDE, **MEMORY),
    "sam3_video": _sam3_video,
    "sam3": lambda t: t.Sam3Config(**_detector(**_CLIP)),
    # 77 positions, as the hub's have: the 32 tokens' are interpolated
    "sam3_lite_text": lambda t: t.Sam3LiteTextConfig(
        **_detector(model_type="sam3_lite_text_text_model", max_position_embeddings=77, projection_dim=WIDTH)
    ),
}


def build(kind):
    """A model of a ``model_type``, filled with weights that make it say something."""
    import transformers

    config = CONFIGS[kind](transformers)
    return fill(getattr(transformers, type(config).__name__.replace("Config", "Model"))(config)).eval()


def save(kind, folder):
    """Write config.json and model.safetensors of a tiny model, and return the model."""
    from safetensors.torch import save_file

    model = build(kind)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    # not save_pretrained of the model: it renames SAM 3's keys to what the hub's checkpoint does not have
    state = {key: value.clone().contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    if kind in PHRASES:
        tokenizer().save_pretrained(folder)
    return model


class Folders:
    """Folders of tiny models by their ``model_type``, each written when it is first asked for."""

    def __init__(self, root):
        for package in ("transformers", "timm", "torchvision"):  # for EdgeTAM, and for the processors
            if importlib.util.find_spec(package) is None:
                missing(f"{package} is not installed: pip install 'sambench[hf]' torchvision")
        self.root = root

    def __call__(self, kind):
        folder = self.root / kind
        if not folder.exists():
            folder.mkdir()
            save(kind, folder)
        return folder


def fill(model):
    """Give every parameter values of a useful size: as initialised, masks are zero to four decimals."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in (*model.named_parameters(), *model.named_buffers()):
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if "running_var" in name:
                value.copy_(1 + 0.1 * noise.abs())
            elif value.ndim < 2:
                value.copy_(0.1 * noise + (1 if name.endswith("weight") else 0))
            elif "positional" in name or "embed" in name or "token" in name:
                value.copy_(noise)
            else:
                value.copy_(noise / math.sqrt(value[0].numel()))
    return model


def processor(family):
    """What transformers itself prepares this family's images and prompts with."""
    import transformers

    if family in ("sam", "sam_hq"):
        images = transformers.SamImageProcessorPil(
            size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}
        )
        return (transformers.SamProcessor if family == "sam" else transformers.SamHQProcessor)(images)
    square = {"height": SIDE, "width": SIDE}
    if family in PHRASES:
        return transformers.Sam3Processor(transformers.Sam3ImageProcessor(size=square), tokenizer())
    if family == "sam3_tracker":
        return transformers.Sam3TrackerProcessor(
            transformers.Sam3ImageProcessor(size=square), target_size=SIDE
        )
    return transformers.Sam2Processor(transformers.Sam2ImageProcessor(size=square), target_size=SIDE)
