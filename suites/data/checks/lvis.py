"""What LVIS adds to COCO's format: classes known to be absent or not all annotated, and frequencies."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sambench.suites.data.annotations import Annotations, ImageRecord
from sambench.suites.data.checks.problems import Finding, quoted
from sambench.suites.data.ids import Ids, as_id

LISTS = ("neg_category_ids", "not_exhaustive_category_ids")
FREQUENCIES = ("r", "c", "f")


def looks_like_lvis(content: Annotations) -> bool:
    """Tell whether a file has some of the fields."""
    some = any(memoryview(getattr(image, key)) for image in content.images for key in LISTS)
    return some or any(category.frequency is not None for category in content.categories or ())


def lacking(content: Annotations) -> Iterator[Finding]:
    """Yield what lacks of the fields."""
    for image in content.images:
        for key in LISTS:
            if not isinstance(value := _value(image, key), list):
                yield "lvis_fields", f"image {image.id}: {key} is {quoted(value)}"
    for category in content.categories or ():
        if category.frequency not in FREQUENCIES:
            yield "lvis_fields", f"category {category.id}: frequency is {quoted(category.frequency)}"


def unlisted(content: Annotations) -> Iterator[Finding]:
    """Yield categories that images name and the file does not list; AP passes over them."""
    known = {category.id for category in content.categories or ()}
    for image in content.images:
        for key in LISTS:
            value = _value(image, key)
            for one in value if isinstance(value, list) else ():
                if number_of(one, content.category_ids) not in known:
                    yield "unknown_category", f"image {image.id}: {key} has {quoted(one)}"
                    break


def number_of(value: object, ids: Ids) -> int | None:
    """Return what stands for an id that is written somehow; ``None`` of what is none."""
    given = as_id(value)
    return None if given is None else ids.number(given)


def _value(image: ImageRecord, key: str) -> object:
    raw = getattr(image, key)
    return msgspec.json.decode(raw) if memoryview(raw) else None
