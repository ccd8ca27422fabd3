"""A detector's boxes from a file of COCO results, as columns of numbers indexed by image."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sambench.adapters.files import refuse_changed
from sambench.suites.data.checks.problems import quoted
from sambench.suites.data.content import Content, read_bytes, read_content
from sambench.suites.data.detected.entries import Entries, read_entries
from sambench.suites.data.detected.faults import refusal
from sambench.suites.data.detected.own import match_own, name_of
from sambench.suites.data.detected.owners import Categories, Images, Owners, whole_numbers
from sambench.suites.data.ids import Known

_MISSING = "no such file of detections. Give it with --detections."


@dataclass(frozen=True)
class ImageDetections:
    """The N detections of an image, best score first."""

    boxes: np.ndarray
    """(N, 4) float64: x0, y0, x1, y1 in pixels of the image."""
    xywh: np.ndarray
    """(N, 4) float64: x, y, width, height, as the file has them."""
    scores: np.ndarray
    """(N,) float64."""
    category_ids: np.ndarray
    """(N,) int64."""

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Coverage:
    """How detections and a choice of images overlap."""

    used: int
    """Detections on these images."""
    elsewhere: int
    """Detections on other images, which stay unused."""
    images_without: int
    """Of these images, those without a detection."""


class Detections:
    """The boxes of a result file: a list of ``{"image_id", "category_id", "bbox": [x, y, w, h], "score"}``.

    Ids may be written as text or as 4.0, images by their file's name, categories by their name; what was
    changed is counted. Boxes are sorted by image, falling score, category, then box, so that equal scores do
    not fall out by the order of the file. Boxes without area stay: detectors that round produce them, and
    prompts are made of every box. Nothing is clipped or rounded. An empty list is a detector that found
    nothing.

    Args:
        path: JSON file in COCO's result format, packed or plain, one list or in lines.
        sha256: of the file as it was when the run was planned, where there was a plan.
        known: what ids can be matched with; by default they are whole numbers, and stand for themselves.

    Attributes:
        path: as given.
        sha256: of the bytes that were parsed.
        image_ids: (I,) int64, rising, the images with at least one detection.
        category_ids: those found at least once.
        findings: what was changed, by its name in `detected.kinds.CHANGES`, with how often.
        unmatched: detections on images that ``known`` has not; they are left out of all else.
        strange: the image of one of those, as written, or its name where the file lists that.
        other_images: whose the boxes of an image would be, were whole numbers read the other way, by id or
            by the name of a file; empty where these are the same.
        read_by_name: whether they were read as names.

    Raises:
        SambenchError: the file is missing, damaged, of another format or another than was planned with, an
            entry has an impossible number, or an id fits two images, two categories or no category.
    """

    def __init__(self, path: Path, sha256: str | None = None, known: Known | None = None) -> None:
        self.path = path
        content = _read(path)
        self.sha256 = content.sha256
        refuse_changed(path, self.sha256, sha256)
        entries = read_entries(content)
        del content
        images, categories = self._match(entries, known)
        self.findings = entries.findings
        self.other_images, self.read_by_name = images.other, images.read_by_name
        self.strange = _first_strange(entries, images)
        columns = [
            images.numbers[entries.images.places],
            categories.numbers[entries.categories.places],
            entries.xywh,
            entries.scores,
        ]
        if self.strange is not None:
            there = images.there[entries.images.places]
            columns = [column[there] for column in columns]
        self.unmatched = len(entries.scores) - len(columns[0])
        self._index(*columns)

    def _match(self, entries: Entries, known: Known | None) -> tuple[Owners, Owners]:
        """Return what the ids stand for, and count what of them was changed."""
        if known is None:
            images = whole_numbers(entries.images, "image_id")
            categories = whole_numbers(entries.categories, "category_id")
        else:
            images, categories = _matched(entries, known)
        if images.wrong or categories.wrong:
            raise refusal(self.path, sorted(images.wrong + categories.wrong))
        for column, owners in ((entries.images, images), (entries.categories, categories)):
            if column.odd is not None:
                by_id = owners.there & ~owners.by_name
                _count(entries.findings, "ids_as_text", column.odd & by_id[column.places])
        return images, categories

    def _index(
        self, image_ids: np.ndarray, category_ids: np.ndarray, xywh: np.ndarray, scores: np.ndarray
    ) -> None:
        order = _ordered(image_ids, category_ids, xywh, scores)
        self._xywh, self._scores, self._category_ids = xywh[order], scores[order], category_ids[order]
        self.category_ids = frozenset(np.unique(category_ids).tolist())
        image_ids = image_ids[order]
        start = np.flatnonzero(np.diff(image_ids, prepend=image_ids[:1] - 1))
        self.image_ids = image_ids[start]
        self._edges = np.append(start, len(order))  # image i has the rows from edge i to edge i + 1

    def __len__(self) -> int:
        return len(self._scores)

    @property
    def score_range(self) -> tuple[float, float]:
        """The lowest and the highest score; 0 and 0 where there is none."""
        return (float(self._scores.min()), float(self._scores.max())) if len(self) else (0.0, 0.0)

    def of(self, image_id: int) -> ImageDetections:
        """Return the detections of an image; none for an image that the file does not name."""
        i = int(np.searchsorted(self.image_ids, image_id))
        there = i < len(self.image_ids) and self.image_ids[i] == image_id
        rows = slice(self._edges[i], self._edges[i + 1]) if there else slice(0)
        xywh = self._xywh[rows]
        boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        return ImageDetections(boxes, xywh, self._scores[rows], self._category_ids[rows])

    def for_images(self, image_ids: Collection[int]) -> Coverage:
        """Count the detections on the images that are evaluated, and those elsewhere."""
        here = np.isin(self.image_ids, np.fromiter(set(image_ids), np.int64))
        used = int(np.diff(self._edges)[here].sum())
        return Coverage(used, self.unmatched + len(self) - used, len(set(image_ids)) - int(here.sum()))


def detections_sha256(path: Path) -> str:
    """Hash a result file, which is not parsed.

    Raises:
        SambenchError: it cannot be read.
    """
    return hashlib.sha256(read_bytes(path, _MISSING)).hexdigest()


def _read(path: Path) -> Content:
    return read_content(path, _MISSING, "file of detections")


def _matched(entries: Entries, known: Known) -> tuple[Owners, Owners]:
    """Match ids with an annotation file's, by the names that their own file gives them (see `own`)."""
    found = []
    for column, kind, own in (
        (entries.images, Images(known), entries.own.files),
        (entries.categories, Categories(known), entries.own.names),
    ):
        owners, others = match_own(kind, column, own)
        _count(entries.findings, "own_ids", others[column.places])
        found.append(owners)
    images, categories = found
    for name, owners, column in (
        ("by_file_name", images, entries.images),
        ("by_category_name", categories, entries.categories),
    ):
        _count(entries.findings, name, (owners.by_name & owners.there)[column.places])
    return images, categories


def _first_strange(entries: Entries, images: Owners) -> str | None:
    places = np.flatnonzero(~images.there)
    return quoted(name_of(entries.images.written[places[0]], entries.own.files)) if len(places) else None


def _count(findings: dict[str, int], name: str, entries: np.ndarray) -> None:
    """Add to a kind of change the entries, (N,) bool, that it was made to, if there is one."""
    if number := int(np.count_nonzero(entries)):
        findings[name] = findings.get(name, 0) + number


def _ordered(
    image_ids: np.ndarray, category_ids: np.ndarray, xywh: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """Sort by image, falling score, category, then box; boxes are only looked at where all else is equal."""
    order = np.lexsort((category_ids, -scores, image_ids))
    keys = [column[order] for column in (image_ids, scores, category_ids)]
    tied = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
    if tied.any():
        in_runs = np.flatnonzero(np.concatenate([tied, [False]]) | np.concatenate([[False], tied]))
        run = np.cumsum(np.concatenate([[True], ~tied]))[in_runs]
        rows = order[in_runs]
        order[in_runs] = rows[np.lexsort((*xywh[rows].T[::-1], run))]
    return order
