"""Objects worth a look: the worst, the best, those that models disagree on, with masks over the image.

Images go into the page only where the user asks for a gallery: data sets' licences are not ours to judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from sambench.adapters.images import read_image
from sambench.evsam.errors import SambenchError
from sambench.reports import outlines
from sambench.reports.cells import Entry, provenance
from sambench.reports.records import shards
from sambench.suites.data.annotations import read_annotations
from sambench.suites.data.masks import decode_segmentation
from sambench.suites.protocol import Protocol

SUITES = ("gt_box", "click")
"""Suites with a mask and an IoU an object."""

Object = tuple[int | str, int | str]
"""Image and annotation, as the records name them."""


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
    ann_id: int | str
    category: str
    size: str
    width: int
    height: int
    """Of the original image, pixels."""
    picture: str
    """The view, smaller, as a ``data:`` address."""
    view: tuple[float, float, float, float]
    """x, y, width, height: the part of the image around the object, pixels of the original."""
    answers: tuple[Answer, ...]
    truth: str = ""
    """The annotated mask, as an answer's ``outline``; empty where the annotations are not there."""


def choose(entries: Sequence[Entry], n: int) -> list[Shown]:
    """Return up to ``n`` objects of each kind, for each suite and data set; none where ``n`` is 0.

    Raises:
        SambenchError: images or records that are wanted are not there.
    """
    if not n:
        return []
    return [shown for peers in alike(entries) for shown in _of(peers, n)]


