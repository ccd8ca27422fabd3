"""A model with what it is to learn, as one module: what processes share, cut and wrap."""

from __future__ import annotations

from torch import Tensor, nn

from sambench.evsam.model import Sam


class Learner(nn.Module):
    """The base of both phases' steps; subclasses say in ``forward`` what a batch costs.

    Args:
        model: of SAM's structure.
    """

    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.model = model
        self.touch_all = False
        """Whether parts that a batch does not use get gradients of zero in place of none."""
        self.dropped: list[nn.Parameter] = []
        """Of the last batch: what made answers that nobody asked for. Its gradients of zero count."""

    def touched(self, images: Tensor) -> Tensor:
        """Add nothing to the cost of images (B,), of all parameters that are not cut over processes.

        Those that are belong to the encoder, which every batch uses.
        """
        whole = [p for p in self.parameters() if p.requires_grad and not hasattr(p, "full_tensor")]
        return images + sum((p.sum() * 0 for p in whole), images.new_zeros(()))
