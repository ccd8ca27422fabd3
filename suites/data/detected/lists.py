"""Where the list of detections is: it may be the whole file, in lines, within an object, or one an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sambench.evsam.errors import SambenchError
from sambench.suites.data.content import Content
from sambench.suites.data.detected.faults import KEYS
from sambench.suites.data.ids import Given, as_id

WRAPPERS = ("annotations", "predictions", "results", "detections")
"""Keys under which tools put the list; exports of predictions as a COCO data set have the first."""
_FORMAT = f"A file of detections is a list of objects with {', '.join(KEYS)}"


class _Scored(msgspec.Struct, gc=False):
    score: msgspec.Raw = msgspec.Raw()


@dataclass(frozen=True)
class OwnLists:
    """What a file that is a whole data set, of detections, says of its own ids."""

    files: Mapping[Given, str] = field(default_factory=dict)
    """Its images' ids and files."""
    names: Mapping[Given, str] = field(default_factory=dict)
    """Its categories' ids and names."""


def list_of(content: Content) -> tuple[bytes, dict[str, int], OwnLists]:
    """Return the JSON list of a file's entries, what was changed to have it, and the file's own lists.

    Raises:
        SambenchError: there is no such list.
    """
    findings = {name: 1 for name, _ in content.findings}
    if len(content.documents) > 1:
        return _joined(content), findings, OwnLists()
    document = content.documents[0].strip()
    if document.startswith(b"["):
        return document, findings, OwnLists()
    if not document.startswith(b"{"):
        value = document.decode()
        shown = value if len(value) <= 40 else value[:40] + "..."
        raise SambenchError(f"{content.path}: {shown} is not a list of detections. {_FORMAT}.")
    parts = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    if parts.keys() >= set(KEYS):
        return b"[%b]" % document, findings | {"lines": 1}, OwnLists()
    lists = {key: bytes(raw) for key, raw in parts.items() if bytes(memoryview(raw)[:1]) == b"["}
    for key in WRAPPERS:
        if key in lists and _are_results(lists, key):
            return lists[key], findings | {"wrapped": 1}, _own(lists)
    if parts and len(lists) == len(parts) and not {*WRAPPERS, "images", "boxes"} & parts.keys():
        entries = _keyed(document)
        if entries is not None:
            return entries, findings | {"keyed": len(parts)}, OwnLists()
    raise SambenchError(f"{content.path}: {_explain(parts)}")


def _joined(content: Content) -> bytes:
    lines = [line.strip() for line in content.documents]
    if all(line.startswith(b"{") for line in lines):
        return b"[%b]" % b",".join(lines)
    if all(line.startswith(b"[") for line in lines):  # a list an image
        return b"[%b]" % b",".join(inner for line in lines if (inner := line[1:-1].strip()))
    number = next(i for i, line in enumerate(lines, start=1) if not line.startswith(b"{"))
    raise SambenchError(
        f"{content.path}: line {number} is not a detection. A file in lines has one object with "
        f"{', '.join(KEYS)} a line."
    )


def _are_results(lists: Mapping[str, bytes], key: str) -> bool:
    """Whether a list is of results, which have scores, and not of annotations."""
    try:
        entries = msgspec.json.decode(lists[key], type=list[_Scored])
    except msgspec.ValidationError:
        return False
    return any(memoryview(e.score).nbytes for e in entries) or (not entries and "images" not in lists)


def _own(lists: Mapping[str, bytes]) -> OwnLists:
    return OwnLists(
        _texts_by_id(lists.get("images", b"[]"), "file_name"),
        _texts_by_id(lists.get("categories", b"[]"), "name"),
    )


def _texts_by_id(raw: bytes, key: str) -> dict[Given, str]:
    try:
        entries = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return {}
    named = [e for e in entries if isinstance(e, dict) and isinstance(e.get(key), str) and e[key].strip()]
    return {given: e[key] for e in named if (given := as_id(e.get("id"))) is not None}


def _keyed(document: bytes) -> bytes | None:
    """Give the entries of lists by image their image, where they lack it; ``None`` where there are none."""
    try:
        lists = msgspec.json.decode(document, type=dict[str, list[dict[str, Any]]])
    except (msgspec.MsgspecError, RecursionError):
        return None
    entries = [{"image_id": key} | entry for key, found in lists.items() for entry in found]
    return msgspec.json.encode(entries) if entries else None


def _explain(parts: Mapping[str, Any]) -> str:
    if "annotations" in parts:
        return (
            "an annotation file, not detections: its annotations have no score. Give it with --annotations; "
            "this takes a detector's boxes."
        )
    if {"boxes", "scores"} <= parts.keys():
        return (
            "the boxes of one image, as torchvision returns them. Write an entry for each box: corners "
            f"x0, y0, x1, y1 become [x0, y0, x1 - x0, y1 - y0]. {_FORMAT}."
        )
    keys = ", ".join(list(parts)[:8]) or "nothing in it"
    return f"an object with {keys}, not a list of detections. {_FORMAT}."