def alike(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Group the cells whose objects stand side by side: of one suite, data set, protocol and folder."""
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        cell = entry.cell
        if cell.suite in SUITES and cell.status == "done" and cell.records:
            images = str(provenance(cell, "images").get("path"))
            place = (cell.suite, cell.dataset, entry.protocol, images)
            groups.setdefault(place, []).append(entry)
    yield from groups.values()


def _of(peers: Sequence[Entry], n: int) -> Iterator[Shown]:
    """Choose among the objects that all of some cells have."""
    scored = [_last_iou(entry) for entry in peers]
    common = sorted(set.intersection(*(set(one) for one in scored)))
    if not common:
        return
    iou = np.array([[one[key] for one in scored] for key in common])
    chosen = {
        kind: [common[i] for i in order]
        for kind, order in _orders(iou, [image for image, _ in common], n).items()
    }
    keys = {key for its in chosen.values() for key in its}
    rows = [_rows(entry, keys) for entry in peers]
    truths = _truths(peers[0], keys, rows[0])
    for kind, its in chosen.items():
        yield from (_shown(kind, key, peers, [own[key] for own in rows], truths.get(key)) for key in its)


def _orders(iou: np.ndarray, images: Sequence[int | str], n: int) -> dict[str, list[int]]:
    """Choose the rows of (objects, models) IoUs, ``n`` a kind, each of an image of its own."""
    mean, spread = iou.mean(axis=1), np.ptp(iou, axis=1)
    ranked = {"worst": mean, "best": -mean}
    if iou.shape[1] > 1:
        ranked["disagreement"] = -spread
    found: dict[str, list[int]] = {}
    for kind, by in ranked.items():
        first: dict[int | str, int] = {}
        for i in np.argsort(by, kind="stable").tolist():
            first.setdefault(images[i], i)
            if len(first) == n:
                break
        found[kind] = list(first.values())
    return found


def _dataset(entry: Entry) -> ds.Dataset:
    files = shards(entry)
    if not files:
        raise SambenchError(
            f"{entry.folder / str(entry.cell.records)}: the records of {entry.label} are not there, and a "
            "gallery shows masks. Make the report where the run is, or without --gallery."
        )
    return ds.dataset(files)


def _last_iou(entry: Entry) -> dict[Object, float]:
    """Return each object's IoU, after the last click where there are several; crowds are left out."""
    table = _dataset(entry).to_table(columns=["image_id", "ann_id", "iscrowd", "iou"])
    table = table.filter(pc.invert(table["iscrowd"]))
    keys = zip(table["image_id"].to_pylist(), table["ann_id"].to_pylist(), strict=True)
    return dict(zip(keys, map(_last, table["iou"].to_pylist()), strict=True))


def _rows(entry: Entry, keys: set[Object]) -> dict[Object, dict[str, Any]]:
    """Return the records of some objects, whole."""
    wanted = ds.field("ann_id").isin([ann for _, ann in keys])
    rows = _dataset(entry).to_table(filter=wanted).to_pylist()
    return {(row["image_id"], row["ann_id"]): row for row in rows if (row["image_id"], row["ann_id"]) in keys}


def _truths(entry: Entry, keys: set[Object], rows: dict[Object, dict[str, Any]]) -> dict[Object, np.ndarray]:
    """Return the annotated masks, where the annotation file is still there and can be read."""
    path = Path(str(provenance(entry.cell, "annotations").get("path")))
    try:
        said = read_annotations(path)
        images, objects = said.image_ids.texts, said.annotation_ids.texts
        named = {
            (images.get(one.image_id, one.image_id), objects.get(one.id, one.id)): one
            for one in said.annotations
        }
        return {
            key: decode_segmentation(named[key].segmentation, _size(rows[key]), str(path))
            for key in keys & named.keys()
        }
    except SambenchError:
        return {}


def _size(row: dict[str, Any]) -> tuple[int, int]:
    height, width = json.loads(_last(row["segmentation"]))["size"]
    return height, width


def _last(value: Any) -> Any:
    return value[-1] if isinstance(value, list) else value


def _shown(
    kind: str,
    key: Object,
    peers: Sequence[Entry],
    rows: Sequence[dict[str, Any]],
    truth: np.ndarray | None,
) -> Shown:
    first, size = rows[0], _size(rows[0])
    masks = [outlines.decode(_last(row["segmentation"])) for row in rows]
    around = outlines.bounds(truth) if truth is not None else None
    view = outlines.view_around([around] if around else filter(None, map(outlines.bounds, masks)), size)
    image = image_of(peers[0], first["file_name"], size)
    answers = (
        Answer(
            label=entry.label,
            model=entry.cell.model,
            iou=float(_last(row["iou"])),
            outline=outlines.outline(mask),
            clicks=_clicks(row),
            box=tuple(row["box"]) if row.get("box") else None,
        )
        for entry, row, mask in zip(peers, rows, masks, strict=True)
    )
    return Shown(
        kind=kind,
        suite=peers[0].cell.suite,
        dataset=peers[0].cell.dataset,
        file_name=first["file_name"],
        ann_id=key[1],
        category=first.get("category") or "",
        size=first.get("size") or "",
        width=size[1],
        height=size[0],
        picture=outlines.picture(image, view),
        view=view,
        answers=tuple(answers),
        truth="" if truth is None else outlines.outline(truth),
    )


def _clicks(row: dict[str, Any]) -> tuple[tuple[float, float, bool], ...]:
    """Return the clicks that were made, at their pixels' centres."""
    points, labels = row.get("points") or [], row.get("labels") or []
    made = zip(points, labels, strict=True)
    return tuple((x + 0.5, y + 0.5, label == 1) for (x, y), label in made if label >= 0)


def image_of(entry: Entry, file_name: str, size: tuple[int, int]) -> np.ndarray:
    """Read an image of a cell's data set as the cell did, by its protocol's orientation.

    Args:
        entry: the cell.
        file_name: as annotated.
        size: (height, width) of the masks in its records.

    Raises:
        SambenchError: it is not where it was, or of another size.
    """
    orientation = entry.cell.protocol.get("orientation", Protocol.orientation)
    return read_image(_image_file(entry, file_name), size, orientation=orientation)


def _image_file(entry: Entry, file_name: str) -> Path:
    """Find an image of a cell's data set, named with or without its folder."""
    folder = Path(str(provenance(entry.cell, "images").get("path")))
    for file in (folder / file_name, folder / Path(file_name).name):
        if file.is_file():
            return file
    raise SambenchError(
        f"{folder / file_name}: no such image, and a gallery shows images. Put the data set where it was "
        "when the run was made, or leave out --gallery."
    )
