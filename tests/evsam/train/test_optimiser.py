"""How the weights move: groups, the course of the rate, clipping, what stays, averages and beginnings."""

import math

import pytest
import torch
from torch import nn

from sambench.evsam.errors import SambenchError
from sambench.evsam.train.average import Average
from sambench.evsam.train.optimiser import clip, freeze, make_optimiser, share_of_lr, train_mode
from sambench.evsam.train.recipe import Optimiser
from sambench.evsam.train.start import take_head, tie_attention
from tests.evsam.small_sam import small_sam


def test_what_decays_by_name_and_by_shape():
    model = small_sam()
    names = {id(p): name for name, p in model.named_parameters()}
    for rule, plain in (
        ("names", lambda n, p: "norm" in n or "bias" in n),
        ("vectors", lambda n, p: p.ndim < 2),
    ):
        optimiser = make_optimiser(model, Optimiser(no_decay=rule, weight_decay=0.1))
        decays, not_ = ({names[id(p)] for p in g["params"]} for g in optimiser.param_groups)
        assert [g["weight_decay"] for g in optimiser.param_groups] == [0.1, 0.0]
        assert not_ == {name for name, p in model.named_parameters() if plain(name, p)}
        assert decays | not_ == set(names.values())
    released = make_optimiser(model, Optimiser(no_decay="names")).param_groups[0]["params"]
    assert any(p is model.mask_decoder.output_upscaling[1].weight for p in released)  # a norm that is decayed


def test_the_rate_rises_then_falls_as_a_cosine():
    shares = [share_of_lr(step, 100, 10) for step in range(100)]
    assert shares[:10] == pytest.approx([(k + 1) / 11 for k in range(10)])
    assert shares[10] == 1
    assert shares[55] == pytest.approx(0.5)
    assert shares[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))
    assert [share_of_lr(s, 4, 0) for s in range(4)] == pytest.approx(
        [1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4]
    )


def test_the_rate_of_several_processes():
    model = nn.Linear(2, 2)
    for per_rank, expected in ((True, 8e-7 * 64), (False, 8e-7)):
        optimiser = make_optimiser(model, Optimiser(lr=8e-7, lr_per_rank=per_rank), ranks=64)
        assert optimiser.param_groups[0]["lr"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("how", "expected"), [("value", [2.0, -2.0, 1.0]), ("norm", [1.2, -1.6, 0.4]), ("none", [3.0, -4.0, 1.0])]
)
def test_clipping(how, expected):
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.tensor([3.0, -4.0, 1.0])
    norm = clip([parameter, nn.Parameter(torch.zeros(1))], Optimiser(clip=how, clip_at=2.0))
    whole = 26**0.5
    assert float(norm) == pytest.approx(whole)
    if how == "norm":
        expected = [2 / whole * x for x in (3, -4, 1)]
    assert parameter.grad.tolist() == pytest.approx(expected, rel=1e-5)


def test_frozen_parts_have_no_gradient_and_their_norms_stay():
    model = small_sam()
    recipe = Optimiser(frozen=("image_encoder",))
    freeze(model, recipe)
    assert {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad} == {
        "prompt_encoder",
        "mask_decoder",
    }
    train_mode(model, recipe)
    before = {name: b.clone() for name, b in model.image_encoder.named_buffers()}
    model.image_encoder(torch.randn(2, 3, 128, 128))
    assert all(torch.equal(b, before[name]) for name, b in model.image_encoder.named_buffers())
    assert model.mask_decoder.training


def test_frozen_norms_learn_their_weights_but_not_their_statistics():
    model = small_sam()
    train_mode(model, Optimiser(norms="frozen"))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(m.training for m in norms)
    assert all(m.weight.requires_grad for m in norms)


def test_a_part_that_is_not_there_and_nothing_left_are_refused():
    with pytest.raises(SambenchError, match="no part 'encoder'; its parts are image_encoder"):
        freeze(small_sam(), Optimiser(frozen=("encoder",)))
    with pytest.raises(SambenchError, match="nothing to learn"):
        freeze(small_sam(), Optimiser(frozen=("image_encoder", "prompt_encoder", "mask_decoder")))


def test_the_average_follows_soon_and_lags_in_the_long_run():
    model = nn.BatchNorm1d(1)
    average = Average(model, decay=0.998)
    with torch.no_grad():
        for step in range(200):
            model.weight.fill_(5.0)
            average.update(model, step)
    assert average.model.weight.item() == pytest.approx(
        5.0, abs=1e-3
    )  # of a plain one a third would be missing
    expected = 5.0
    with torch.no_grad():
        for step in range(200, 260):
            model.weight.fill_(float(step))
            model.num_batches_tracked.fill_(step)
            average.update(model, step)
            decay = min(0.998, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * step
    assert average.model.weight.item() == pytest.approx(expected, rel=1e-4)
    assert average.model.num_batches_tracked.item() == 259


def test_the_head_of_a_sam_is_taken_and_nothing_else():
    model, other = small_sam(0), small_sam(1)
    encoder = {k: v.clone() for k, v in model.image_encoder.state_dict().items()}
    take_head(model, other.state_dict(), "sam.pth")
    assert all(torch.equal(v, encoder[k]) for k, v in model.image_encoder.state_dict().items())
    for part in ("prompt_encoder", "mask_decoder"):
        own, taken = getattr(model, part).state_dict(), getattr(other, part).state_dict()
        assert all(torch.equal(own[k], taken[k]) for k in taken)
    state = other.state_dict()
    state["mask_decoder.iou_token.weight"] = torch.zeros(1, 256)
    with pytest.raises(SambenchError, match=r"sam.pth.*iou_token.weight is \(1, 256\), not \(1, 64\)"):
        take_head(model, state, "sam.pth")
    del state["prompt_encoder.no_mask_embed.weight"]
    with pytest.raises(SambenchError, match=r"no_mask_embed\.weight is missing"):
        take_head(model, state, "sam.pth")


def test_tied_attention_looks_where_it_is_asked():
    """From the first step a point's token scores highest at its own pixel."""
    model = small_sam()
    tie_attention(model)
    attention = model.mask_decoder.transformer.final_attn_token_to_image
    position = model.prompt_encoder.get_dense_pe()[0]  # (C, 16, 16)
    pixels = position.flatten(1).T
    q = attention.split_heads(attention.q_proj(pixels)[None])
    k = attention.split_heads(attention.k_proj(pixels)[None])
    scores = (q @ k.transpose(-1, -2)).sum(dim=1)[0]
    hits = (scores.argmax(dim=1) == torch.arange(256)).float().mean()
    assert hits > 0.9
    assert torch.equal(attention.q_proj.weight, attention.k_proj.weight)
