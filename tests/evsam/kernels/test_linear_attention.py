"""The fused linear attention is the plain one: by Triton's interpreter on a CPU, for real on a GPU."""

import os
import subprocess
import sys

import pytest
import torch

from sambench.evsam.attention import DIVISION_EPS, LiteMLA, relu_linear_attention
from sambench.evsam.kernels import linear_attention

CLOSE = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
"""Relative errors allowed: some rounding steps of the type that the result is written in."""

CASES = [
    # batch, heads, pixels, channels last
    (1, 2, 1, False),
    (2, 3, 49, True),
    (1, 2, 256, True),
    (1, 1, 1001, False),
]


def draw(batch, heads, pixels, channels_last, dtype=torch.float32, device="cpu"):
    """q, k and v as the model has them: views of one tensor."""
    generator = torch.Generator().manual_seed(pixels)
    drawn = torch.randn(batch, heads, 96, pixels, generator=generator).to(device, dtype)
    if channels_last:
        drawn = drawn.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    return drawn.chunk(3, dim=2)


def by_definition(q, k, v):
    """Every query weighs every pixel, one after the other, in double precision."""
    q, k, v = q.double().relu(), k.double().relu(), v.double()
    out = torch.zeros_like(v)
    for i in range(q.shape[-1]):
        weights = (q[..., i : i + 1] * k).sum(2, keepdim=True)
        out[..., i] = (weights * v).sum(-1) / (weights.sum(-1) + DIVISION_EPS)
    return out


def check(attend, case, dtype, device="cpu"):
    q, k, v = draw(*case, dtype, device)
    want = by_definition(q, k, v)
    got = attend(q, k, v)
    assert got.dtype == q.dtype
    assert got.stride() == linear_attention.empty_result(q).stride()
    assert (got.double() - want).norm() <= CLOSE[dtype] * want.norm(), (case, dtype)
    # A query that nothing answers, as all are where keys are negative, reads zeros.
    assert not attend(q, -k.abs(), v).any()
    assert torch.equal(attend(q, k, v), got), "not the same bits again"
    k[0, 0, 0, 0] = torch.nan
    assert attend(q, k, v)[0, 0].isnan().any()


@pytest.mark.parametrize("case", CASES)
def test_the_plain_version_is_the_definition(case):
    q, k, v = draw(*case)
    want = by_definition(q, k, v)
    assert (relu_linear_attention(q, k, v) - want).norm() <= CLOSE[torch.float32] * want.norm()


@pytest.mark.slow
def test_the_kernels_are_the_definition_in_the_interpreter():
    pytest.importorskip("triton")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, __file__], env=environment, check=True, timeout=300)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("case", [*CASES, (16, 32, 1024, True)])
def test_the_kernels_are_the_definition_on_a_gpu(case, dtype):
    pytest.importorskip("triton")
    check(linear_attention.fused, case, dtype, "cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
def test_the_layer_is_the_same_with_the_kernels_on_a_gpu(compiled):
    pytest.importorskip("triton")
    torch.manual_seed(0)
    layer = LiteMLA(64, kernel=5).eval().requires_grad_(False)
    x = torch.randn(2, 64, 9, 9)
    want = layer(x)
    layer.to("cuda", memory_format=torch.channels_last)
    run = torch.compile(layer, fullgraph=True) if compiled else layer
    assert linear_attention.usable(x.cuda())
    torch.testing.assert_close(run(x.cuda()).cpu(), want, atol=1e-4, rtol=1e-4)


def test_pytorch_knows_the_shape_and_layout_without_computing():
    with torch._subclasses.FakeTensorMode():
        q = torch.empty(2, 3, 32, 50, device="cuda", dtype=torch.float16)
        out = linear_attention.fused(q, q, q)
    assert (out.shape, out.dtype, out.stride(2)) == (q.shape, q.dtype, 1)


def test_a_cpu_keeps_the_plain_version():
    assert not linear_attention.usable(torch.zeros(1, 1, 32, 4))


def main():
    """Run the kernels on the CPU: the interpreter, for which the environment must ask, takes its tensors.

    It has no arithmetic in bfloat16, whose bits it keeps as integers.
    """
    from sambench.evsam.kernels.linear_attention_triton import attend

    for case in CASES:
        for dtype in (torch.float32, torch.float16):
            check(attend, case, dtype)


if __name__ == "__main__":
    main()
