"""Compiled models give the eager models' masks, for any number of prompts from few compilations."""

import functools

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from sambench import adapters
from sambench.adapters.base import Prompts
from sambench.adapters.engines.compiled import Compiled, CompiledParts
from sambench.adapters.engines.parts import TorchParts
from sambench.evsam.backbone import Backbone, Stage
from sambench.evsam.neck import ImageEncoder, Neck
from sambench.evsam.zoo import create_model
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample

TINY = (Stage(8, 0, "res"), Stage(8, 1, "res"), Stage(32, 1, "att", expand=2))
"""Few kinds of operations: what a compiler makes of each takes it a second."""
PICO = "efficientvit_sam_pico"
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


class Product(nn.Module):
    """Something small with a weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4), requires_grad=False)

    def forward(self, x, y):
        return (x @ self.weight).relu() + y


def test_free_sizes_are_compiled_once_and_once_more_for_one():
    counter = CompileCounter()
    module = Product()
    compiled = Compiled(module, [(0, 1), ()], {"freezing": True})
    compiled._run = torch.compile(module, backend=counter, fullgraph=True)
    y = torch.randn(4)
    with torch.inference_mode():
        for shape in ((3, 5, 4), (7, 2, 4), (2, 9, 4), (64, 3, 4)):
            compiled(torch.randn(shape), y)
        assert counter.frame_count == 1
        for shape in ((1, 5, 4), (1, 6, 4)):
            compiled(torch.randn(shape), y)
        assert counter.frame_count == 2


def test_without_free_sizes_every_shape_has_its_own():
    counter = CompileCounter()
    compiled = Compiled(torch.sin, [], {})
    compiled._run = torch.compile(torch.sin, backend=counter, dynamic=False)
    for n in (2, 3, 4, 3, 2):
        compiled(torch.randn(n))
    assert counter.frame_count == 3


@pytest.mark.slow
def test_settings_end_with_the_call():
    before = torch._inductor.config.freezing, torch._dynamo.config.cache_size_limit
    with torch.inference_mode():
        assert Compiled(torch.sin, [(0,)], {"freezing": True})(torch.zeros(3)).shape == (3,)
    assert (torch._inductor.config.freezing, torch._dynamo.config.cache_size_limit) == before


@pytest.mark.slow
def test_an_encoder_gives_the_eager_features_for_any_batch():
    torch.manual_seed(0)
    model = create_model("efficientvit_sam_l0").requires_grad_(False)
    neck = Neck([32, 8, 8], depth=0, expand=1)
    model.image_encoder = ImageEncoder(Backbone(TINY), neck).eval().requires_grad_(False)
    position = model.prompt_encoder.get_dense_pe()
    eager, compiled = TorchParts(model, position), CompiledParts(model, position)
    for batch in (2, 3):
        pixels = torch.randn(batch, 3, 64, 64)
        with torch.inference_mode():
            want = eager.encode(pixels)
        torch.testing.assert_close(compiled.encode(pixels), want, atol=2e-5, rtol=2e-5)


@pytest.mark.slow
def test_masks_of_a_photograph_are_the_eager_ones(coco_mini):
    """Encoder and decoder of a model that comes along are compiled to kernels: most of a minute."""
    eager, compiled = (adapters.create(PICO, engine=engine) for engine in ("eager", "compile"))
    samples = map(load_sample, CocoDataset(*coco_mini).entries)
    sample = next(s for s in samples if 4 <= len(s.targets) <= 8)
    prompts = Prompts(boxes=torch.tensor([t.box for t in sample.targets]))
    (want_at,), (got_at,) = (s.encode([sample.image]) for s in (eager, compiled))
    want, got = eager.decode_best(want_at, prompts), compiled.decode_best(got_at, prompts)
    assert torch.equal(want.choice, got.choice)
    masks, truth = (eager.upsample(found.logits, want_at.size) > 0 for found in (got, want))
    either = (masks | truth).sum((1, 2))
    assert (either > 0).any()
    assert ((masks & truth).sum((1, 2)) / either.clamp(min=1))[either > 0].min() >= 0.999


@pytest.mark.slow
def test_other_calls_are_captured_whole(monkeypatch):
    """One prompt, and the single mask: as graphs alone, for the kernels are made of the same operations."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    eager, compiled = (adapters.create(PICO, engine=engine) for engine in ("eager", "compile"))
    image = eager.parts.project(torch.randn(1, 64, 64, 64) / 4)
    for call, n, t, more in (
        ("decode_best", 1, 2, ()),
        ("decode", 5, 2, (False,)),
        ("decode", 3, 4, (False,)),
    ):
        xy, labels = torch.rand(n, t, 2) * 256, torch.ones(n, t, dtype=torch.int64)
        want, got = (getattr(one.parts, call)(image, xy, labels, *more) for one in (eager, compiled))
        torch.testing.assert_close(got, want, **CLOSE)
