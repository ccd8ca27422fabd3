"""Parameters and multiply-accumulates: by hand, by torch's own counter, and as the paper prints them."""

import functools
import importlib

import pytest
import tiny_hf
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sambench.adapters.families.hf import create_model as create_model_of_library
from sambench.adapters.profile import Macs, count_macs
from sambench.adapters.profile import profile as count
from sambench.adapters.registry import entry
from sambench.evsam.errors import SambenchError
from sambench.reports.published import lookup, models_of
from tests.golden import official

profile = functools.cache(count)
QUICK = ("efficientvit_sam_l0",)
EACH = [pytest.param(m, marks=() if m in QUICK else pytest.mark.slow) for m in official.MODELS]


class Parts(nn.Module):
    """One of each function that is counted."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, groups=1)
        self.grouped = nn.Conv2d(8, 8, 5, padding=2, groups=4)
        self.norm = nn.BatchNorm2d(8)
        self.blocks = nn.ModuleList([nn.Linear(8, 6), nn.LayerNorm(6)])
        self.idle = nn.Linear(100, 100)

    def forward(self, x):
        x = self.norm(self.grouped(self.conv(x))).flatten(2).transpose(1, 2)  # (B, 16, 8)
        for block in self.blocks:
            x = block(x)  # (B, 16, 6)
        x = F.scaled_dot_product_attention(x, x, x) + F.scaled_dot_product_attention(x * 2, x, x, scale=1.0)
        x = x + torch.einsum("bnc,mc->bnm", x, x.new_ones(6, 6))
        return x.mean(dim=1)


HAND = {
    "conv": Macs(16 * 8 * 27, 16 * 8 * 27),
    "grouped": Macs(16 * 8 * 50, 16 * 8 * 50),
    "norm": Macs(16 * 8, 0),
    "blocks.0": Macs(16 * 6 * 8, 16 * 6 * 8),
    "blocks.1": Macs(16 * 6, 0),
}
ATTENTION = 2 * 16 * 16 * 6  # two products
OWN = Macs(2 * ATTENTION + 16 * 16 + 16 * 6 + 16 * 6, 2 * ATTENTION + 16 * 6 * 6)
"""Of the forward itself: one scaling of scores, one of queries, the mean; einsum in the plain count alone."""


def test_each_function_costs_what_it_costs_by_hand():
    macs, called = count_macs(Parts().eval(), torch.zeros(1, 3, 4, 4))
    assert {path: macs[path] for path in HAND} == HAND
    assert macs["blocks"] == HAND["blocks.0"] + HAND["blocks.1"]
    assert macs[""] == sum(HAND.values(), OWN)
    assert "idle" not in called
    assert called >= set(HAND)


@pytest.mark.parametrize("name", EACH)
def test_plain_macs_are_those_of_torchs_own_counter(name):
    """Torch counts below the functions, at the operators; it sees the same products."""
    create_model = importlib.import_module(entry(name).target.partition(":")[0]).create_model
    # Torch's counter knows attention by the products of its plain form.
    math = sdpa_kernel(SDPBackend.MATH)
    with FakeTensorMode(), math, FlopCounterMode(display=False) as counter, torch.inference_mode():
        model = create_model(name)
        model.image_encoder(torch.empty(1, 3, model.input_size, model.input_size))
    assert profile(name).encoder.macs.plain == pytest.approx(counter.get_total_flops() / 2, rel=1e-9)


@pytest.mark.parametrize("name", models_of("efficiency", "coco"))
def test_the_papers_macs_come_out_to_the_printed_digit(name):
    printed = lookup("efficiency", "coco", name).printed
    assert round(profile(name).encoder.macs.paper / 1e9) == printed["encoder_macs_g"]


@pytest.mark.parametrize("name", models_of("efficiency", "coco"))
def test_the_papers_parameters_come_out_or_are_explained(name):
    counted = profile(name)
    printed = lookup("efficiency", "coco", name).printed["params_m"]
    if name == "efficient_sam_s":  # its footnote: 25.3 in the paper, 26.4 in the checkpoint
        assert round(counted.params / 1e6, 1) == 26.4
    elif name == "mobile_sam":  # its footnote: the paper leaves the unused classifier out
        assert counted.unused_params == 321_640
        assert round((counted.params - counted.unused_params) / 1e6, 1) == printed
    else:
        assert counted.unused_params == 0
        assert round(counted.params / 1e6, 1) == printed


def test_the_whole_is_the_sum_of_its_parts():
    counted = profile("efficientvit_sam_l0")
    by_name = {m.name: m for m in counted.modules}
    parts = [by_name[f"image_encoder.{part}"] for part in ("backbone", "neck", "norm")]
    assert sum((m.macs for m in parts), Macs()) == counted.encoder.macs
    assert sum(m.params for m in parts) == counted.encoder.params == 30_728_224


@pytest.mark.parametrize(
    ("name", "message"), [("box", "cannot be profiled"), ("hf:owner/model", "no .*config.json")]
)
def test_a_model_without_an_encoder_to_build_is_refused(name, message):
    with pytest.raises(SambenchError, match=message):
        profile(name)


@pytest.mark.parametrize("family", tiny_hf.FAMILIES)
def test_models_of_transformers_are_counted_from_their_configuration(family, tmp_path):
    tiny_hf.save(family, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    counted = profile(f"hf:{tmp_path}")
    assert counted.input_size == tiny_hf.SIDE
    assert 0 < counted.encoder.params < counted.params
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.inference_mode():
        model = create_model_of_library(f"hf:{tmp_path}")
        model.eval().image_encoder(torch.zeros(1, 3, tiny_hf.SIDE, tiny_hf.SIDE))
    assert counted.encoder.macs.plain == pytest.approx(counter.get_total_flops() / 2, rel=1e-9)
