"""How little a mask depends on where its logits are cut."""

from __future__ import annotations

from torch import Tensor

OFFSET = 1.0  # logits are cut at +1 and -1 ("Segment Anything", appendix B; SAM's generator)


def stability(logits: Tensor, offset: float = OFFSET) -> Tensor:
    """Return the IoU of each mask cut ``offset`` above 0 with itself cut as much below: (..., H, W) to (...).

    Not a number where even the lower cut leaves no pixel.
    """
    high, low = ((logits > cut).flatten(-2).sum(dim=-1) for cut in (offset, -offset))
    return high / low
