"""Folding batch norms into the convolutions before them, which inference can do and training cannot."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Fusible(Protocol):
    """A module that can compute the same with fewer operations once its weights stand still."""

    def fuse(self) -> None:
        """Fold its parts together, in place. Its ``state_dict`` is another afterwards."""


def fuse_norms(model: nn.Module) -> None:
    """Fuse every module of a model that can be, in place; the model is in eval mode, its weights loaded."""
    for module in [m for m in model.modules() if isinstance(m, Fusible)]:
        module.fuse()
