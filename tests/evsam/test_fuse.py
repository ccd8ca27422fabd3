"""Norms folded into convolutions: fewer operations, the same numbers."""

import copy

import pytest
import torch
from torch import nn

from sambench.adapters.modules.conv_bn import ConvBN
from sambench.adapters.modules.repvit import NormedTokenMixer, TokenMixer
from sambench.evsam.attention import EfficientViTBlock
from sambench.evsam.fuse import fuse_norms
from sambench.evsam.layers import FusedMBConv, MBConv, ResBlock
from tests.golden import golden

MODULES = {
    "ResBlock": lambda: ResBlock(8),
    "FusedMBConv": lambda: FusedMBConv(8, 16, expand=4, stride=2),
    "MBConv": lambda: MBConv(8, 8, expand=4),
    "EfficientViTBlock": lambda: EfficientViTBlock(64, expand=4, kernel=5),
    "ConvBN": lambda: nn.Sequential(ConvBN(8, 16, kernel=3, stride=2), nn.GELU(), ConvBN(16, 8)),
    "TokenMixer": lambda: TokenMixer(8),
    "NormedTokenMixer": lambda: NormedTokenMixer(8),
}


def norms(module):
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("name", MODULES)
def test_a_fused_module_computes_the_same_without_a_norm(name):
    plain = golden.load_filled(MODULES[name]())  # with statistics that are not those of a fresh norm
    fused = copy.deepcopy(plain)
    fuse_norms(fused)
    assert norms(plain)
    assert not norms(fused)
    channels = 64 if name == "EfficientViTBlock" else 8
    x = torch.randn(2, channels, 12, 10, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        want, got = plain(x), fused(x)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5 * float(want.abs().max()))


@pytest.mark.parametrize("name", MODULES)
def test_fusing_twice_changes_nothing_more(name):
    module = golden.load_filled(MODULES[name]())
    fuse_norms(module)
    once = {key: value.clone() for key, value in module.state_dict().items()}
    fuse_norms(module)
    assert module.state_dict().keys() == once.keys()
    assert all(torch.equal(value, once[key]) for key, value in module.state_dict().items())
