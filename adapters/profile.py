"""Parameters and multiply-accumulates of a model, by module, in two conventions.

``paper``: what torchprofile 0.0.4 counts, which reproduces the MACs of the EfficientViT-SAM paper to their
printed digit: convolutions, linear layers and matrix products, one for each element of an affine norm, of a
product and of a mean; nothing for ``einsum``, which it does not know, so SAM's relative positions are free.

``plain``: the products of convolutions, linear layers and matrices alone, those of ``einsum`` included.

Counting runs the encoder on torch's fake tensors: shapes flow, nothing is computed or allocated.
"""

from __future__ import annotations

import functools
import importlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode, resolve_name

from sambench.adapters.registry import entry
from sambench.evsam.errors import SambenchError


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates in both conventions."""

    paper: int = 0
    plain: int = 0

    def __add__(self, other: Macs) -> Macs:
        return Macs(self.paper + other.paper, self.plain + other.plain)


@dataclass(frozen=True)
class Module:
    """What one module costs, all its parts included."""

    name: str
    """As in the ``state_dict``; empty for the whole model."""
    params: int
    macs: Macs


@dataclass(frozen=True)
class Profile:
    """What a model costs."""

    model: str
    input_size: int
    """Side of the encoder's input; MACs are of one image."""
    params: int
    """Of the whole model: encoder, prompt encoder and mask decoder, as in the official checkpoint."""
    unused_params: int
    """Of them, those of modules that the encoder never calls (MobileSAM keeps TinyViT's classifier)."""
    modules: tuple[Module, ...]
    """The image encoder, each module before its parts."""

    @property
    def encoder(self) -> Module:
        """The image encoder as a whole."""
        return self.modules[0]


def profile(name: str) -> Profile:
    """Count a model's parameters, and its image encoder's multiply-accumulates for one image.

    Raises:
        SambenchError: there is no such model, or no image encoder of it that can be built without weights.
    """
    target = entry(name).target
    create_model = None
    if not entry(name).plugin:
        create_model = getattr(importlib.import_module(target.partition(":")[0]), "create_model", None)
    if create_model is None:
        raise SambenchError(f"{name}: cannot be profiled; it has no image encoder that sambench can build.")
    with FakeTensorMode():
        model = create_model(name)
        encoder, side = model.image_encoder, model.input_size
        macs, called = count_macs(encoder, torch.empty(1, 3, side, side))
    parts = [(path, part) for path, part in encoder.named_modules() if params_of(part)]
    modules = tuple(
        Module(f"image_encoder.{path}".rstrip("."), params_of(part), macs[path]) for path, part in parts
    )
    unused = sum(params_of(part, recurse=False) for path, part in parts if path not in called)
    return Profile(name, side, params_of(model), unused, modules)


def params_of(module: nn.Module, *, recurse: bool = True) -> int:
    """Count a module's parameters. Buffers, such as running means, do not count."""
    return sum(p.numel() for p in module.parameters(recurse=recurse))


def count_macs(module: nn.Module, *inputs: Tensor) -> tuple[Mapping[str, Macs], set[str]]:
    """Run a module and count: by the path of each of its modules, and the paths of those that were called.

    A module whose parts alone are called (a list of blocks) has their sum; the whole has the empty path.
    """
    counter = _Counter()
    hooks = []
    for path, part in module.named_modules():
        hooks.append(part.register_forward_pre_hook(functools.partial(counter.enter, path)))
        hooks.append(part.register_forward_hook(counter.leave))
    try:
        with torch.inference_mode(), counter:
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return counter.macs, counter.called


class _Counter(TorchFunctionMode):
    """Sees every torch function that a model calls, and charges it to the modules it is called within."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.macs: defaultdict[str, Macs] = defaultdict(Macs)
        self.called: set[str] = set()

    def enter(self, path: str, *_: Any) -> None:
        """Note that a module is called."""
        self.stack.append(path)
        self.called.add(path)

    def leave(self, *_: Any) -> None:
        """Note that it has returned."""
        self.stack.pop()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if count := _COUNTS.get((resolve_name(func) or "").rpartition(".")[2]):
            spent = count(out, *args, **(kwargs or {}))
            for path in _with_parents(self.stack[-1]):
                self.macs[path] += spent
        return out


def _with_parents(path: str) -> list[str]:
    """Return a module's path and those of all it lies in, the whole (an empty path) included."""
    parts = path.split(".") if path else []
    return [".".join(parts[:i]) for i in range(len(parts) + 1)]


def _conv(out: Tensor, x: Tensor, weight: Tensor, *_: Any, **__: Any) -> Macs:
    return _both(out.numel() * prod(weight.shape[1:]))  # (out, in / groups, k, k)


def _transposed(out: Tensor, x: Tensor, weight: Tensor, *_: Any, **__: Any) -> Macs:
    return _both(x.numel() * prod(weight.shape[1:]))  # (in, out / groups, k, k)


def _linear(out: Tensor, x: Tensor, weight: Tensor, *_: Any, **__: Any) -> Macs:
    return _both(out.numel() * weight.shape[1])


def _matmul(out: Tensor, a: Tensor, b: Tensor, **_: Any) -> Macs:
    return _both(out.numel() * a.shape[-1])


def _baddbmm(out: Tensor, bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> Macs:
    return _both(out.numel() * a.shape[-1])


def _attention(
    out: Tensor, q: Tensor, k: Tensor, v: Tensor, *_: Any, scale: float | None = None, **__: Any
) -> Macs:
    """Two products; the scores are multiplied too, unless the caller has scaled the queries instead."""
    scores = q.shape[:-1].numel() * k.shape[-2]
    products = scores * (q.shape[-1] + v.shape[-1])
    return Macs(products + (scores if scale is None else 0), products)


def _einsum(out: Tensor, equation: str, *operands: Any) -> Macs:
    tensors = operands[0] if isinstance(operands[0], list | tuple) else operands
    letters = equation.partition("->")[0].replace(" ", "").split(",")
    sizes = {
        c: n for term, x in zip(letters, tensors, strict=True) for c, n in zip(term, x.shape, strict=True)
    }
    return Macs(0, prod(sizes.values()))


def _each(out: Tensor, *_: Any, **__: Any) -> Macs:
    return Macs(out.numel(), 0)


def _mean(out: Tensor, x: Tensor, *_: Any, **__: Any) -> Macs:
    return Macs(x.numel(), 0)


def _both(macs: int) -> Macs:
    return Macs(macs, macs)


_COUNTS: dict[str, Callable[..., Macs]] = {
    "conv2d": _conv,
    "conv_transpose2d": _transposed,
    "linear": _linear,
    "matmul": _matmul,
    "__matmul__": _matmul,
    "bmm": _matmul,
    "baddbmm": _baddbmm,
    "scaled_dot_product_attention": _attention,
    "einsum": _einsum,
    "batch_norm": _each,
    "layer_norm": _each,
    "mul": _each,
    "__mul__": _each,
    "__rmul__": _each,
    "mean": _mean,
}
"""Function to what it costs, by the last part of torch's name for it."""
