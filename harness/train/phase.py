"""What tells the two phases apart: what an image becomes, and what a batch of them costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sambench.evsam.model import Sam
from sambench.evsam.prompt_encoder import as_points
from sambench.evsam.train.finetune import Batch, FinetuneStep, Mode
from sambench.evsam.train.learner import Learner
from sambench.evsam.train.recipe import Finetune
from sambench.evsam.train.sample import Sample
from sambench.harness.train.loader import Finetuning, Item, Make


@dataclass(frozen=True)
class Cost:
    """What some images cost."""

    images: Tensor
    """(B,), with gradients."""
    parts: dict[str, Tensor]
    """Means by name, for the log."""


class Phase(ABC):
    """One of the two phases, for one model."""

    step_module: Learner
    """What learns: the model with its loss. Processes share its gradients."""

    @property
    def model(self) -> Sam:
        """The model inside, as it is saved."""
        return self.step_module.model

    @abstractmethod
    def make(self) -> Make:
        """Return what makes an item of an annotated image, in any process."""

    @abstractmethod
    def blank(self) -> Item:
        """Return an item to stand for a pass without any, which must be done as other processes wait."""

    @abstractmethod
    def cost(self, module: nn.Module, items: Sequence[Item], seed: int, step: int) -> Cost:
        """Compute what some images cost.

        Args:
            module: `step_module`, or what wraps it.
            items: at least one.
            seed: of the training, and ...
            step: ... its step, which decide what is drawn once for all processes.
        """


class FinetunePhase(Phase):
    """Phase 2."""

    def __init__(self, step: FinetuneStep) -> None:
        self.step_module = step
        self.recipe: Finetune = step.recipe

    def make(self) -> Make:
        return Finetuning(self.recipe, self.model.input_size)

    def blank(self) -> Item:
        side = self.model.input_size
        corner = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        sample = Sample(torch.zeros(3, side, side), torch.zeros(1, side, side), corner, (side, side))
        return Item(-1, "nothing", sample, as_points(None, corner))

    def cost(self, module: nn.Module, items: Sequence[Item], seed: int, step: int) -> Cost:
        prompts = [item.prompts for item in items if item.prompts is not None]
        batch = Batch.of([item.sample for item in items], prompts)
        device = next(self.step_module.parameters()).device
        counts = [len(item.sample.masks) for item in items]
        draws = Draws([item.seed for item in items], counts, device)
        losses = module(batch.to(device), self.mode(seed, step), draws)
        return Cost(losses.images, losses.parts)

    def mode(self, seed: int, step: int) -> Mode:
        """Draw what all processes do alike in a step."""
        rng = np.random.default_rng([seed, step])
        multimask = bool(rng.random() < self.recipe.multimask)
        asked_again = bool(self.recipe.clicks) and rng.random() < self.recipe.click_share
        return Mode(multimask, int(rng.integers(1, self.recipe.clicks + 1)) if asked_again else 0)


class Draws:
    """Uniform numbers for the masks of a batch, image by image: they do not depend on what else is in it.

    Args:
        seeds: of the images.
        counts: of their masks.
        device: where the numbers are made; a GPU makes others than a CPU.
    """

    def __init__(self, seeds: Sequence[int], counts: Sequence[int], device: torch.device) -> None:
        self.counts, self.device = counts, device
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, shape: tuple[int, int, int]) -> Tensor:
        """Draw numbers in [0, 1) of a shape (N, P, 2)."""
        pairs = zip(self.generators, self.counts, strict=True)
        return torch.cat([torch.rand(n, *shape[1:], generator=one, device=self.device) for one, n in pairs])
