"""The second, slower look at detections that do not parse: all that is wrong, the first of it shown."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sambench.evsam.errors import SambenchError
from sambench.suites.data.checks.problems import quoted
from sambench.suites.data.detected.kinds import FAULTS
from sambench.suites.data.ids import MARKS, as_id

KEYS = ("image_id", "category_id", "bbox", "score")
SHOWN = 20
"""Entries that a message names, over all kinds."""
LARGEST = 1e9
"""Pixels beyond which no image reaches; where products of such numbers overflow is not far."""


class Wrong(NamedTuple):
    """What is wrong with an entry."""

    entry: int
    """Its place in the list, from 0."""
    kind: str
    """Of `kinds.FAULTS`."""
    what: str


def look(listed: bytes) -> Iterator[Wrong]:
    """Find what is wrong in a JSON list of entries."""
    for place, entry in enumerate(json.loads(listed, parse_int=_whole)):
        for found in _wrong(entry):
            yield Wrong(place, *found)


def refusal(path: Path, found: Iterable[Wrong]) -> SambenchError:
    """Return an error that names faults: one in a sentence, several by kind, the first `SHOWN` of all."""
    counts: Counter[str] = Counter()
    shown: dict[str, list[Wrong]] = {}
    try:
        for wrong in found:
            counts[wrong.kind] += 1
            of_kind = shown.setdefault(wrong.kind, [])
            if not of_kind or sum(map(len, shown.values())) < SHOWN:
                of_kind.append(wrong)
    except RecursionError:
        return SambenchError(f"{path}: no file of detections but lists within lists, hundreds deep.")
    if counts.total() == 1:
        ((wrong,),) = shown.values()
        return SambenchError(f"{path}: entry {wrong.entry}: {wrong.what}. {FAULTS[wrong.kind].remedy}")
    lines = [f"{path}: {counts.total():,} faults."]
    for kind, examples in shown.items():
        left = counts[kind] - len(examples)
        more = f"; and {left:,} more such" if left else ""
        named = "; ".join(f"entry {wrong.entry}: {wrong.what}" for wrong in examples)
        lines.append(f"  {named}{more}. {FAULTS[kind].remedy}")
    return SambenchError("\n".join(lines))


def _wrong(entry: Any) -> Iterator[tuple[str, str]]:
    """Give the kind of each thing that is wrong with an entry, and what it is."""
    if not isinstance(entry, dict):
        yield "no_detection", f"{quoted(entry)} {FAULTS['no_detection'].what}"
        return
    if {"boxes", "scores"} <= entry.keys():
        yield "whole_image", FAULTS["whole_image"].what
        return
    missing = [key for key in KEYS if key not in entry]
    if missing:
        yield "missing", f"{FAULTS['missing'].what} {', '.join(missing)}"
    for key, (kind, is_right) in _RIGHT.items():
        if key not in entry:
            continue
        value = entry[key]
        if any(_is_not_finite(one) for one in (value if isinstance(value, list) else [value])):
            yield "not_finite", f"{key} is {quoted(value)}, {FAULTS['not_finite'].what}"
        elif not is_right(value):
            yield kind, f"{key} is {quoted(value)}, {FAULTS[kind].what}"
        elif key == "bbox" and min(value[2:]) < 0:
            yield "negative", f"bbox is {quoted(value)}, {FAULTS['negative'].what}"
        elif key == "bbox" and max(map(abs, value)) > LARGEST:
            yield "huge", f"bbox is {quoted(value)}, {FAULTS['huge'].what}"


def _whole(digits: str) -> float:
    """Read a whole number; one that no float can hold, and Python may refuse to read, counts as infinite."""
    return int(digits) if len(digits) <= sys.float_info.max_10_exp else math.inf


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_not_finite(value: Any) -> bool:
    if type(value) is float:
        return not math.isfinite(value)
    return value in MARKS if isinstance(value, str) else False


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value))


def _is_id(value: Any) -> bool:
    return as_id(value) is not None


_RIGHT: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "image_id": ("id", _is_id),
    "category_id": ("id", _is_id),
    "bbox": ("bbox", _is_box),
    "score": ("score", _is_number),
}
"""What a key's value has to be, and the kind of fault where it is not."""
