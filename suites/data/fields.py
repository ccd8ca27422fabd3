"""The fields of an annotation file's entries, as tools write them, and what each value is meant as.

Each function returns what is meant and notes what was odd; of what cannot be meant it notes the fault.
"""

from __future__ import annotations

import math
import sys
from typing import Any

from sambench.suites.data.checks.problems import Problems, quoted
from sambench.suites.data.ids import MARKS, Given, as_id
from sambench.suites.data.segmentation import Box

UNKNOWN_BOX: Box = (math.nan, math.nan, math.nan, math.nan)
"""Of an annotation whose box is to be taken from its mask."""

SIDES = ("x", "y", "width", "height")

MOST_PIXELS = 2**32 - 1
"""Of an image: run lengths are counted in 32 bits (pycocotools, maskApi.h)."""


def is_number(value: object) -> bool:
    """Tell whether a JSON value is a finite number; an integer of hundreds of digits is none that fits."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def is_place(value: object) -> bool:
    """Tell whether a JSON value is a number of pixels that could be of an image."""
    return is_number(value) and abs(value) <= MOST_PIXELS  # type: ignore[arg-type]


def is_no_number(value: object) -> bool:
    """Tell whether a value is NaN or infinite, as Python's ``json`` writes it."""
    return isinstance(value, str) and value in MARKS


def size_of(height: object, width: object, who: str, problems: Problems) -> tuple[int | None, int | None]:
    """Return an image's stated height and width; ``None`` twice where they are to be seen from its file."""
    found: list[int | None] = []
    for key, value in (("height", height), ("width", width)):
        side = as_id(value)
        if value is None or side == 0:
            found.append(None)
        elif is_no_number(value):
            problems.add("not_a_number", f"{who}: {key} is {value}")
            return None, None
        elif type(side) is int and 0 < side <= MOST_PIXELS:
            if side is not value:
                problems.add("size_form", f"{who}: {key} {quoted(value)} is {side}")
            found.append(side)
        else:
            problems.add("malformed", f"{who}: {key} is {quoted(value)}, not a whole number of pixels")
            return None, None
    if None in found:
        problems.add("no_size", f"{who}: height is {quoted(height)}, width is {quoted(width)}")
        return None, None
    if found[0] * found[1] > MOST_PIXELS:  # type: ignore[operator]
        problems.add("malformed", f"{who}: {width} x {height} pixels are more than masks can be of")
        return None, None
    return found[0], found[1]


def name_of(value: object, given: Given, problems: Problems) -> str:
    """Return a category's name; one that has none goes by its id."""
    if isinstance(value, str) and value.strip():
        return value
    name = str(value) if is_number(value) else str(given)
    problems.add("category_name", f"category {quoted(given)}: name is {quoted(value)}, read as {name!r}")
    return name


def crowd_of(value: object, who: str, problems: Problems) -> int | None:
    """Return ``iscrowd`` as 0 or 1; ``None``, and a fault, where it is neither."""
    if type(value) is int and value in (0, 1):
        return value
    meant = {"false": 0, "true": 1}.get(value.strip().lower()) if isinstance(value, str) else None
    if value is None or isinstance(value, bool):
        meant = int(bool(value))
    elif meant is None and (number := as_id(value)) in (0, 1):
        meant = int(number)
    if meant is None:
        problems.add("malformed", f"{who}: iscrowd is {quoted(value)}, not 0 or 1")
    else:
        problems.add("crowd_form", f"{who}: iscrowd {quoted(value)} is {meant}")
    return meant


def area_of(value: Any, who: str, problems: Problems) -> float:
    """Return ``area``; NaN where it is to be taken from the mask."""
    if is_number(value) and value >= 0:
        return float(value)
    problems.add("area_from_mask", f"{who}: area is {quoted(value)}")
    return math.nan


def box_of(value: Any, who: str, problems: Problems) -> Box:
    """Return ``bbox``; `UNKNOWN_BOX` where there is none, with a fault where there is one that cannot be."""
    if value is None:
        problems.add("box_from_mask", f"{who}: it has no bbox")
        return UNKNOWN_BOX
    numbers = value
    if isinstance(value, dict) and all(side in value for side in SIDES):
        numbers = [value[side] for side in SIDES]
        problems.add("box_form", f"{who}: bbox is {quoted(value)}")
    if not isinstance(numbers, list) or len(numbers) != 4:
        problems.add("box_unusable", f"{who}: bbox is {quoted(value)}, not 4 numbers")
    elif all(map(is_place, numbers)):
        return (float(numbers[0]), float(numbers[1]), float(numbers[2]), float(numbers[3]))
    else:
        problems.add("box_unusable", f"{who}: bbox is {quoted(value)}")
    return UNKNOWN_BOX
