"""Phase 2, one step: images and prompts to a loss. The module is what processes share and engines compile."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sambench.evsam.model import Sam
from sambench.evsam.train.clicks import corrective
from sambench.evsam.train.learner import Learner
from sambench.evsam.train.losses import mask_losses, soft_iou
from sambench.evsam.train.points import Uniform
from sambench.evsam.train.prompts import Points
from sambench.evsam.train.recipe import Finetune
from sambench.evsam.train.sample import Sample, soft
from sambench.evsam.transformer import ImageTokens

Decode = Callable[[ImageTokens, Tensor, Tensor], tuple[Tensor, ...]]
"""Image and points (see `Sam.decode`) to tensors that begin with the prompts."""


@dataclass(frozen=True)
class Batch:
    """Images of one step with what is asked of each."""

    images: Tensor
    """(B, 3, S, S)."""
    masks: Tensor
    """Of all images, (N, S, S), as `sample.Sample` has them."""
    index: Tensor
    """Which image each mask is on, (N,) int64, ascending."""
    prompts: tuple[Points, ...]
    """By image, one for each of its masks, in pixels of the S x S frame."""

    @staticmethod
    def of(samples: Sequence[Sample], prompts: Sequence[Points]) -> Batch:
        """Join samples, each with at least one object."""
        counts = torch.tensor([len(sample.masks) for sample in samples])
        index = torch.arange(len(samples)).repeat_interleave(counts)
        images = torch.stack([sample.image for sample in samples])
        return Batch(images, torch.cat([s.masks for s in samples]), index, tuple(prompts))

    def to(self, device: torch.device) -> Batch:
        """Move the tensors."""
        prompts = tuple((xy.to(device), labels.to(device)) for xy, labels in self.prompts)
        images, masks, index = (
            x.to(device, non_blocking=True) for x in (self.images, self.masks, self.index)
        )
        return replace(self, images=images, masks=masks, index=index, prompts=prompts)


@dataclass(frozen=True)
class Mode:
    """What is drawn once a step, the same in all processes."""

    multimask: bool
    """Three masks a prompt, or the single one."""
    clicks: int = 0
    """Corrective clicks before the answer that counts."""


@dataclass(frozen=True)
class Losses:
    """What a batch costs."""

    images: Tensor
    """Of each image, the mean over its masks, (B,)."""
    masks: Tensor
    """Of each mask and alternative, (N, M), detached."""
    parts: dict[str, Tensor]
    """Means by name, detached: of the alternative that counts."""
    logits: Tensor
    """Low-resolution answers (N, M, h, w), detached."""
    iou: Tensor
    """As predicted, (N, M), detached."""


class FinetuneStep(Learner):
    """A model with what it is to learn: a batch to `Losses`.

    Args:
        model: of SAM's structure.
        recipe: what its answers cost.
    """

    def __init__(self, model: Sam, recipe: Finetune) -> None:
        super().__init__(model)
        self.recipe = recipe

    def forward(self, batch: Batch, mode: Mode, uniform: Uniform) -> Losses:
        """Answer, and compare.

        Args:
            batch: on the model's device.
            mode: of the step.
            uniform: randomness, as `evsam.train.losses.released` says; corrective clicks come before.
        """
        features = self.model.image_encoder(batch.images)
        targets = soft(batch.masks)
        prompts = _Prompts.of(batch.prompts, self.model.prompt_encoder.frame / batch.images.shape[-1])
        for _ in range(mode.clicks):
            with torch.no_grad():
                (best,) = self._answer(features, prompts, lambda *given: self.model.decode_best(*given)[:1])
                best = upsample(best[:, None].float(), targets.shape[-1])[:, 0]
                prompts = prompts.and_clicked(*corrective(best, targets, uniform), batch.index)
        decode = functools.partial(self.model.decode, multimask=mode.multimask)
        logits, iou = self._answer(features, prompts, decode)
        losses = self._losses(logits.float(), iou.float(), targets, batch.index, uniform)
        self.dropped = [p for p in self._not_asked(mode.multimask) if p.requires_grad]
        if self.touch_all:
            return replace(losses, images=self.touched(losses.images))
        nothing = sum((p.sum() * 0 for p in self.dropped), losses.images.new_zeros(()))
        return replace(losses, images=losses.images + nothing)

    def _not_asked(self, multimask: bool) -> Iterator[nn.Parameter]:
        """What makes the masks that this step does not ask for.

        The official decoder computes them all and drops some, so that these weights have gradients of zero
        and not none: they decay, and go on by their momentum.
        """
        heads = self.model.mask_decoder.output_hypernetworks_mlps
        for head in heads[:1] if multimask else heads[1:]:
            yield from head.parameters()

    def _answer(self, features: Tensor, prompts: _Prompts, decode: Decode) -> list[Tensor]:
        """Decode the prompts of all images, those with equally many points together."""
        position = self.model.prompt_encoder.get_dense_pe()
        answers = []
        for group in prompts.groups():
            index, xy, labels = prompts.of_images(group)
            image = self.model.project_image(features, position, image_index=index)
            answers.append(decode(image, xy, labels))
        back = prompts.places().argsort()
        return [torch.cat(parts)[back] for parts in zip(*answers, strict=True)]

    def _losses(
        self, logits: Tensor, iou: Tensor, targets: Tensor, index: Tensor, uniform: Uniform
    ) -> Losses:
        """Weigh what each alternative of each mask costs, and take the least."""
        recipe, truth = self.recipe, targets[:, None]
        full = upsample(logits, targets.shape[-1])
        found = [mask_losses(full[:, m : m + 1], truth, recipe, uniform) for m in range(full.shape[1])]
        pixels, area, dice = (torch.stack(part, dim=1) for part in zip(*found, strict=True))  # (N, M)
        cost = recipe.mask_weight * (pixels + recipe.area_weight * area) + recipe.dice_weight * dice
        least = cost.argmin(dim=1, keepdim=True)
        total = cost.gather(1, least)[:, 0]
        if recipe.mean_share:
            total = total + recipe.mean_share * cost.mean(dim=1)
        parts = {"mask_loss": pixels.gather(1, least), "dice_loss": dice.gather(1, least)}
        if recipe.area_weight:
            parts["area_loss"] = area.gather(1, least)
        reached = soft_iou(full, truth.expand_as(full))
        parts["iou"] = reached.gather(1, iou.argmax(dim=1, keepdim=True))
        if recipe.iou_weight:
            wrong = (iou - reached).square().mean(dim=1)
            total = total + recipe.iou_weight * wrong
            parts["iou_loss"] = wrong
        count = int(index[-1]) + 1
        means = {name: part.detach().mean() for name, part in parts.items()}
        return Losses(by_image(total, index, count), cost.detach(), means, logits.detach(), iou.detach())


def upsample(logits: Tensor, side: int) -> Tensor:
    """Bring maps (N, M, h, w) to the frame, (N, M, S, S)."""
    if logits.shape[-1] == side:
        return logits
    return F.interpolate(logits, (side, side), mode="bilinear", align_corners=False)


def by_image(values: Tensor, index: Tensor, count: int) -> Tensor:
    """Return the mean of values (N,) of each of ``count`` images, (B,)."""
    sums = values.new_zeros(count).index_add(0, index, values)
    return sums / torch.bincount(index, minlength=count)


@dataclass(frozen=True)
class _Prompts:
    """Prompts of images that have different numbers of points, in the prompt encoder's frame."""

    xy: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    scale: float
    """From the images' frame to the prompt encoder's."""

    @staticmethod
    def of(prompts: Sequence[Points], scale: float) -> _Prompts:
        return _Prompts(tuple(xy * scale for xy, _ in prompts), tuple(labels for _, labels in prompts), scale)

    def groups(self) -> list[list[int]]:
        """Images with equally many points, in the order of their first."""
        lengths = [xy.shape[1] for xy in self.xy]
        return [[i for i, t in enumerate(lengths) if t == length] for length in dict.fromkeys(lengths)]

    def of_images(self, images: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Join the prompts of some images: which image each is on, xy and labels."""
        counts = torch.tensor([len(self.xy[i]) for i in images])
        index = torch.tensor(images).repeat_interleave(counts).to(self.xy[0].device)
        return index, torch.cat([self.xy[i] for i in images]), torch.cat([self.labels[i] for i in images])

    def places(self) -> Tensor:
        """Where among all masks those of the groups are, one group after the other, (N,)."""
        starts, n = [], 0
        for xy in self.xy:
            starts.append(torch.arange(n, n + len(xy), device=xy.device))
            n += len(xy)
        return torch.cat([starts[i] for group in self.groups() for i in group])

    def and_clicked(self, xy: Tensor, labels: Tensor, index: Tensor) -> _Prompts:
        """Put a click (N, 1, 2), (N, 1), in the images' frame, before every prompt's points."""
        counts = torch.bincount(index, minlength=len(self.xy)).tolist()
        clicks = zip((xy * self.scale).split(counts), labels.split(counts), strict=True)
        pairs = list(zip(self.xy, self.labels, clicks, strict=True))
        return _Prompts(
            tuple(torch.cat([click[0], old], dim=1) for old, _, click in pairs),
            tuple(torch.cat([click[1].to(old.dtype), old], dim=1) for _, old, click in pairs),
            self.scale,
        )
