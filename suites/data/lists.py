"""The three lists of an annotation file, however they are put: as lists, as mappings by id, or in lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from sambench.evsam.errors import SambenchError
from sambench.suites.data.checks.problems import Problems, quoted
from sambench.suites.data.content import Content

LISTS = ("images", "annotations", "categories")


def lists_of(content: Content, problems: Problems) -> dict[str, list[msgspec.Raw]]:
    """Return the entries of each list of a file, undecoded; ``categories`` may not be there.

    Raises:
        SambenchError: it has none of the others.
    """
    found: dict[str, list[msgspec.Raw]] = {}
    for document in content.documents:
        try:
            top = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
        except (msgspec.ValidationError, UnicodeDecodeError):
            raise SambenchError(f"{content.path}: {_other(document)}") from None
        if len(content.documents) > 1 and (line := _line(top, document)) is not None:
            for key, entries in line.items():
                found.setdefault(key, []).extend(entries)
            continue
        for key in LISTS:
            if key in top and bytes(top[key]) != b"null":
                found.setdefault(key, []).extend(_entries(top[key], key, content.path, problems))
    if len(content.documents) > 1:  # each line may bring the categories with it
        found["categories"] = list({bytes(one): one for one in found.get("categories", ())}.values())
    lacking = [key for key in LISTS[:2] if key not in found]
    if lacking:
        keys = ", ".join(found) or "none of the three lists"
        raise SambenchError(
            f"{content.path}: not in COCO's format: it has no {' and no '.join(lacking)} (but {keys}). An "
            "annotation file is a mapping with the lists images, annotations and categories."
        )
    return found


def beside_lists(content: Content) -> dict[str, Any]:
    """Return what else a file holds, such as ``info`` and ``licenses``."""
    found: dict[str, Any] = {}
    for document in content.documents:
        top = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
        if any(key in top for key in LISTS):
            found |= {key: json.loads(bytes(raw)) for key, raw in top.items() if key not in LISTS}
    return found


def _line(entry: dict[str, msgspec.Raw], document: bytes) -> dict[str, list[msgspec.Raw]] | None:
    """Return what a line has for which list; ``None`` of one that has the lists themselves."""
    own = msgspec.Raw(document)
    if "image_id" in entry:
        return {"annotations": [own]}
    if "file_name" in entry or "coco_url" in entry:  # an image, perhaps with its annotations in it
        return {"images": [own], "annotations": _of_image(entry)}
    if any(key in entry for key in LISTS):
        return None
    return {"categories": [own]} if "name" in entry else {}


def _of_image(image: dict[str, msgspec.Raw]) -> list[msgspec.Raw]:
    """Return the annotations that lie in an image's line, each with its image."""
    if bytes(memoryview(image.get("annotations", msgspec.Raw()))[:1]) != b"[":
        return []
    inside = msgspec.json.decode(image["annotations"], type=list[dict[str, msgspec.Raw]])
    own = {"image_id": image["id"]} if "id" in image else {}
    return [msgspec.Raw(msgspec.json.encode(own | one)) for one in inside]


def _entries(raw: msgspec.Raw, key: str, path: Path, problems: Problems) -> list[msgspec.Raw]:
    """Return the entries of a list; of a mapping from ids to entries likewise."""
    first = memoryview(raw)[:1]
    if first == b"[":
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    if first == b"{":
        keyed = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        problems.add("keyed", f"{key} is a mapping of {len(keyed):,} ids to entries")
        return [_with_id(one, key) for key, one in keyed.items()]
    raise SambenchError(f"{path}: not in COCO's format: {key} is {quoted(bytes(raw))}, not a list.")


def _with_id(entry: msgspec.Raw, key: str) -> msgspec.Raw:
    """Give an entry the id that it was found under, if it has none of its own."""
    try:
        fields = msgspec.json.decode(entry, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return entry
    if "id" in fields:
        return entry
    return msgspec.Raw(msgspec.json.encode({"id": key, **fields}))


def _other(document: bytes) -> str:
    """Say what a file is that is no mapping."""
    start = document.lstrip()[:1]
    if start == b"[":
        return (
            "a list, such as a detector's results, not annotations in COCO's format. A detector's boxes are "
            "given with --detections; annotations are a mapping with images, annotations and categories."
        )
    return f"not in COCO's format but {quoted(document)}."
