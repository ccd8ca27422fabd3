"""Ids of a file of detections that lists its own images and categories, beside the annotations'.

Exports of predictions as a data set number by themselves, or as the annotations do. The names tell which: if
all names that are known have the annotations' ids, ids are these; else names stand for ids, and what has
none cannot be told.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sambench.suites.data.checks.problems import quoted
from sambench.suites.data.detected.entries import Column, Written
from sambench.suites.data.detected.faults import Wrong
from sambench.suites.data.detected.kinds import FAULTS
from sambench.suites.data.detected.owners import Categories, Images, Owners
from sambench.suites.data.ids import Given, as_id

Fits = tuple[frozenset[int], frozenset[int] | None]
"""What an id fits by itself, and what by the name that its file gives it; ``None`` where it gives none."""


def match_own(
    kind: Images | Categories, column: Column, texts: Mapping[Given, str]
) -> tuple[Owners, np.ndarray]:
    """Match ids by the names that their file gives them.

    Args:
        kind: what they are of.
        column: the ids.
        texts: the file's own ids and names.

    Returns:
        What they stand for, and (U,) bool: whether that is another than the same id of the annotations.
    """
    if not texts:
        return kind.match(column), np.zeros(len(column.written), bool)
    fits = [(kind.by_id(w), _by_own_name(kind, w, texts)) for w in column.written]
    if any(named and not (own and own <= named) for own, named in fits):
        return _renumbered(kind, column, fits, texts)
    return _as_annotated(kind, column, fits), np.zeros(len(fits), bool)


def name_of(written: Written, texts: Mapping[Given, str]) -> Written:
    """Return the name that its file gives an id, or else the id."""
    given = as_id(written)
    return written if given is None else texts.get(given, written)


def _by_own_name(
    kind: Images | Categories, written: Written, texts: Mapping[Given, str]
) -> frozenset[int] | None:
    given = as_id(written)
    return kind.by_name(texts[given]) if given is not None and given in texts else None


def _as_annotated(kind: Images | Categories, column: Column, fits: list[Fits]) -> Owners:
    """Take ids for the annotations'; an image whose name they have not is elsewhere all the same."""
    found = kind.match(column)
    told = {place for place, (own, named) in enumerate(fits) if named is not None and own}
    rows = list(zip(found.numbers.tolist(), found.there.tolist(), found.by_name.tolist(), strict=True))
    for place, (own, named) in enumerate(fits):
        if place in told:
            rows[place] = (min(own), bool(named) or not kind.names_are_sure, False)
        elif named is not None and kind.names_are_sure:
            rows[place] = (0, False, False)
    entries = {column.entry_of(place) for place in told}
    return Owners.of(rows, [wrong for wrong in found.wrong if wrong.entry not in entries])


def _renumbered(
    kind: Images | Categories, column: Column, fits: list[Fits], texts: Mapping[Given, str]
) -> tuple[Owners, np.ndarray]:
    rows, wrong, others = [], [], []
    for place, (written, (own, named)) in enumerate(zip(column.written, fits, strict=True)):
        name = name_of(written, texts)
        if named is None:
            what = f"{kind.key} is {quoted(written)}, {FAULTS['not_own'].what}"
            wrong.append(Wrong(column.entry_of(place), "not_own", what))
        elif len(named) > 1 or not (named or kind.names_are_sure):
            fault = kind.fits_two if named else "no_category"
            what = (
                f"{kind.key} is {quoted(written)}, by its own list {quoted(name)}, which {FAULTS[fault].what}"
            )
            wrong.append(Wrong(column.entry_of(place), fault, what))
        rows.append((min(named or (), default=0), bool(named), True))
        others.append(bool(named) and named != own)
    return Owners.of(rows, wrong), np.array(others, bool)
