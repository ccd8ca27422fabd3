"""Carrying tensors from place to place: buffers that are made once, and used in turn."""

from __future__ import annotations

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]

SLOTS = 3
"""One batch being filled, one in use, one being emptied."""


class Slots:
    """Buffers on one device for `SLOTS` batches.

    Args:
        device: where they lie.
        pinned: on the CPU, in memory that a GPU copies from and to by itself.
    """

    def __init__(self, device: torch.device, *, pinned: bool = False) -> None:
        self.device, self.pinned = device, pinned
        self._buffers: list[list[Tensor]] = [[] for _ in range(SLOTS)]

    def copy(self, k: int, tensors: Tensors) -> Tensors:
        """Copy the k-th batch into its buffers; the copy may still be under way on a GPU's current stream.

        Buffers are made anew where a batch has other shapes than the one before it there.
        """
        held = self._buffers[k % SLOTS]
        for i, given in enumerate(tensors):
            if i == len(held):
                held.append(self._like(given))
            elif held[i].shape != given.shape or held[i].dtype != given.dtype:
                held[i] = self._like(given)
            held[i].copy_(given, non_blocking=True)
        del held[len(tensors) :]
        return tuple(held)

    def _like(self, given: Tensor) -> Tensor:
        return torch.empty(given.shape, dtype=given.dtype, device=self.device, pin_memory=self.pinned)
