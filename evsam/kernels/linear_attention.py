"""The linear attention as one operation on a GPU: where it may be used, how PyTorch knows it, its gradients.

It is an operation that PyTorch's compiler calls as it is. Left to the compiler, the plain version would write
q, k and v once more in float32 for two small matrix products, which it does not join; and an operation reads
its arguments' strides when it runs, so that no layout the compiler chooses can be wrong.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_HAS_TRITON = find_spec("triton") is not None


def _exporting() -> bool:
    """Tell whether a graph for other programs is being made.

    By the flag itself: some versions' compiler (2.11's among them) takes ``torch.compiler.is_exporting()``
    for true. Torch before 2.7 has none, and cannot tell it from compiling.
    """
    flag: bool | None = getattr(torch.compiler, "_is_exporting_flag", None)
    return torch.compiler.is_compiling() if flag is None else flag


def usable(q: Tensor) -> bool:
    """Tell whether `fused` serves: on a GPU with Triton, and not in an exported graph."""
    return q.is_cuda and _HAS_TRITON and not _exporting()


@torch.library.custom_op(
    "sambench::relu_linear_attention",
    mutates_args=(),
    device_types="cuda",
    schema="(Tensor q, Tensor k, Tensor v, float eps) -> Tensor",
)
def fused(q: Tensor, k: Tensor, v: Tensor, eps: float) -> Tensor:
    """Attend as `evsam.attention.relu_linear_attention`; the result has the type of ``q``.

    All tensors are (B, heads, d, n) with d 16 or 32, of any strides; the result lies in memory as
    (B, n, heads, d), a map with its channels last. Sums are taken in float32. ``eps`` is added to the sum of
    a query's weights.
    """
    from sambench.evsam.kernels.linear_attention_triton import attend

    return attend(q, k, v, eps)


@fused.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, eps: float) -> Tensor:
    del k, v, eps
    return empty_result(q)


def empty_result(q: Tensor) -> Tensor:
    """Return memory for a result, (B, heads, d, n), laid out as `fused` says."""
    b, heads, d, n = q.shape
    return q.new_empty(b, n, heads, d).permute(0, 2, 3, 1)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, float], output: Tensor) -> None:
    """Keep what `_gradients` starts from; PyTorch passes the arguments by these names."""
    del output
    *tensors, ctx.eps = inputs
    ctx.save_for_backward(*tensors)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
    """Go back through the plain version's products, which are computed again, in float32 at least.

    With ``sums = [v; 1] relu(k)^T`` and ``read = sums relu(q)``, the result is all rows of ``read`` but the
    last, divided by the last.
    """
    q, k, v = ctx.saved_tensors
    wide = torch.promote_types(q.dtype, torch.float32)
    with torch.autocast(device_type=q.device.type, enabled=False):
        queries, keys = F.relu(q.to(wide)), F.relu(k.to(wide))
        values = F.pad(v.to(wide), (0, 0, 0, 1), value=1.0)
        sums = values @ keys.mT  # (B, heads, d + 1, d)
        read = sums @ queries  # (B, heads, d + 1, n)
        total = read[:, :, -1:] + ctx.eps
        of_rows = gradient.to(wide) / total
        of_total = -(of_rows * read[:, :, :-1] / total).sum(dim=2, keepdim=True)
        of_read = torch.cat([of_rows, of_total], dim=2)
        of_sums = of_read @ queries.mT
        of_q = (sums.mT @ of_read).masked_fill(q <= 0, 0)
        of_k = (of_sums.mT @ values).masked_fill(k <= 0, 0)
        of_v = (of_sums @ keys)[:, :, :-1]
    return of_q.to(q.dtype), of_k.to(k.dtype), of_v.to(v.dtype), None


fused.register_autograd(_gradients, setup_context=_keep)
