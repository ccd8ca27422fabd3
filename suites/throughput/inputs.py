"""What is fed in: real images, prepared once, in batches that never repeat one after the other."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sambench.adapters.base import Prepared, Segmenter
from sambench.adapters.images import read_image
from sambench.evsam.errors import NotApplicableError, SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.annotations import AnnotationRecord
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.locate import Match
from sambench.suites.data.pictures.folder import MaskFolder
from sambench.suites.data.pictures.settings import Masks
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.sample import draw
from sambench.suites.throughput.job import FEWEST_BATCHES, INPUT_IMAGES

Shape = tuple[str | int, ...]
"""Of a prepared image: the type of its pixels, then its sides."""


@dataclass(frozen=True)
class Image:
    """One input image, not yet read."""

    file: Path
    stated: Size | None
    """(height, width) as the annotations state it."""
    boxes: Tensor
    """(k, 4) float32, x0 y0 x1 y1 of its objects, k at least 1."""


@dataclass(frozen=True)
class Batch:
    """Images of one shape."""

    members: tuple[int, ...]
    """Which of the images they are."""
    prepared: tuple[Prepared, ...]
    """The images, each a row of ``pixels``."""
    pixels: Tensor
    """(B, ...) as the model prepares them, on the CPU, pinned where the device is a GPU; no copy."""
    boxes: Tensor
    """(B, 4) float32: the first object of each image."""


@dataclass(frozen=True)
class Inputs:
    """Prepared images in batches."""

    batches: tuple[Batch, ...]
    shapes: tuple[Shape, ...]
    """Of all images, in their order."""

    @property
    def used(self) -> tuple[int, ...]:
        """Which images are in a batch: all, or all whose shape enough others have."""
        return tuple(sorted({i for batch in self.batches for i in batch.members}))

    @property
    def note(self) -> str:
        """What a reader must know of the batches, or nothing."""
        kinds, batch = len(set(self.shapes)), len(self.batches[0].members)
        if kinds == 1:
            return ""
        if batch == 1:
            return f"images are prepared to {kinds} shapes and go one at a time"
        return (
            f"images are prepared to {kinds} shapes; a batch is of one shape, and {len(self.used)} of "
            f"{len(self.shapes)} images have one that enough others have"
        )


def wanted(batch: int) -> int:
    """Return how many input images a batch size asks for."""
    return max(INPUT_IMAGES, batch)


def choose(
    images: Path,
    annotations: Path | Masks,
    batch: int,
    seed: int,
    count: int | None = None,
    match: Match = "name",
) -> list[Image]:
    """Draw the input images: a seeded sample of those that have an object that is no crowd.

    Args:
        images: folder of the images.
        annotations: JSON in COCO's format, or mask pictures; of these as many are read as it takes.
        batch: images in a batch.
        seed: of the sample; a larger one keeps the images of a smaller one.
        count: how many; ``None`` for what a rotation of such batches takes. Fewer where there are no more.
        match: by what image files are found.

    Raises:
        SambenchError: the data cannot be read, or has too few such images for distinct batches.
    """
    number = wanted(batch) if count is None else count
    if isinstance(annotations, Masks):
        folder = MaskFolder(images, annotations)
        found = list(itertools.islice(_with_objects(folder.entries, seed), number))
        folder.checked([entry for _, entry, _ in found])
        folder.refuse()
        _refuse_few(len(found), annotations.folder, batch)
        return [_image(entry, objects) for _, entry, objects in sorted(found, key=lambda one: one[0])]
    dataset = CocoDataset(images, annotations, match=match, masks=False, lenient=True)
    usable = [entry for entry in dataset.entries if any(map(_is_object, entry.annotations))]
    _refuse_few(len(usable), annotations, batch)
    entries = dataset.checked(draw(usable, number, seed))
    dataset.refuse()
    return [_image(entry, entry.annotations) for entry in entries]


def _refuse_few(usable: int, annotations: Path, batch: int) -> None:
    fewest = max(FEWEST_BATCHES, batch)
    if usable < fewest:
        raise SambenchError(
            f"{annotations}: has {usable} images with a box to prompt with; batches of {batch} need at "
            f"least {fewest}. Take a larger data set or a smaller batch."
        )


def _with_objects(
    entries: Sequence[Entry], seed: int
) -> Iterator[tuple[int, Entry, Sequence[AnnotationRecord]]]:
    """Yield images whose masks have an object, in an order that the seed draws: place, entry and objects."""
    order = list(range(len(entries)))
    random.Random(seed).shuffle(order)
    for i in order:
        size = entries[i].stated
        if size is not None and any(map(_is_object, objects := entries[i].objects(size)[0])):
            yield i, entries[i], objects


def _image(entry: Entry, objects: Sequence[AnnotationRecord]) -> Image:
    boxes = [a.bbox for a in objects if _is_object(a)]
    corners = torch.tensor([(x, y, x + w, y + h) for x, y, w, h in boxes], dtype=torch.float32)
    return Image(entry.file, entry.stated, corners)


def _is_object(annotation: AnnotationRecord) -> bool:
    return not annotation.iscrowd and annotation.bbox[2] >= 1 and annotation.bbox[3] >= 1


def rotation(shapes: Sequence[Shape], batch: int) -> tuple[tuple[int, ...], ...]:
    """Return batches of images of one shape each, in the order of their first images; no two begin alike.

    Of every shape batches begin evenly apart, and overlap where the images do not suffice for eight batches
    apart. A shape that too few images have is left out. Images of one shape are so in as many batches as
    those of another, as nearly as may be.

    Args:
        shapes: of the images.
        batch: images in a batch.

    Raises:
        NotApplicableError: the images do not make eight distinct batches.
    """
    kinds = alike(shapes)
    enough = [members for members in kinds.values() if len(members) >= batch]
    total = sum(map(len, enough))
    batches = []
    for members in enough:
        share = math.ceil(FEWEST_BATCHES * len(members) / total)
        count = min(len(members), max(share, len(members) // batch))
        starts = range(0, count * (len(members) // count), len(members) // count)
        batches += [tuple((members * 2)[start : start + batch]) for start in starts]
    if len(batches) < FEWEST_BATCHES:
        raise NotApplicableError(
            f"images are prepared to {len(kinds)} shapes, and {len(shapes)} images make only {len(batches)} "
            f"distinct batches of {batch} of one shape, not {FEWEST_BATCHES}. Take a smaller batch."
        )
    return tuple(sorted(batches))


def alike(shapes: Sequence[Shape]) -> dict[Shape, list[int]]:
    """Return which images have a shape, for every shape."""
    found: dict[Shape, list[int]] = {}
    for i, shape in enumerate(shapes):
        found.setdefault(shape, []).append(i)
    return found


def prepare(segmenter: Segmenter, images: Sequence[Image]) -> list[Prepared]:
    """Read and prepare images, in threads, as a run does.

    Raises:
        SambenchError: an image cannot be read.
    """
    return list(prefetch(lambda image: load(segmenter, image), images))


def load(segmenter: Segmenter, image: Image) -> Prepared:
    """Read and prepare one image."""
    return segmenter.prepare(read_image(image.file, image.stated))


def shape_of(prepared: Prepared) -> Shape:
    """Return what images of a batch have in common."""
    return (str(prepared.pixels.dtype).removeprefix("torch."), *prepared.pixels.shape)


def shapes_of(segmenter: Segmenter, images: Sequence[Image]) -> list[Shape]:
    """Return what images are prepared to; their pixels are let go of.

    Raises:
        SambenchError: an image cannot be read.
    """
    return list(prefetch(lambda image: shape_of(load(segmenter, image)), images))


def make_inputs(segmenter: Segmenter, images: Sequence[Image], batch: int) -> Inputs:
    """Prepare images and lay those of one shape in a row, so that every batch is one slice and no copy.

    Raises:
        SambenchError: an image cannot be read.
        NotApplicableError: images of one shape are too few for batches.
    """
    prepared = prepare(segmenter, images)
    shapes = tuple(map(shape_of, prepared))
    planned = rotation(shapes, batch)
    batches: list[Batch] = []
    for shape, members in alike(shapes).items():
        starts = [members.index(first) for first, *_ in planned if shapes[first] == shape]
        if starts:
            row = (members * 2)[: starts[-1] + batch]
            rows = [(prepared[i], images[i].boxes[0]) for i in row]
            batches += _laid_out(row, rows, starts, batch, pinned=segmenter.device.type == "cuda")
    return Inputs(tuple(sorted(batches, key=lambda one: one.members)), shapes)


def _laid_out(
    row: Sequence[int],
    rows: Sequence[tuple[Prepared, Tensor]],
    starts: Sequence[int],
    batch: int,
    *,
    pinned: bool,
) -> Iterator[Batch]:
    """Lay images and boxes in a row, the first ones once more at the end as far as the last batch needs."""
    first = rows[0][0].pixels
    pixels = torch.empty(len(rows), *first.shape, dtype=first.dtype, pin_memory=pinned)
    boxes = torch.empty(len(rows), 4, dtype=torch.float32, pin_memory=pinned)
    for i, (prepared, box) in enumerate(rows):
        pixels[i], boxes[i] = prepared.pixels, box
    placed = [replace(prepared, pixels=pixels[i]) for i, (prepared, _) in enumerate(rows)]
    for start in starts:
        these = slice(start, start + batch)
        yield Batch(tuple(row[these]), tuple(placed[these]), pixels[these], boxes[these])


def prompt_boxes(image: Image, size: Size, count: int, seed: int) -> Tensor:
    """Return (count, 4) boxes on an image: its objects', then these shifted by up to a tenth of their size.

    Args:
        image: with its objects.
        size: (height, width) of the image, which the boxes are kept within.
        count: how many.
        seed: of the shifts.
    """
    times = -(-count // len(image.boxes))
    boxes = image.boxes.repeat(times, 1)[:count].clone()
    generator = torch.Generator().manual_seed(seed)
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    shifts = (torch.rand(count, 4, generator=generator, dtype=torch.float32) - 0.5) * 0.2 * sides
    shifts[: len(image.boxes)] = 0
    limit = torch.tensor([size[1], size[0], size[1], size[0]])
    return torch.minimum((boxes + shifts).clamp_(min=0), limit)
