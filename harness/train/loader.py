"""Positions to batches: read, draw, fit into the frame, in processes of their own where there are workers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sambench.evsam.errors import SambenchError
from sambench.evsam.train.prompts import Points, choose_objects, draw_prompts
from sambench.evsam.train.recipe import Finetune
from sambench.evsam.train.sample import Sample, draw_change, fit
from sambench.harness.train.order import Order, Share
from sambench.harness.train.sources.base import Annotated, Source


@dataclass(frozen=True)
class Item:
    """One image, ready to be learnt from."""

    position: int
    name: str
    sample: Sample
    prompts: Points | None = None
    """One for each mask; none in distillation."""
    seed: int = 0
    """Of what is drawn for it during the step."""


@dataclass(frozen=True)
class Skipped:
    """An image that nothing can be learnt from."""

    position: int
    reason: str
    """Naming it."""
    kind: str
    """``empty`` or ``damaged``."""


def seed_of(*parts: int | str) -> int:
    """Return a seed for torch, of anything that names it."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big")


@dataclass(frozen=True)
class Finetuning:
    """Makes an item of an annotated image, for phase 2."""

    recipe: Finetune
    side: int

    def __call__(self, found: Annotated, rng: np.random.Generator) -> tuple[Sample, Points] | None:
        """Draw objects, fit and ask; ``None`` where there is no object with a pixel in the frame."""
        areas = [one.area for one in found.annotations]
        chosen = choose_objects(areas, self.recipe, rng)
        if not chosen:
            return None
        change = draw_change(self.recipe, rng)
        once = list(dict.fromkeys(chosen))
        boxes = np.array([found.box(i) for i in once])
        sample = fit(found.image, (found.mask(i) for i in once), boxes, self.side, self.recipe, change)
        seen = [k for k in range(len(once)) if bool((sample.masks[k] > 0).any())]
        if not seen:
            return None
        kept = [once.index(i) for i in chosen if once.index(i) in seen]
        if self.recipe.fill:
            kept = [kept[i % len(kept)] for i in range(self.recipe.masks_per_image)]
        sample = Sample(sample.image, sample.masks[kept], sample.boxes[kept], sample.size)
        return sample, draw_prompts(sample, self.recipe, rng)


Make = Callable[[Annotated, np.random.Generator], tuple[Sample, Points | None] | None]


class Positions(Dataset["Item | Skipped"]):
    """A source in the order of training, by position."""

    def __init__(self, source: Source, order: Order, make: Make) -> None:
        self.source, self.order, self.make = source, order, make

    def __getitem__(self, position: int) -> Item | Skipped:
        """Make the item at a position; what cannot be learnt from comes back with its reason."""
        epoch, index = self.order.at(position)
        rng = np.random.default_rng([self.order.seed, epoch, index])
        try:
            found = self.source.load(index)
            made = self.make(found, rng)
        except SambenchError as error:
            return Skipped(position, str(error), "damaged")
        if made is None:
            return Skipped(position, f"{found.name}: no object to learn from", "empty")
        return Item(position, found.name, *made, seed=seed_of(self.order.seed, epoch, index))


@dataclass(frozen=True)
class _Passes:
    """The positions of each forward pass, as a loader wants them: not all at once, for there are millions."""

    share: Share
    steps: range

    def __len__(self) -> int:
        return len(self.steps) * self.share.parts

    def __iter__(self) -> Iterator[list[int]]:
        return self.share.positions(self.steps.start, self.steps.stop)


def as_it_is(items: list[Any]) -> list[Any]:
    """Make no tensors of a batch's items."""
    return items


def one_thread(worker: int) -> None:
    """Begin a process that reads images: with one thread, for there are others."""
    del worker
    torch.set_num_threads(1)


def load(dataset: Positions, share: Share, steps: range, workers: int) -> Iterator[list[Item | Skipped]]:
    """Yield the items of each forward pass of this process, in order.

    Args:
        dataset: what there is.
        share: what of it is this process's.
        steps: which are to come.
        workers: processes that load ahead; 0 loads when asked.
    """
    loader = DataLoader(
        dataset,
        batch_sampler=_Passes(share, steps),
        num_workers=workers,
        collate_fn=as_it_is,
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=one_thread,
        prefetch_factor=2 if workers else None,
    )
    return iter(loader)
