"""A convolution with its GELU in one call is the one after the other, and only where it may be."""

import pytest
import torch
import torch.nn.functional as F

from sambench import evsam
from sambench.evsam.fuse import fuse_norms
from sambench.evsam.kernels import convolution
from sambench.evsam.layers import ConvLayer

CASES = [
    {"kernel": 1, "stride": 1, "groups": 1},
    {"kernel": 3, "stride": 1, "groups": 1},
    {"kernel": 3, "stride": 2, "groups": 1},
    {"kernel": 3, "stride": 1, "groups": 24},
    {"kernel": 3, "stride": 2, "groups": 24},
]


def channels_last(*shape: int) -> torch.Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return drawn.contiguous(memory_format=torch.channels_last)


def layer(norm: bool = False, **options: int) -> ConvLayer:
    torch.manual_seed(0)
    made = ConvLayer(24, 24, bias=not norm, norm=norm, act=True, **options).eval()
    if made.norm is not None:
        made.norm.running_mean.uniform_(-1, 1)
        made.norm.running_var.uniform_(0.5, 2)
    return made.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("options", CASES, ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("size", [(1, 24, 7, 10), (3, 24, 16, 16)], ids=str)
@torch.no_grad()
def test_it_is_the_convolution_and_then_the_gelu(options, size) -> None:
    """In double precision, step by step."""
    x, made = 2 * channels_last(*size), layer(**options)
    assert convolution.usable(x)
    conv = made.conv
    sums = F.conv2d(
        x.double(), conv.weight.double(), conv.bias.double(), conv.stride, conv.padding, 1, conv.groups
    )
    want = 0.5 * sums * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (sums + 0.044715 * sums**3)))
    got = made(x)
    assert got.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=2e-6)


@torch.no_grad()
def test_a_folded_norm_is_in_it_and_one_beside_it_is_not_forgotten(monkeypatch) -> None:
    made, x = layer(norm=True, kernel=3), channels_last(1, 24, 8, 8)
    beside = made(x)
    fuse_norms(made)
    torch.testing.assert_close(made(x), beside, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(convolution, "with_gelu", lambda conv, x: pytest.fail("norm left out"))
    layer(norm=True, kernel=3)(x)


def test_where_it_does_not_serve(monkeypatch) -> None:
    x = channels_last(1, 24, 8, 8)
    assert not convolution.usable(x), "gradients are wanted"
    with torch.no_grad():
        assert convolution.usable(x)
        assert not convolution.usable(x.contiguous())
        assert not convolution.usable(x.bfloat16())
        assert not convolution.usable(x.to("meta"))
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        assert not convolution.usable(x)


def test_gradients_flow_as_before() -> None:
    made, x = layer(kernel=3), channels_last(1, 24, 8, 8).requires_grad_()
    made(x).sum().backward()
    assert x.grad is not None
    assert made.conv.weight.grad is not None


@torch.no_grad()
def test_an_encoder_calls_it_for_every_gelu(monkeypatch) -> None:
    """Nothing that lies between two convolutions turns a map around."""
    encoder = evsam.create_model("efficientvit_sam_l0").image_encoder
    fuse_norms(encoder)
    encoder.to(memory_format=torch.channels_last)
    called, real = [], convolution.with_gelu

    def noted(conv, x):
        called.append(conv)
        return real(conv, x)

    monkeypatch.setattr(convolution, "with_gelu", noted)
    encoder(channels_last(1, 3, 64, 64))
    active = [m.conv for m in encoder.modules() if isinstance(m, ConvLayer) and m.act is not None]
    assert len(active) > 20
    assert list(map(id, called)) == list(map(id, active))


@torch.inference_mode()
def test_the_compiler_and_exports_see_the_plain_operations() -> None:
    made, x = layer(kernel=3), channels_last(1, 24, 8, 8)
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    torch.compile(made, backend=backend, fullgraph=True)(x)
    exported = torch.export.export(made, (x.clone(),), strict=False)
    for graph in (*graphs, exported.graph_module):
        assert "_convolution_pointwise" not in graph.code
        assert "gelu" in graph.code
    assert graphs
