"""The entries of a file of detections as columns: ids as written, boxes and scores.

Files of millions are common, so entries are parsed into compact structures, by one type where all ids are
whole numbers, and by a wider one else. Only what neither can read is looked at value by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path

import msgspec
import numpy as np

from sambench.suites.data.content import Content
from sambench.suites.data.detected.faults import LARGEST, look, refusal
from sambench.suites.data.detected.lists import OwnLists, list_of
from sambench.suites.data.ids import as_id

Written = int | str
"""An id as written, a fraction of nothing left out: 4.0 is 4, but "4" is a text."""

_IDS = (attrgetter("image_id"), attrgetter("category_id"))


class _Strict(msgspec.Struct, gc=False):
    """An entry with whole numbers for ids; further keys, such as ``segmentation``, are passed over."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float


class _Wide(msgspec.Struct, gc=False):
    """An entry with other ids."""

    image_id: int | float | str
    category_id: int | float | str
    bbox: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True)
class Column:
    """An id of each of N entries."""

    written: Sequence[Written]
    """(U,) each once."""
    places: np.ndarray
    """(N,) which of them an entry has."""
    odd: np.ndarray | None = None
    """(N,) bool: whether an entry has it as text or as 4.0; ``None`` where none has."""

    @cached_property
    def _first(self) -> np.ndarray:
        first = np.empty(len(self.written), np.int64)
        first[self.places[::-1]] = np.arange(len(self.places))[::-1]  # the last that is written stays
        return first

    def entry_of(self, place: int) -> int:
        """Return the first entry that has one of the written ids."""
        return int(self._first[place])


@dataclass(frozen=True)
class Entries:
    """N entries in the order of the file."""

    images: Column
    categories: Column
    xywh: np.ndarray
    """(N, 4) float64."""
    scores: np.ndarray
    """(N,) float64."""
    findings: dict[str, int]
    """What was changed, by its name in `kinds.CHANGES`."""
    own: OwnLists = field(default_factory=OwnLists)


def read_entries(content: Content) -> Entries:
    """Read detections.

    Raises:
        SambenchError: the file is of another format, or an entry is none; all such are counted.
    """
    raw, findings, own = list_of(content)
    found: Sequence[_Strict | _Wide]
    try:
        found = msgspec.json.decode(raw, type=list[_Strict])
        images, categories = (_whole(found, get) for get in _IDS)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        found = _wide(raw, content.path)
        images, categories = (_mixed(list(map(get, found))) for get in _IDS)
    n = len(found)
    scores = np.fromiter(map(attrgetter("score"), found), np.float64, n)
    boxes = chain.from_iterable(map(attrgetter("bbox"), found))
    xywh = np.fromiter(boxes, np.float64, 4 * n).reshape(n, 4)
    if (xywh[:, 2:] < 0).any() or (np.abs(xywh) > LARGEST).any():
        raise refusal(content.path, look(raw))
    return Entries(images, categories, xywh, scores, findings, own)


def _wide(raw: bytes, path: Path) -> list[_Wide]:
    try:
        found = msgspec.json.decode(raw, type=list[_Wide])
        if not any(None in (as_id(d.image_id), as_id(d.category_id)) for d in found):
            return found
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    raise refusal(path, look(raw))


def _whole(found: Sequence[_Strict | _Wide], get: attrgetter[int]) -> Column:
    """Index whole numbers; those beyond 64 bits raise OverflowError."""
    values = np.fromiter(map(get, found), np.int64, len(found))
    written, places = np.unique(values, return_inverse=True)
    return Column(written.tolist(), places)


def _mixed(values: Sequence[float | str]) -> Column:
    index: dict[Written, int] = {}
    places = np.fromiter(
        (index.setdefault(int(v) if isinstance(v, float) else v, len(index)) for v in values),
        np.int64,
        len(values),
    )
    return Column(list(index), places, np.fromiter((type(v) is not int for v in values), bool, len(values)))
