"""Boxes in shards: what is interrupted loses one at most, and memory never holds more than one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from sambench.adapters.detectors.base import Detector, ImageBoxes
from sambench.adapters.files import write_atomic
from sambench.adapters.images import read_image
from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import Entry
from sambench.suites.data.ids import TextIds
from sambench.suites.data.prefetch import prefetch

SHARD_IMAGES = 16
"""Images of a shard; fewer, where they take longer than this:"""
SHARD_SECONDS = 60.0

Row = dict[str, Any]
"""One of COCO's result rows."""


@dataclass(frozen=True)
class Shards:
    """What is finished of a result, as files ``FIRST-END.json`` of images counted from 0, END not included.

    Attributes:
        folder: of one result, by all that decides its boxes.
    """

    folder: Path

    def images(self) -> int:
        """Count the images that are finished, from the first one on."""
        return sum(end - first for first, end, _ in self._files())

    def write(self, first: int, end: int, rows: Sequence[Row]) -> None:
        """Write the shard that follows those that are there."""
        write_atomic(self.folder / f"{first:07d}-{end:07d}.json", msgspec.json.encode(rows))

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Yield one JSON list of all rows in pieces, each with its number of rows.

        Raises:
            SambenchError: a shard is damaged.
        """
        yield 0, b"["
        before = b""
        for _, _, file in self._files():
            content, rows = _read_rows(file)
            if rows:
                yield rows, before + content[1:-1]
                before = b","
        yield 0, b"]"

    def remove(self) -> None:
        """Remove all shards."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """Yield those that follow one another, beginning with the first image."""
        reached = 0
        for file in sorted(self.folder.glob("[0-9]*-[0-9]*.json")):
            first, end = (int(number) for number in file.stem.split("-"))
            if first == reached:
                yield first, end, file
                reached = end


def _read_rows(file: Path) -> tuple[bytes, int]:
    try:
        content = file.read_bytes()
        return content, len(msgspec.json.decode(content, type=list[msgspec.Raw]))
    except (OSError, msgspec.DecodeError) as error:
        raise SambenchError(f"{file}: damaged ({error}). Remove it and run again.") from None


def detect_missing(
    detector: Detector,
    entries: Sequence[Entry],
    shards: Shards,
    on_image: Callable[[int], object],
    texts: TextIds | None = None,
) -> None:
    """Detect in the images that no shard has, and write one after the other.

    Args:
        detector: which finds the boxes.
        entries: all images of the result, by rising id.
        shards: what is there, and grows.
        on_image: called with 1 after each image.
        texts: what the annotation file has for numbers that stand for its ids, by key of a row.

    Raises:
        SambenchError: an image is damaged, or a shard cannot be written; those before are kept.
    """
    first = shards.images()
    rows: list[Row] = []
    began = time.monotonic()
    for end, (image_id, image) in enumerate(prefetch(_read, entries[first:]), start=first + 1):
        (found,) = detector.detect([image])
        rows += [_as_given(row, texts or {}) for row in rows_of(image_id, found)]
        late = time.monotonic() - began >= SHARD_SECONDS
        if late or end == first + SHARD_IMAGES or end == len(entries):
            shards.write(first, end, rows)
            first, rows, began = end, [], time.monotonic()
        on_image(1)


def _read(entry: Entry) -> tuple[int, np.ndarray]:
    image = read_image(entry.file, entry.stated, sha256=entry.sha256, orientation=entry.orientation)
    return entry.record.id, image


def _as_given(row: Row, texts: TextIds) -> Row:
    return row | {key: names[row[key]] for key, names in texts.items() if key in row}


def rows_of(image_id: int, found: ImageBoxes) -> list[Row]:
    """Return an image's rows by falling score, category, box, so that ties do not shuffle.

    Boxes are x, y, width, height; nothing is rounded.
    """
    rows: list[Row] = [
        {"image_id": image_id, "category_id": category, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
        for (x0, y0, x1, y1), score, category in zip(
            found.boxes.tolist(), found.scores.tolist(), found.category_ids.tolist(), strict=True
        )
    ]
    return sorted(rows, key=lambda row: (-row["score"], row["category_id"], row["bbox"]))
