"""What a mask costs: cross-entropy or focal loss over its pixels, and dice. One number a mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sambench.evsam.train.points import Uniform, look_up, uncertain_points
from sambench.evsam.train.recipe import Finetune

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0  # arXiv 1708.02002, section 5.1; SAM names no others
DICE_SMOOTH = 1.0
LEAST_AREA = 16.0  # pixels; an object's loss is not divided by less


def bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of each pixel; any shape, soft targets in [0, 1]."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Focal loss of each pixel (arXiv 1708.02002, equation 5), for soft targets too."""
    chance = logits.sigmoid()
    right = chance * targets + (1 - chance) * (1 - targets)
    alpha = FOCAL_ALPHA * targets + (1 - FOCAL_ALPHA) * (1 - targets)
    return alpha * (1 - right) ** FOCAL_GAMMA * bce(logits, targets)


def dice(logits: Tensor, targets: Tensor) -> Tensor:
    """One minus the dice coefficient of masks (N, P), smoothed by one pixel: (N,)."""
    chance = logits.sigmoid()
    shared = (chance * targets).sum(dim=1)
    total = chance.sum(dim=1) + targets.sum(dim=1)
    return 1 - (2 * shared + DICE_SMOOTH) / (total + DICE_SMOOTH)


PIXEL_LOSSES = {"bce": bce, "focal": focal}


def released(logits: Tensor, targets: Tensor, uniform: Uniform) -> tuple[Tensor, Tensor]:
    """Compute the released code's loss of each mask: cross-entropy and dice at 12,544 points.

    Args:
        logits: (N, 1, H, W).
        targets: soft masks (N, 1, H, W) in [0, 1].
        uniform: the randomness: ``uniform(shape)`` gives numbers in [0, 1), and is called for (N, 37632, 2)
            candidates, then for (N, 3136, 2) points.

    Returns:
        Cross-entropy (N,), the mean over the points, and dice (N,).
    """
    xy = uncertain_points(logits, uniform)
    seen, truth = look_up(logits, xy), look_up(targets, xy)
    return bce(seen, truth).mean(dim=1), dice(seen, truth)


def mask_losses(
    logits: Tensor, targets: Tensor, recipe: Finetune, uniform: Uniform
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute what a recipe asks for of masks (N, 1, H, W) against soft ones of that shape.

    Returns:
        The pixels' loss, their mean over the object's area where the recipe weighs it (else zeros), and dice,
        each (N,).
    """
    area = targets.flatten(1).sum(dim=1)
    if recipe.pixels == "uncertain":
        xy = uncertain_points(logits, uniform)
        share = area / targets[0].numel()
        logits, targets = look_up(logits, xy), look_up(targets, xy)
        area = share * logits.shape[1]
    else:
        logits, targets = logits.flatten(1), targets.flatten(1)
    pixels = PIXEL_LOSSES[recipe.mask_loss](logits, targets)
    of_area = pixels.sum(dim=1) / area.clamp(min=LEAST_AREA) if recipe.area_weight else torch.zeros_like(area)
    return pixels.mean(dim=1), of_area, dice(logits, targets)


@torch.no_grad()
def soft_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """IoU of masks ``logits > 0`` with targets ``> 0.5``, both (N, ..., H, W): (N, ...)."""
    mask, truth = (logits > 0).flatten(-2), (targets > 0.5).flatten(-2)
    shared = (mask & truth).sum(dim=-1).float()
    either = (mask | truth).sum(dim=-1).float()
    return torch.where(either > 0, shared / either.clamp(min=1), torch.ones_like(shared))
