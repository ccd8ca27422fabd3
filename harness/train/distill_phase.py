"""Phase 1 for a training: one view of an image for student and teacher, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sambench.evsam.train.distill import DistillStep, Views, view
from sambench.evsam.train.recipe import Distill
from sambench.evsam.train.sample import Sample, draw_change, fit
from sambench.harness.train.embeddings import MIRRORED, PLAIN, Embeddings, Shards, digest_of
from sambench.harness.train.loader import Item, Make
from sambench.harness.train.phase import Cost, Phase
from sambench.harness.train.sources.base import Annotated, Source
from sambench.harness.train.teacher import Teacher

NO_BOXES = np.zeros((0, 4))


@dataclass(frozen=True)
class Viewed(Sample):
    """An image in the student's frame, without objects, and either of what the teacher has to do with it."""

    view: Tensor | None = None
    """The same view at its own size, for the teacher to see: (H, W, 3) uint8."""
    embedding: Tensor | None = None
    """What it made of that view earlier: (C, h, w) float16."""


@dataclass(frozen=True)
class Stored:
    """A teacher's embeddings of a source's images, as ``sambench train embed`` computed them."""

    root: Path
    """Of all embeddings."""
    about: Mapping[str, Any]
    """Which teacher (`teacher.identity`)."""
    views: Mapping[str, Embeddings]

    @staticmethod
    def of(root: Path, about: Mapping[str, Any], source: Source, views: Sequence[str]) -> Stored:
        """Open them.

        Raises:
            SambenchError: they are not all there, or there are only those of another teacher or other data.
        """
        opened = {view: Embeddings(Shards.of(root, about, source, view)) for view in views}
        return Stored(root, about, opened)

    def beside(self, source: Source, views: Sequence[str]) -> Stored:
        """Open those of another source by the same teacher."""
        return Stored.of(self.root, self.about, source, views)

    @property
    def shape(self) -> tuple[int, ...]:
        """C, h, w."""
        return next(iter(self.views.values())).shape

    def read(self, found: Annotated, view: str) -> Tensor:
        """Read the embedding of a view of an image, (C, h, w) float16.

        Raises:
            SambenchError: there is none of this very image.
        """
        return self.views[view].of(digest_of(found.image), found.name)


@dataclass(frozen=True)
class Viewing:
    """Makes an item of an image: what both see, mirrored or not, its colours changed or not."""

    recipe: Distill
    side: int
    """Of the student's frame."""
    stored: Stored | None
    """Embeddings to learn from, in place of the teacher's own look."""

    def __call__(self, found: Annotated, rng: np.random.Generator) -> tuple[Viewed, None]:
        """Draw a view, and fit it into the student's frame.

        Raises:
            SambenchError: it has no stored embedding.
        """
        change = draw_change(self.recipe, rng)
        image = view(found.image, change)
        own = fit(image, (), NO_BOXES, self.side, self.recipe)
        parts = (own.image, own.masks, own.boxes, own.size)
        if self.stored is None:
            return Viewed(*parts, view=torch.from_numpy(image)), None
        return Viewed(*parts, embedding=self.stored.read(found, MIRRORED if change.mirrored else PLAIN)), None


class DistillPhase(Phase):
    """Phase 1.

    Args:
        step: the student with its loss.
        teacher: who embeds each view on the way, or what it made of all views earlier.
    """

    def __init__(self, step: DistillStep, teacher: Teacher | Stored) -> None:
        self.step_module = self.step = step
        self.recipe: Distill = step.recipe
        self.teacher = teacher

    def make(self) -> Make:
        stored = self.teacher if isinstance(self.teacher, Stored) else None
        return Viewing(self.recipe, self.model.input_size, stored)

    def blank(self) -> Item:
        side = self.model.input_size
        own = fit(np.zeros((side, side, 3), np.uint8), (), NO_BOXES, side, self.recipe)
        parts = (own.image, own.masks, own.boxes, own.size)
        if isinstance(self.teacher, Stored):
            return Item(-1, "nothing", Viewed(*parts, embedding=torch.zeros(self.teacher.shape)))
        return Item(-1, "nothing", Viewed(*parts, view=torch.zeros(side, side, 3, dtype=torch.uint8)))

    def cost(self, module: nn.Module, items: Sequence[Item], seed: int, step: int) -> Cost:
        del seed, step  # nothing is drawn
        samples = [item.sample for item in items if isinstance(item.sample, Viewed)]
        device = next(self.step.parameters()).device
        images = torch.stack([one.image for one in samples])
        views = Views(images, self._taught(samples), tuple(one.size for one in samples))
        found = module(views.to(device))
        return Cost(found.images, {"relative_error": found.relative.mean()})

    def _taught(self, samples: Sequence[Viewed]) -> Tensor:
        """The teacher's embeddings, (B, C, h, w)."""
        if isinstance(self.teacher, Stored):
            return torch.stack([one.embedding for one in samples if one.embedding is not None])
        return self.teacher([one.view.numpy() for one in samples if one.view is not None])
