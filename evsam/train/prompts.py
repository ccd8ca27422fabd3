"""What is asked of an image in training: all its objects by box, or all by points.

Coordinates are pixels of the sample's frame. Randomness is a numpy generator's, handed in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sambench.evsam.prompt_encoder import FOREGROUND, as_points
from sambench.evsam.train.recipe import Finetune
from sambench.evsam.train.sample import Sample

Points = tuple[Tensor, Tensor]
"""xy (N, T, 2) and labels (N, T), as `evsam.prompt_encoder.as_points` writes prompts."""


def choose_objects(areas: Sequence[float], recipe: Finetune, rng: np.random.Generator) -> list[int]:
    """Draw which objects of an image are asked for, and how often: indices, none of an image without any."""
    most, n = recipe.masks_per_image, len(areas)
    if n == 0:
        return []
    if n > most:
        chance = _by_size(np.asarray(areas)) if recipe.draw == "by_size" else None
        return [int(i) for i in rng.choice(n, most, replace=False, p=chance)]
    order = [int(i) for i in rng.permutation(n)]
    return [order[i % n] for i in range(most)] if recipe.fill else order


def _by_size(areas: np.ndarray) -> np.ndarray:
    """Chances (n,) that give each third of the range of the areas' logarithms the same weight."""
    logs = np.log(np.maximum(areas, 1))
    low, high = logs.min(), logs.max()
    third = np.minimum((3 * (logs - low) / max(high - low, 1e-9)).astype(int), 2)
    counts = np.bincount(third, minlength=3)
    return (1 / counts[third]) / (counts > 0).sum()


def draw_prompts(sample: Sample, recipe: Finetune, rng: np.random.Generator) -> Points:
    """Draw the prompts for all objects of a sample, one an object."""
    if rng.random() < recipe.boxes:
        return by_box(sample, recipe, rng)
    count = int(rng.integers(recipe.points[0], recipe.points[1] + 1))
    points = [_draw_points(mask, count, recipe, rng) for mask in sample.masks]
    chosen = [one for one in points if one is not None]
    if len(chosen) < len(points):
        return by_box(sample, recipe, rng)
    return by_points(torch.stack(chosen))


def by_box(sample: Sample, recipe: Finetune, rng: np.random.Generator) -> Points:
    """Ask by the objects' boxes, shaken where the recipe says so."""
    boxes = sample.boxes
    if recipe.jitter:
        sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        shaken = boxes + recipe.jitter * sides * torch.from_numpy(rng.normal(size=boxes.shape)).float()
        boxes = torch.cat([shaken[:, :2].minimum(shaken[:, 2:]), shaken[:, :2].maximum(shaken[:, 2:])], dim=1)
    return as_points(None, boxes)


def by_points(xy: Tensor) -> Points:
    """Ask by foreground points (N, P, 2)."""
    return as_points((xy, torch.full(xy.shape[:2], FOREGROUND)), None)


def _draw_points(mask: Tensor, count: int, recipe: Finetune, rng: np.random.Generator) -> Tensor | None:
    """Draw pixels (count, 2) of a mask (S, S); ``None`` where it has too few and boxes are to be asked."""
    pixels = torch.nonzero(mask.flatten() > 0)[:, 0]
    repeat = recipe.short_of_points == "repeat" and 0 < len(pixels) < count
    if len(pixels) < count and not repeat:
        return None
    chosen = pixels[torch.from_numpy(rng.choice(len(pixels), count, replace=repeat))]
    return torch.stack([chosen % mask.shape[1], chosen // mask.shape[1]], dim=1).float()
