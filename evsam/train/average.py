"""An exponential moving average of a model's weights, without the drag of where they began."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """The averaged model.

    Args:
        model: a copy of it is taken.
        decay: of the average in the long run. In step t it is at most (1 + t) / (10 + t), so that the random
            weights of the start are forgotten within a few hundred steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after step ``step``, from 0; running statistics too, counters as they are."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for own, part in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            new = part.full_tensor() if hasattr(part, "full_tensor") else part  # cut over processes
            if own.is_floating_point():
                own.lerp_(new.to(own.dtype), share)
            else:
                own.copy_(new)
