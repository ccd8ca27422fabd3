"""Computing a teacher's embeddings once: shard by shard, those that are there left as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sambench.evsam.errors import SambenchError
from sambench.evsam.train.recipe import Distill
from sambench.harness.events import Listener
from sambench.harness.train.config import Distilling
from sambench.harness.train.embeddings import MIRRORED, PLAIN, Shards, digest_of
from sambench.harness.train.loader import as_it_is, one_thread
from sambench.harness.train.ranks import Ranks
from sambench.harness.train.sources import open_source
from sambench.harness.train.sources.base import Source
from sambench.harness.train.teacher import Teacher, identity


def embed(config: Distilling, ranks: Ranks, listener: Listener, warn: Callable[[str], None]) -> list[Path]:
    """Compute what a distillation needs, and return the folders.

    Args:
        config: of the distillation, with ``embeddings``. A pass of the teacher has ``device_batch`` images.
        ranks: this process among all; each has the shards that its number leaves over.
        listener: is told the progress.
        warn: is told of images that are damaged.

    Raises:
        SambenchError: teacher or data are not there, an embedding is out of half precision's range, or the
            disk is full.
    """
    if config.embeddings is None:
        raise SambenchError("embeddings: name a folder for them in the configuration file, or with --out.")
    about, work = identity(config), []
    for title, source, views in _sources(config):
        shards = {view: Shards.of(config.embeddings, about, source, view) for view in views}
        lacking = {shard for one in shards.values() for shard in one.missing()}
        own = range(ranks.rank, len(shards[views[0]]), ranks.ranks)
        work.append(_Work(title, source, shards, own, [shard for shard in own if shard in lacking]))
    if any(one.todo for one in work):
        teacher = Teacher(config, ranks.device)
        for one in (one for one in work if one.todo):
            one.do(config, teacher, listener, warn)
    ranks.wait()
    return [shards.folder for one in work for shards in one.shards.values()]


def views_of(recipe: Distill) -> list[str]:
    """Return the views of its images that a training has.

    Raises:
        SambenchError: they are without number.
    """
    if recipe.colour:
        raise SambenchError(
            f"recipe.colour is {recipe.colour:g}: stored embeddings are of images as they are. Say "
            "colour: 0, or leave embeddings out, and the teacher sees each image as the student does."
        )
    return [PLAIN] * (recipe.flip < 1) + [MIRRORED] * (recipe.flip > 0)


def seen(image: np.ndarray, view: str) -> np.ndarray:
    """Return a view of an image (H, W, 3)."""
    return np.ascontiguousarray(image[:, ::-1]) if view == MIRRORED else image


def _sources(config: Distilling) -> Iterator[tuple[str, Source, list[str]]]:
    """Yield the data that embeddings are needed of: those to learn from, those to score with."""
    yield "data", open_source(config.data), views_of(config.recipe)
    if config.validation is not None:
        yield "validation", open_source(config.validation.data), [PLAIN]


@dataclass(frozen=True)
class _Read:
    """An image, or why there is none."""

    name: str
    image: Tensor
    """(H, W, 3) uint8, in memory that processes share."""
    digest: bytes
    problem: str = ""


class _Images(Dataset[_Read]):
    """A source's images by index."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, index: int) -> _Read:
        try:
            found = self.source.load(index)
        except SambenchError as error:
            return _Read("", torch.zeros(0), b"", str(error))
        return _Read(found.name, torch.from_numpy(found.image), digest_of(found.image))


@dataclass(frozen=True)
class _Work:
    """What one process does of one source."""

    title: str
    source: Source
    shards: dict[str, Shards]
    """By view."""
    own: range
    """The shards that are this process's."""
    todo: list[int]
    """Those of them that lack a view."""

    def do(
        self, config: Distilling, teacher: Teacher, listener: Listener, warn: Callable[[str], None]
    ) -> None:
        """Compute the shards that are missing in any view; each image is read once for all views."""
        for one in self.shards.values():
            one.begin()
        some = next(iter(self.shards.values()))
        images, left = (sum(len(some.indices(i)) for i in shards) for shards in (self.own, self.todo))
        listener.group_started(self.title, images, images - left)
        passes = self._read(config)
        for shard in self.todo:
            missing = {view: one for view, one in self.shards.items() if not one.path(shard).exists()}
            made: dict[str, list[Tensor]] = {view: [] for view in missing}
            digests: list[bytes] = []
            for _ in _cut(some.indices(shard), config.device_batch):
                found = next(passes)
                for damaged in (one for one in found if one.problem):
                    warn(f"skipped: {damaged.problem}")
                read = [one for one in found if not one.problem]
                digests += [one.digest for one in read]
                for view in missing:
                    made[view] += _halves(teacher, read, view)
                listener.images_done(len(found))
            for view, shards in missing.items():
                shards.write(shard, made[view], digests)

    def _read(self, config: Distilling) -> Iterator[list[_Read]]:
        """Read the images of each pass of the teacher, ahead where there are workers."""
        some = next(iter(self.shards.values()))
        passes = [part for shard in self.todo for part in _cut(some.indices(shard), config.device_batch)]
        loader = DataLoader(
            _Images(self.source),
            batch_sampler=passes,
            num_workers=config.workers,
            collate_fn=as_it_is,
            multiprocessing_context="spawn" if config.workers else None,
            worker_init_fn=one_thread,
        )
        return iter(loader)


def _cut(indices: range, length: int) -> list[list[int]]:
    return [list(indices[start : start + length]) for start in range(0, len(indices), length)]


def _halves(teacher: Teacher, read: Sequence[_Read], view: str) -> list[Tensor]:
    """Embed a view of images, in half precision."""
    if not read:
        return []
    found = teacher([seen(one.image.numpy(), view) for one in read]).half().cpu()
    for one, embedding in zip(read, found, strict=True):
        if not torch.isfinite(embedding).all():
            raise SambenchError(
                f"{one.name}: the teacher's embedding is not finite in half precision. Leave embeddings out: "
                "computed on the way they are in float32."
            )
    return list(found)
