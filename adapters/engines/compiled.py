"""torch.compile: encoder and decoder as kernels made for them; on a GPU replayed as CUDA graphs.

Nothing is compiled before it is needed, so the first calls are slow: on two cores some 20 seconds for a small
encoder and 30 for a decoder, once for one prompt and once for any number of them. Later calls with other
numbers of images, prompts or points use what is there.

On a CPU the weights become constants of what is compiled: convolutions then come with their activations and
their sums, on weights laid out for the processor. On a GPU encoders are compiled for each batch size, which
`adapters.engines.cuda_graph` keeps to powers of two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import torch
import torch._dynamo
import torch._inductor.config
from torch import Tensor

from sambench.adapters.engines.cuda_graph import Graphs
from sambench.adapters.engines.eager import DTYPES
from sambench.adapters.engines.parts import Parts, TorchParts
from sambench.adapters.families.sam import SamSegmenter
from sambench.evsam.transformer import ImageTokens

Sizes = Sequence[tuple[int, ...]]
"""For each argument, its dimensions whose sizes one compilation leaves free."""

PER_FUNCTION = 64
"""Compilations a function may have; torch's own 8 are fewer than the kinds of calls of a process's models."""


def parts(segmenter: SamSegmenter, precision: str) -> Parts:
    """Compile a segmenter's encoder and decoder, in the types that `adapters.engines.eager` gives them."""
    return CompiledParts(segmenter.model, segmenter.position, DTYPES[precision])


class CompiledParts(TorchParts):
    """`TorchParts` whose encoder and decoder are compiled. Projecting an image is left as it is.

    Args:
        model: in eval mode, on its device.
        position: of its prompt encoder, `get_dense_pe`.
        dtype: what encoder and decoder compute in.
        autotune: on a GPU, try several kernels for every product and convolution; takes minutes.
    """

    def __init__(
        self, model: Any, position: Tensor, dtype: torch.dtype = torch.float32, *, autotune: bool = False
    ) -> None:
        super().__init__(model, position, dtype)
        on_gpu = position.is_cuda
        settings = {"max_autotune": autotune} if on_gpu else {"freezing": True}
        image = [(0,)] * len(fields(ImageTokens))

        def fast(function: Callable[..., Any], free: Sizes) -> Callable[..., Any]:
            compiled = Compiled(function, free, settings)
            return Graphs(compiled) if on_gpu else compiled

        decode, free = super().decode, [*image, (0, 1), (0, 1)]
        self._encode = fast(super().encode, [] if on_gpu else [(0,)])
        self._decode = {many: fast(self._flat(decode, many), free) for many in (False, True)}
        self._decode_best = fast(self._flat(super().decode_best), free)

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Tensor:
        """Run the compiled encoder."""
        return self._encode(pixels)

    @torch.inference_mode()
    def decode(
        self, image: ImageTokens, xy: Tensor, labels: Tensor, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """Run the compiled decoder."""
        return self._decode[multimask](*_tensors(image), xy, labels)

    @torch.inference_mode()
    def decode_best(self, image: ImageTokens, xy: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the compiled decoder up to the choice, and one mask from there."""
        return self._decode_best(*_tensors(image), xy, labels)

    @staticmethod
    def _flat(decode: Callable[..., Any], *more: bool) -> Callable[..., Any]:
        """Let a decoder take its image as plain tensors, which compiled functions and graphs deal in."""

        def flat(*given: Tensor) -> Any:
            *image, xy, labels = given
            return decode(ImageTokens(*image), xy, labels, *more)

        return flat


def _tensors(image: ImageTokens) -> list[Tensor]:
    return [getattr(image, field.name) for field in fields(image)]


class Compiled:
    """A compiled function of tensors, compiled anew for a free size only where that becomes one.

    It is compiled whole or not at all: nothing falls back to eager calls in silence.

    Args:
        function: of tensors.
        free: the free sizes of its arguments; none at all where every shape is to have its own compilation.
        settings: of `torch._inductor.config`.

    Raises:
        torch._dynamo.exc.FailOnRecompileLimitHit: at a call, where `PER_FUNCTION` does not suffice.
    """

    def __init__(self, function: Callable[..., Any], free: Sizes, settings: dict[str, bool]) -> None:
        self.free = free
        self.settings = settings
        self._run = torch.compile(function, fullgraph=True, dynamic=None if free else False)

    def __call__(self, *given: Tensor) -> Any:
        for tensor, dims in zip(given, self.free, strict=bool(self.free)):
            for dim in dims:
                if tensor.shape[dim] > 1:  # a one is compiled apart: it broadcasts
                    torch._dynamo.maybe_mark_dynamic(tensor, dim)
        # Not torch.compile(options=...): freezing must be on while the function is traced too.
        with (
            torch._dynamo.config.patch(cache_size_limit=PER_FUNCTION),
            torch._inductor.config.patch(self.settings),
        ):
            return self._run(*given)
