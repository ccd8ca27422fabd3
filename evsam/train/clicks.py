"""Corrective clicks in training: a pixel of the larger error of an answer, drawn uniformly.

As SAM was trained ("Segment Anything", arXiv 2304.02643, appendix A); neither EfficientViT-SAM's paper nor
its code has any, and users ask for them, for only so does a model learn what a background point means.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sambench.evsam.prompt_encoder import BACKGROUND, FOREGROUND, PAD
from sambench.evsam.train.points import Uniform


@torch.no_grad()
def corrective(logits: Tensor, targets: Tensor, uniform: Uniform) -> tuple[Tensor, Tensor]:
    """Click once on each answer.

    Args:
        logits: answers (N, H, W).
        targets: soft masks of that shape.
        uniform: called once, for (N, H W, 1).

    Returns:
        xy (N, 1, 2) in pixels of the maps, and labels (N, 1): foreground where the object is lacking,
        background where the answer is in excess, padding where it is perfect.
    """
    n, _, width = logits.shape
    mask, truth = (logits > 0).flatten(1), (targets > 0.5).flatten(1)
    lacking, excess = truth & ~mask, mask & ~truth
    positive = lacking.sum(dim=1) >= excess.sum(dim=1)
    error = torch.where(positive[:, None], lacking, excess)
    draws = uniform((n, error.shape[1], 1))[..., 0]
    place = torch.where(error, draws, -1.0).argmax(dim=1)
    xy = torch.stack([place % width, place // width], dim=-1).float()
    labels = torch.where(positive, FOREGROUND, BACKGROUND)
    labels = torch.where(error.any(dim=1), labels, PAD)
    return xy[:, None], labels[:, None]
