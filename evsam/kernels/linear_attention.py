"""The linear attention as one operation on a GPU: where it may be used, and how PyTorch knows it.

It is an operation that PyTorch's compiler calls as it is. Left to the compiler, the plain version would write
q, k and v once more in float32 for two small matrix products, which it does not join; and an operation reads
its arguments' strides when it runs, so that no layout the compiler chooses can be wrong.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor

_HAS_TRITON = find_spec("triton") is not None

_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
"""Whether a graph for other programs is being made. Torch before 2.7 cannot tell it from compiling."""


def usable(q: Tensor) -> bool:
    """Tell whether `fused` serves: on a GPU with Triton, without gradients, and not in an exported graph."""
    return q.is_cuda and _HAS_TRITON and not q.requires_grad and not _exporting()


@torch.library.custom_op(
    "sambench::relu_linear_attention",
    mutates_args=(),
    device_types="cuda",
    schema="(Tensor q, Tensor k, Tensor v) -> Tensor",
)
def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend as `evsam.attention.relu_linear_attention`; the result has the type of ``q``.

    All tensors are (B, heads, 32, n), of any strides; the result lies in memory as (B, n, heads, 32), a map
    with its channels last. Sums are taken in float32.
    """
    from sambench.evsam.kernels.linear_attention_triton import attend

    return attend(q, k, v)


@fused.register_fake
def _(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    del k, v
    return empty_result(q)


def empty_result(q: Tensor) -> Tensor:
    """Return memory for a result, (B, heads, d, n), laid out as `fused` says."""
    b, heads, d, n = q.shape
    return q.new_empty(b, n, heads, d).permute(0, 2, 3, 1)
