"""SAM's vision transformer: its attention by explicit loops, its windows, its official layout and size."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.attention import WAYS, draw, textbook
from sambench.adapters.families.sam_vit import VARIANTS, create_model
from sambench.adapters.modules import vit
from sambench.adapters.modules.neck import sam_neck
from tests.golden import official

GMACS = {"sam_vit_b": 486.04, "sam_vit_l": 1492.84, "sam_vit_h": 2980.54}
"""Giga multiply-accumulates of the official image encoders at 1024 x 1024, by torch's own counter."""


def randomised(module):
    """Parameters drawn anew: the positions are zero when built."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return module.eval().requires_grad_(False)


def by_loops(attention, x):
    """One image (H, W, C), in double precision, one pair of query and key at a time."""
    h, w, c = x.shape
    heads, d = attention.heads, c // attention.heads
    p = {name: value.double().numpy() for name, value in attention.state_dict().items()}
    qkv = (x @ p["qkv.weight"].T + p["qkv.bias"]).reshape(h, w, 3, heads, d)
    out = np.zeros((h, w, heads, d))
    for n in range(heads):
        for i, j in np.ndindex(h, w):
            query, scores = qkv[i, j, 0, n], np.zeros((h, w))
            for k, m in np.ndindex(h, w):
                scores[k, m] = query @ qkv[k, m, 1, n] / np.sqrt(d)
                # the tables start with the key that is farthest below or to the right
                scores[k, m] += query @ p["rel_pos_h"][i - k + h - 1] + query @ p["rel_pos_w"][j - m + w - 1]
            weights = np.exp(scores - scores.max())
            out[i, j, n] = (weights[..., None] * qkv[:, :, 2, n]).sum((0, 1)) / weights.sum()
    return out.reshape(h, w, c) @ p["proj.weight"].T + p["proj.bias"]


@pytest.mark.parametrize("strip", [4, vit.STRIP], ids=["in several strips", "in one strip"])
def test_attention_is_what_explicit_loops_over_offsets_make(strip, monkeypatch):
    monkeypatch.setattr(vit, "STRIP", strip)
    attention = randomised(vit.Attention(12, heads=2, size=(3, 5)))
    images = torch.randn(2, 3, 5, 12, generator=torch.Generator().manual_seed(1))
    want = np.stack([by_loops(attention, image) for image in images.double().numpy()])
    np.testing.assert_allclose(attention(images).numpy(), want, atol=1e-5)


@pytest.mark.parametrize("way", [name for name in WAYS if name != "textbook"])
@pytest.mark.parametrize(("batch", "side"), [(25, vit.WINDOW), (1, vit.GRID)], ids=["windows", "image"])
def test_fused_attention_agrees_with_the_textbook(way, batch, side):
    torch.manual_seed(0)
    arguments = draw(batch, 2, side, 64, torch.device("cpu"))
    want = textbook(*arguments)
    torch.testing.assert_close(WAYS[way](*arguments), want, atol=1e-5, rtol=0)
    unmoved = textbook(*arguments[:3], *(torch.zeros_like(x) for x in arguments[3:]))
    assert (want - unmoved).abs().max() > 0.1  # the position does matter to these


def tiny_encoder():
    return randomised(vit.ImageEncoder(dim=32, depth=3, heads=2, global_blocks={1}, window=3, grid=8))


def test_the_embedding_does_not_depend_on_the_kernel():
    torch.manual_seed(0)
    encoder, images = tiny_encoder(), torch.randn(2, 3, 128, 128)
    fused = encoder(images)
    assert fused.shape == (2, 256, 8, 8)
    with sdpa_kernel(SDPBackend.MATH):
        explicit = encoder(images)
    torch.testing.assert_close(fused, explicit, rtol=0, atol=3e-5 * float(explicit.square().mean().sqrt()))


def test_an_image_has_the_same_embedding_in_any_batch():
    torch.manual_seed(0)
    encoder, images = tiny_encoder(), torch.randn(3, 3, 128, 128)
    alone = torch.cat([encoder(image[None]) for image in images])
    torch.testing.assert_close(encoder(images), alone, rtol=0, atol=1e-4)


def test_only_global_blocks_look_beyond_their_window():
    torch.manual_seed(0)
    x = torch.randn(1, 8, 8, 32)
    changed = x.clone()
    changed[:, 7, 7] = torch.randn(32)  # a constant added would be lost in the norm
    reached = {}
    for i, block in enumerate(tiny_encoder().blocks):
        reached[i] = (block(changed) - block(x)).abs().amax(dim=-1)[0] > 0
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[6:, 6:] = False
    assert [bool(reached[i][outside].any()) for i in range(3)] == [False, True, False]
    assert all(reached[i][6:, 6:].all() for i in range(3))


def on_meta(name):
    with torch.device("meta"):
        return create_model(name)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_state_dict_has_the_official_keys_and_shapes(name):
    state = on_meta(name).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == official.official_keys(name)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_encoder_computes_as_much_as_the_official_one(name):
    encoder = on_meta(name).image_encoder
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        embedding = encoder(torch.zeros(1, 3, 1024, 1024, device="meta"))
    assert embedding.shape == (1, 256, 64, 64)
    assert counter.get_total_flops() / 2e9 == pytest.approx(GMACS[name], abs=0.005)


def test_the_neck_normalises_each_pixel_twice():
    torch.manual_seed(0)
    neck = sam_neck(8, 16)
    assert list(neck.state_dict()) == [f"{i}.{p}" for i, p in (
        (0, "weight"), (1, "weight"), (1, "bias"), (2, "weight"), (3, "weight"), (3, "bias")
    )]  # fmt: skip
    x = torch.randn(2, 8, 5, 7)
    narrow = torch.einsum("oc,bchw->bohw", neck[0].weight[:, :, 0, 0], x)
    narrow = (narrow - narrow.mean(1, keepdim=True)) / (
        narrow.var(1, keepdim=True, correction=0) + 1e-6
    ).sqrt()
    wide = torch.nn.functional.conv2d(narrow, neck[2].weight, padding=1)
    want = (wide - wide.mean(1, keepdim=True)) / (wide.var(1, keepdim=True, correction=0) + 1e-6).sqrt()
    torch.testing.assert_close(neck(x), want, rtol=0, atol=1e-5)
