"""AdamW, its groups, the course of the learning rate, clipping, and what batch norms do meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sambench.evsam.errors import SambenchError
from sambench.evsam.train.recipe import Optimiser


def freeze(model: nn.Module, recipe: Optimiser) -> None:
    """Exclude a recipe's frozen parts from learning.

    Raises:
        SambenchError: nothing of the model has such a name, or nothing is left to learn.
    """
    for part in recipe.frozen:
        found = [p for name, p in model.named_parameters() if name.startswith(part)]
        if not found:
            parts = ", ".join(name for name, _ in model.named_children())
            raise SambenchError(f"frozen: the model has no part {part!r}; its parts are {parts}.")
        for parameter in found:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise SambenchError(f"frozen: {', '.join(recipe.frozen)} leave nothing to learn.")


def make_optimiser(model: nn.Module, recipe: Optimiser, *, ranks: int = 1) -> torch.optim.AdamW:
    """Make AdamW over what learns, in two groups: with weight decay and without."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    by_name = recipe.no_decay == "names"
    plain = [p for name, p in learning if (_is_plain(name) if by_name else p.ndim < 2)]
    kept = {id(p) for p in plain}
    groups: list[dict[str, Any]] = [
        {"params": [p for _, p in learning if id(p) not in kept], "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    lr = recipe.lr * (ranks if recipe.lr_per_rank else 1)
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=lr, betas=recipe.betas, eps=recipe.eps)


def _is_plain(name: str) -> bool:
    return "norm" in name or "bias" in name


def share_of_lr(step: int, steps: int, warm_up: int) -> float:
    """Return the share of the learning rate in step 0 to ``steps - 1``: a linear rise, then a cosine to 0."""
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(steps - warm_up, 1)))


def clip(parameters: Iterable[Tensor], recipe: Optimiser) -> Tensor:
    """Clip gradients as the recipe says, and return their norm from before."""
    learning = [p for p in parameters if p.grad is not None]
    if recipe.clip == "norm":
        return nn.utils.clip_grad_norm_(learning, recipe.clip_at)
    norm = nn.utils.get_total_norm([p.grad for p in learning if p.grad is not None])
    if recipe.clip == "value":
        nn.utils.clip_grad_value_(learning, recipe.clip_at)
    return norm


def train_mode(model: nn.Module, recipe: Optimiser) -> None:
    """Set a model to training; batch norms that are frozen, and those of frozen parts, stay as they are."""
    model.train()
    for name, module in model.named_modules():
        still = any(name.startswith(part) for part in recipe.frozen)
        if isinstance(module, _BatchNorm) and (still or recipe.norms == "frozen"):
            module.eval()
