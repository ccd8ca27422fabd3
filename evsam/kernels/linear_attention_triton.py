"""ReLU linear attention in two Triton kernels: sums over the keys, then every query reads them.

With n pixels a head and 32 channels, q, k and v are each read once and the result is written once. The sums
of a head, 33 rows of 32, are taken in parts that another program adds in a fixed order: the same bits always.

Parameters of kernels have no types but ``tl.constexpr``: Triton reads annotations as part of the program.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sambench.evsam.kernels.linear_attention import empty_result

PART = 256
"""Pixels whose sums one program takes: for one image of 32 heads, 1024 pixels make 128 programs."""
BLOCK = 64
"""Pixels at a time."""


def attend(q: Tensor, k: Tensor, v: Tensor, eps: float) -> Tensor:
    """Attend; arguments and result as of `evsam.kernels.linear_attention.fused`."""
    b, heads, d, n = q.shape
    sums = torch.empty(b * heads, triton.cdiv(n, PART), d + 1, d, dtype=torch.float32, device=q.device)
    out = empty_result(q)
    with torch.cuda.device_of(q):
        _launch(q, k, v, sums, out, eps)
    return out


def _launch(q: Tensor, k: Tensor, v: Tensor, sums: Tensor, out: Tensor, eps: float) -> None:
    b, heads, d, n = q.shape
    parts = sums.shape[1]
    _sum_keys[(b * heads, parts)](
        k, v, sums, heads, n, parts, *k.stride(), *v.stride(), d=d, part=PART, block=BLOCK
    )
    # Queries in half precision are exact in TF32, so three TF32 products are as good as one in float32.
    precision = "ieee" if q.dtype == torch.float32 else "tf32x3"
    _read_sums[(b * heads, triton.cdiv(n, BLOCK))](
        q, sums, out, heads, n, parts, *q.stride(), *out.stride(),
        eps=eps, d=d, block=BLOCK, precision=precision,
    )  # fmt: skip


@triton.jit
def _relu(x):
    return tl.where(x < 0, 0.0, x).to(x.dtype)  # not a maximum, which would hide a NaN


@triton.jit
def _sum_keys(
    k, v, sums, heads, n, parts,
    k_b, k_h, k_d, k_n, v_b, v_h, v_d, v_n,
    d: tl.constexpr, part: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Sum ``[v; 1] relu(k)^T`` over a part of a head's pixels: (d + 1, d) in float32."""
    head = tl.program_id(0)
    index = tl.program_id(1)
    k += (head // heads).to(tl.int64) * k_b + (head % heads).to(tl.int64) * k_h
    v += (head // heads).to(tl.int64) * v_b + (head % heads).to(tl.int64) * v_h
    channel = tl.arange(0, d)
    products = tl.zeros((d, d), tl.float32)
    weights = tl.zeros((d,), tl.float32)
    for start in range(0, part, block):
        pixel = index * part + start + tl.arange(0, block)
        inside = (pixel < n)[None, :]
        keys = tl.load(k + channel[:, None] * k_d + pixel[None, :] * k_n, mask=inside, other=0.0)
        values = tl.load(v + channel[:, None] * v_d + pixel[None, :] * v_n, mask=inside, other=0.0)
        keys = _relu(keys)
        products += tl.dot(values, tl.trans(keys), input_precision="ieee")
        weights += tl.sum(keys.to(tl.float32), axis=1)
    sums += (head.to(tl.int64) * parts + index) * (d + 1) * d
    tl.store(sums + channel[:, None] * d + channel[None, :], products)
    tl.store(sums + d * d + channel, weights)


@triton.jit
def _read_sums(
    q, sums, out, heads, n, parts,
    q_b, q_h, q_d, q_n, out_b, out_h, out_d, out_n,
    eps: tl.constexpr, d: tl.constexpr, block: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Add a head's parts, multiply with the queries of a block of pixels, divide by their sum of weights."""
    head = tl.program_id(0)
    q += (head // heads).to(tl.int64) * q_b + (head % heads).to(tl.int64) * q_h
    out += (head // heads).to(tl.int64) * out_b + (head % heads).to(tl.int64) * out_h
    sums += head.to(tl.int64) * parts * (d + 1) * d
    channel = tl.arange(0, d)
    products = tl.zeros((d, d), tl.float32)
    weights = tl.zeros((d,), tl.float32)
    for _ in range(parts):
        products += tl.load(sums + channel[:, None] * d + channel[None, :])
        weights += tl.load(sums + d * d + channel)
        sums += (d + 1) * d
    pixel = tl.program_id(1) * block + tl.arange(0, block)
    inside = (pixel < n)[None, :]
    queries = tl.load(q + channel[:, None] * q_d + pixel[None, :] * q_n, mask=inside, other=0.0)
    queries = _relu(queries).to(tl.float32)
    total = tl.sum(weights[:, None] * queries, axis=0)
    result = tl.dot(products, queries, input_precision=precision) / (total + eps)[None, :]
    where = out + channel[:, None] * out_d + pixel[None, :] * out_n
    tl.store(where, result.to(out.dtype.element_ty), mask=inside)
