"""What is fed in: real images, prepared once, in batches that never repeat one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sambench.adapters.base import Prepared, Segmenter
from sambench.adapters.images import read_image
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size
from sambench.suites.data.annotations import AnnotationRecord
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.sample import draw
from sambench.suites.throughput.job import FEWEST_BATCHES, INPUT_IMAGES


@dataclass(frozen=True)
class Image:
    """One input image, not yet read."""

    file: Path
    stated: Size | None
    """(height, width) as the annotations state it."""
    boxes: Tensor
    """(k, 4) float32, x0 y0 x1 y1 of its objects, k at least 1."""


@dataclass(frozen=True)
class Ring:
    """Images in a row, the first ones once more at the end, so that every batch is one slice and no copy."""

    pixels: Tensor
    """(n + repeated, 3, S, S) float32 on the CPU, pinned where the device is a GPU."""
    prepared: tuple[Prepared, ...]
    """The n images in order; their pixels are views."""
    boxes: Tensor
    """(n + repeated, 4) float32: the first object of each image."""
    starts: tuple[int, ...]
    """Where each batch begins."""
    batch: int

    def slice(self, k: int) -> slice:
        """Return the rows of the k-th batch."""
        start = self.starts[k % len(self.starts)]
        return slice(start, start + self.batch)

    def members(self, k: int) -> list[Prepared]:
        """Return the images of the k-th batch."""
        rows = self.slice(k)
        return [self.prepared[i % len(self.prepared)] for i in range(rows.start, rows.stop)]


def wanted(batch: int) -> int:
    """Return how many input images a batch size asks for."""
    return max(INPUT_IMAGES, batch)


def choose(images: Path, annotations: Path, batch: int, seed: int, count: int | None = None) -> list[Image]:
    """Draw the input images: a seeded sample of those that have an object that is no crowd.

    Args:
        images: folder of the images.
        annotations: JSON in COCO's format.
        batch: images in a batch.
        seed: of the sample; a larger one keeps the images of a smaller one.
        count: how many; ``None`` for what a rotation of such batches takes. Fewer where there are no more.

    Raises:
        SambenchError: the data cannot be read, or has too few such images for distinct batches.
    """
    dataset = CocoDataset(images, annotations)
    usable = [entry for entry in dataset.entries if any(map(_is_object, entry.annotations))]
    fewest = max(FEWEST_BATCHES, batch)
    if len(usable) < fewest:
        raise SambenchError(
            f"{annotations}: has {len(usable)} images with a box to prompt with; batches of {batch} need at "
            f"least {fewest}. Take a larger data set or a smaller batch."
        )
    entries = draw(usable, wanted(batch) if count is None else count, seed)
    dataset.check_files(entries)
    return [_image(entry) for entry in entries]


def _image(entry: Entry) -> Image:
    record = entry.record
    stated = (record.height, record.width) if record.height and record.width else None
    boxes = [a.bbox for a in entry.annotations if _is_object(a)]
    corners = torch.tensor([(x, y, x + w, y + h) for x, y, w, h in boxes], dtype=torch.float32)
    return Image(entry.file, stated, corners)


def _is_object(annotation: AnnotationRecord) -> bool:
    return not annotation.iscrowd and annotation.bbox[2] >= 1 and annotation.bbox[3] >= 1


def rotation(images: int, batch: int) -> tuple[int, ...]:
    """Return where each batch begins among so many images: at least eight places, evenly apart.

    Batches overlap where the images do not suffice for eight apart; no two begin with the same image.
    """
    count = max(min(FEWEST_BATCHES, images), images // batch)
    return tuple(k * (images // count) for k in range(count))


def prepare(segmenter: Segmenter, images: Sequence[Image]) -> list[Prepared]:
    """Read and prepare images, in threads, as a run does.

    Raises:
        SambenchError: an image cannot be read.
    """
    return list(prefetch(lambda image: load(segmenter, image), images))


def load(segmenter: Segmenter, image: Image) -> Prepared:
    """Read and prepare one image."""
    return segmenter.prepare(read_image(image.file, image.stated))


def make_ring(segmenter: Segmenter, images: Sequence[Image], batch: int) -> Ring:
    """Lay prepared images in a row.

    Raises:
        SambenchError: the model prepares images of different shapes, which are no batch.
    """
    prepared = prepare(segmenter, images)
    shapes = {tuple(p.pixels.shape) for p in prepared}
    if len(shapes) > 1:
        raise SambenchError(
            f"{segmenter.name}: prepares images to different shapes, {sorted(shapes)[0]} and "
            f"{sorted(shapes)[1]} among them, so they are no batch; throughput needs one input size."
        )
    starts = rotation(len(images), batch)
    rows = [i % len(images) for i in range(max(len(images), starts[-1] + batch))]
    pixels = torch.empty(len(rows), *prepared[0].pixels.shape, dtype=prepared[0].pixels.dtype)
    if segmenter.device.type == "cuda":
        pixels = pixels.pin_memory()
    for row, i in enumerate(rows):
        pixels[row] = prepared[i].pixels
    members = tuple(Prepared(pixels[i], p.size) for i, p in enumerate(prepared))
    boxes = torch.stack([images[i].boxes[0] for i in rows])
    return Ring(pixels, members, boxes, starts, batch)


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
    shifts = (torch.rand(count, 4, generator=generator) - 0.5) * 0.2 * sides
    shifts[: len(image.boxes)] = 0
    limit = torch.tensor([size[1], size[0], size[1], size[0]])
    return torch.minimum((boxes + shifts).clamp_(min=0), limit)
