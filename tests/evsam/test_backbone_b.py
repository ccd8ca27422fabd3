"""EfficientViT-B: the official layout, and the numbers of an independent implementation."""

import importlib.util
import re

import pytest
import torch

from sambench.evsam.attention import DIVISION_EPS
from sambench.evsam.backbone_b import B0, B1, B2, BackboneB
from sambench.evsam.fuse import fuse_norms
from tests.conftest import missing

SIZES = {"b0": B0, "b1": B1, "b2": B2}

OFFICIAL = {
    "input_stem.op_list.0.conv.weight": (8, 3, 3, 3),
    "input_stem.op_list.1.main.depth_conv.conv.weight": (8, 1, 3, 3),
    "input_stem.op_list.1.main.point_conv.norm.running_var": (8,),
    "stages.0.op_list.0.main.inverted_conv.norm.weight": (32,),
    "stages.1.op_list.1.main.point_conv.conv.weight": (32, 128, 1, 1),
    "stages.2.op_list.0.main.depth_conv.conv.bias": (128,),
    "stages.2.op_list.1.context_module.main.qkv.conv.weight": (192, 64, 1, 1),
    "stages.3.op_list.2.context_module.main.aggreg.0.0.weight": (384, 1, 5, 5),
    "stages.3.op_list.2.context_module.main.aggreg.0.1.weight": (384, 16, 1, 1),
    "stages.3.op_list.2.local_module.main.point_conv.norm.num_batches_tracked": (),
}
"""Some keys of B0, by ``models/efficientvit/backbone.py`` of github.com/mit-han-lab/efficientvit."""


def timm_of(size):
    """timm's model, its statistics drawn, and its parameters under the official names."""
    if importlib.util.find_spec("timm") is None:
        missing("timm is not installed: pip install 'sambench[hf]'")
    import timm

    torch.manual_seed(0)
    model = timm.create_model(f"efficientvit_{size}", num_classes=0).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
        if hasattr(module, "kernel_func"):
            module.eps = DIVISION_EPS  # timm's own is 1e-5
    state = {official(key): value for key, value in model.state_dict().items() if not key.startswith("head.")}
    return model, state


def official(key):
    key = re.sub(r"^stem\.res(\d)", lambda m: f"input_stem.op_list.{int(m[1]) + 1}", key)
    return key.replace("stem.in_conv.", "input_stem.op_list.0.").replace(".blocks.", ".op_list.")


def test_the_keys_are_the_official_ones():
    shapes = {key: tuple(value.shape) for key, value in BackboneB(B0).state_dict().items()}
    assert {key: shapes.get(key) for key in OFFICIAL} == OFFICIAL


@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_the_deepest_map_is_timms(size):
    theirs, state = timm_of(size)
    ours = BackboneB(SIZES[size]).eval()
    ours.load_state_dict(state, strict=True)
    x = torch.randn(1, 3, 100, 100, generator=torch.Generator().manual_seed(1))  # 100 / 32 is no whole number
    want = theirs.forward_features(x)
    assert want.shape[-2:] == (4, 4)
    assert (ours(x) - want).norm() < 3e-5 * want.norm()
    fuse_norms(ours)
    assert (ours(x) - want).norm() < 3e-5 * want.norm()
