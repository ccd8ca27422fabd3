"""A convolution with its tanh-GELU as one operation on a CPU: oneDNN applies it where the sums still are.

PyTorch would write the map, read it, and write it again. Its compiler makes the same call by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def usable(x: Tensor) -> bool:
    """Tell whether `with_gelu` serves: inference in float32 on a CPU, outside of the compiler and of exports.

    And on a map that lies with its channels last, as adapters lay them (`adapters.families.sam`); others
    oneDNN would turn, each time anew.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined]
        return False  # at once: the compiler cannot follow what is asked below
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.is_contiguous(memory_format=torch.channels_last)
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and not torch.is_grad_enabled()
    )


def with_gelu(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolve a map (B, C, H, W) with zeros around it, and apply the tanh-approximated GELU."""
    sizes = conv.padding, conv.stride, conv.dilation, conv.groups
    gelu: tuple[str, list[float], str] = ("gelu", [], "tanh")
    found: Tensor = torch.ops.mkldnn._convolution_pointwise(x, conv.weight, conv.bias, *sizes, *gelu)
    return found
