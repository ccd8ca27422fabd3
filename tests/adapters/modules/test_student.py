"""EfficientSAM3's encoders: as large as published, and with the numbers of independent implementations."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch._subclasses.fake_tensor import FakeTensorMode

from sambench.adapters.modules.student import BACKBONES, CHANNELS, SIDE, Student
from sambench.reports.literature import source
from tests.conftest import missing


def published():
    """Millions of parameters that the README prints, by encoder."""
    text = yaml.safe_load((Path(source.__file__).parent / "efficient_sam3.yaml").read_text())
    stage_1 = "README, Stage 1 Image Model Evaluation"
    (table,) = (t for t in text["tables"] if (t["table"], t["metrics"]) == (stage_1, ["params_m"]))
    names = {label: name.removeprefix("efficient_sam3_") for label, name in text["models"].items()}
    return {names[label]: row[0] for label, row in table["rows"].items()}


@pytest.mark.parametrize("which", BACKBONES)
def test_a_backbone_has_the_published_number_of_parameters(which):
    with torch.device("meta"):
        backbone, _ = BACKBONES[which]()
    assert round(sum(p.numel() for p in backbone.parameters()) / 1e6, 2) == published()[which]


@pytest.mark.parametrize("which", ["repvit_s", "tinyvit_s", "efficientvit_s"])
def test_a_student_gives_the_map_of_sam3s_own_encoder(which):
    with FakeTensorMode(), torch.inference_mode():
        maps = Student(*BACKBONES[which]()).eval()(torch.empty(2, 3, 1008, 1008))
    assert maps.shape == (2, CHANNELS, SIDE, SIDE)


@torch.inference_mode()
def test_the_head_comes_before_the_map_is_enlarged():
    student = Student(torch.nn.Conv2d(3, 4, 3, stride=8), 4, channels=6, side=9).eval()
    x = torch.randn(1, 3, 40, 40)
    want = student.backbone(x)
    for layer in student.head:
        want = layer(want)
    want = F.interpolate(want, (9, 9), mode="bilinear", align_corners=False)
    assert torch.equal(student(x), want)
    assert [type(layer).__name__ for layer in student.head] == ["Conv2d", "BatchNorm2d", "GELU", "Conv2d"]


def repvit_keys(state):
    """timm's names of RepViT's parameters to the official ones, whose blocks are counted through."""
    blocks = []

    def official(key):
        key = re.sub(r"^stem\.conv(\d)", lambda m: f"features.0.{2 * int(m[1]) - 2}", key)
        block = re.match(r"stages\.\d\.(?:blocks\.\d+|downsample\.pre_block|downsample)\.", key)
        if not block:
            return key
        if block[0] not in blocks:
            blocks.append(block[0])
        rest = key[block.end() :]
        for pattern, name in (
            (r"^(token_mixer|spatial_downsample)\.", "token_mixer.0."),
            (r"^channel_downsample\.", "token_mixer.2."),
            (r"^se\.", "token_mixer.1."),
            (r"^(ffn|channel_mixer)\.conv1\.", "channel_mixer.m.0."),
            (r"^(ffn|channel_mixer)\.conv2\.", "channel_mixer.m.2."),
        ):
            rest = re.sub(pattern, name, rest)
        return f"features.{len(blocks)}.{rest}"

    return {official(key): value for key, value in state.items() if not key.startswith("head.")}


def tiny_vit_keys(state):
    """timm's names of TinyViT's parameters to the official ones, whose steps end a stage."""

    def official(key):
        key = re.sub(r"^stages\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", key)
        key = re.sub(r"^patch_embed\.conv(\d)", lambda m: f"patch_embed.seq.{2 * int(m[1]) - 2}", key)
        return key.replace("stages.", "layers.").replace(".conv.", ".c.")

    return {official(key): value for key, value in state.items() if not key.startswith("head.")}


@pytest.mark.parametrize(
    ("which", "name", "rename"),
    [
        ("repvit_s", "repvit_m0_9", repvit_keys),
        ("repvit_m", "repvit_m1_1", repvit_keys),
        ("tinyvit_s", "tiny_vit_5m_224", tiny_vit_keys),
        ("tinyvit_m", "tiny_vit_11m_224", tiny_vit_keys),
    ],
)
@torch.inference_mode()
def test_the_deepest_map_is_timms(which, name, rename):
    if importlib.util.find_spec("timm") is None:
        missing("timm is not installed: pip install 'sambench[hf]'")
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model(name, num_classes=0).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.fill_(0.8)  # of some it is zero, which would hide all before
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    for parameter in theirs.parameters():
        if parameter.ndim == 2:
            parameter.copy_(torch.randn_like(parameter) / parameter.shape[1] ** 0.5)
    ours, width = BACKBONES[which]()
    ours.eval().load_state_dict(rename(theirs.state_dict()), strict=True)
    x = torch.randn(1, 3, 100, 100, generator=torch.Generator().manual_seed(1))
    want = theirs.forward_features(x)
    got = ours(x)
    assert got.shape == want.shape == (1, width, 4, 4)
    assert (got - want).norm() < 3e-5 * want.norm()
