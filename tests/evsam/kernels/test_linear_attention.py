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
    # batch, heads, their channels, pixels, channels last
    (1, 2, 32, 1, False),
    (2, 3, 32, 49, True),
    (1, 2, 32, 256, True),
    (1, 1, 32, 1001, False),
    (2, 3, 16, 300, True),  # the two smallest of the B series
]


def draw(batch, heads, channels, pixels, channels_last, dtype=torch.float32, device="cpu"):
    """q, k and v as the model has them: views of one tensor."""
    generator = torch.Generator().manual_seed(pixels)
    drawn = torch.randn(batch, heads, 3 * channels, pixels, generator=generator).to(device, dtype)
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


def check(kernels, case, dtype, device="cpu"):
    def attend(q, k, v):
        return kernels(q, k, v, DIVISION_EPS)

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


def check_gradients(case, dtype, device="cpu"):
    """Those of the operation are those of the definition, also where a query is answered by nothing."""
    drawn = draw(*case, dtype, device)
    drawn[1][:, 0].abs_().neg_()  # the first head's keys, so all of its queries
    direction = torch.randn(drawn[0].shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    leaves = [x.detach().clone().requires_grad_() for x in drawn]
    want = torch.autograd.grad((by_definition(*leaves) * direction).sum(), leaves)
    out = linear_attention.fused(*leaves, DIVISION_EPS)
    got = torch.autograd.grad((out * direction).sum(), leaves)
    for name, x, mine, definition in zip("qkv", leaves, got, want, strict=True):
        assert (mine.dtype, mine.shape) == (x.dtype, x.shape)
        error = (mine - definition).double().norm()
        scale = definition.double().norm() + 0.1 * direction.double().norm()  # a lone pixel's q has zeros
        assert error <= CLOSE[dtype] * scale, (name, case, dtype)


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


@pytest.mark.parametrize("channels", [16, 32])
@pytest.mark.parametrize(("type_", "precision"), [("fp32", "ieee"), ("fp16", "tf32x3"), ("bf16", "tf32x3")])
def test_the_kernels_compile_for_a_card_that_is_not_there(type_, precision, channels):
    """The interpreter takes what the compiler refuses, such as types of parameters."""
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from sambench.evsam.kernels import linear_attention_triton as kernels

    def compile_(kernel, pointers, **constants):
        known = dict.fromkeys(constants, "constexpr") | pointers
        signature = {name: known.get(name, "i32") for name in kernel.arg_names}
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        return triton.compile(source, target=GPUTarget("cuda", 90, 32))

    given, sums = f"*{type_}", "*fp32"
    sizes = {"d": channels, "block": kernels.BLOCK}
    adding = compile_(kernels._sum_keys, {"k": given, "v": given, "sums": sums}, part=kernels.PART, **sizes)
    pointers = {"q": given, "sums": sums, "out": given}
    reading = compile_(kernels._read_sums, pointers, eps=DIVISION_EPS, precision=precision, **sizes)
    assert all("ptx" in compiled.asm for compiled in (adding, reading))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("case", [*CASES, (16, 32, 32, 1024, True)])
def test_the_kernels_are_the_definition_on_a_gpu(case, dtype):
    pytest.importorskip("triton")
    check(linear_attention.fused, case, dtype, "cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_the_definitions_on_a_gpu(case, dtype):
    pytest.importorskip("triton")
    check_gradients(case, dtype, "cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
def test_the_layer_in_eval_mode_has_the_same_gradients_with_the_kernels_on_a_gpu(compiled):
    pytest.importorskip("triton")
    torch.manual_seed(0)
    layer, x = LiteMLA(64, kernel=5).eval(), torch.randn(2, 64, 9, 9)
    layer(x).square().sum().backward()
    want = {name: p.grad.clone() for name, p in layer.named_parameters()}
    layer.zero_grad()
    layer.to("cuda")
    run = torch.compile(layer, fullgraph=True) if compiled else layer
    run(x.cuda()).square().sum().backward()
    for name, p in layer.named_parameters():
        torch.testing.assert_close(p.grad.cpu(), want[name], atol=1e-3, rtol=1e-3)


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
        out = linear_attention.fused(q, q, q, DIVISION_EPS)
    assert (out.shape, out.dtype, out.stride(2)) == (q.shape, q.dtype, 1)


def test_a_cpu_keeps_the_plain_version():
    assert not linear_attention.usable(torch.zeros(1, 1, 32, 4))


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_in_training_keeps_the_plain_version(training, monkeypatch):
    calls = []

    def fused(q, k, v, eps):
        calls.append(eps)
        return relu_linear_attention(q, k, v)

    monkeypatch.setattr(linear_attention, "usable", lambda q: True)
    monkeypatch.setattr(linear_attention, "fused", fused)
    LiteMLA(64, kernel=3).train(training)(torch.randn(2, 64, 3, 3)).sum().backward()
    assert calls == ([] if training else [DIVISION_EPS])


def test_kernels_import_nothing_from_above_them():
    code = "import sys; from sambench.evsam.kernels import linear_attention; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if name.startswith("sambench.")}
    assert ours == {"sambench.evsam", "sambench.evsam.kernels", "sambench.evsam.kernels.linear_attention"}


def main():
    """Run the kernels on the CPU: the interpreter, for which the environment must ask, takes its tensors.

    It has no arithmetic in bfloat16, whose bits it keeps as integers.
    """
    from sambench.evsam.kernels.linear_attention_triton import attend

    linear_attention.fused.register_kernel("cpu")(attend)
    for case in CASES:
        for dtype in (torch.float32, torch.float16):
            check(attend, case, dtype)
            check_gradients(case, dtype)
    q, k, v = (x.clone().requires_grad_() for x in draw(*CASES[1]))
    torch.library.opcheck(linear_attention.fused, (q, k, v, DIVISION_EPS))


if __name__ == "__main__":
    main()
