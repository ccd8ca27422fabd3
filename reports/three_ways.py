"""The paper's figure 3 from runs: one image, a row for each model; by a point, by a box, and everything."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from sambench.reports.cells import Entry, provenance
from sambench.reports.gallery import image_of
from sambench.reports.outlines import decode
from sambench.reports.pictures import Cell, Row, draw
from sambench.reports.records import shards
from sambench.suites import naming

WAYS = {"click": "point", "gt_box": "box", "everything": "everything"}
"""Suite to what its column shows: the first click, the annotated box, all masks."""
LINE = 34  # letters of a row's label
MOST_MODELS = 6  # rows; the paper has three


def draw_three_ways(entries: Sequence[Entry]) -> bytes | None:
    """Draw the figure as PNG; ``None`` where no model was run in all three ways on one data set.

    The image is the one of everything mode whose largest object, prompted for by point and box, is largest.

    Raises:
        SambenchError: the image is not where it was, or is not the one that was annotated.
    """
    for dataset in dict.fromkeys(entry.cell.dataset for entry in entries):
        models = _models([entry for entry in entries if entry.cell.dataset == dataset])
        if models and (found := _image_and_object(next(iter(models.values())))):
            file_name, size, ann_id = found
            first = next(iter(models.values()))["gt_box"]
            image = image_of(first, file_name, size)
            rows = (_row(ways, file_name, ann_id) for ways in models.values())
            return draw(image, [row for row in rows if row is not None][:MOST_MODELS])
    return None


def _models(entries: Sequence[Entry]) -> dict[str, dict[str, Entry]]:
    """Return the models run in all three ways on the same images: label to suite to cell."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        cell = entry.cell
        if cell.suite in WAYS and cell.status == "done" and shards(entry):
            label = f"{cell.model} {provenance(cell, 'weights').get('sha256')} {cell.engine} {cell.precision}"
            found.setdefault(label, {}).setdefault(cell.suite, entry)
    return {label: ways for label, ways in found.items() if len(ways) == len(WAYS)}


def _image_and_object(ways: dict[str, Entry]) -> tuple[str, tuple[int, int], int] | None:
    """Choose an image that all three have records of, and its largest object."""
    seen = pc.unique(_table(ways["everything"], ["file_name"])["file_name"])
    clicked = set(_table(ways["click"], ["ann_id"])["ann_id"].to_pylist())
    boxed = _table(ways["gt_box"], ["file_name", "ann_id", "mask_area", "iscrowd", "segmentation"])
    rows = boxed.filter(pc.is_in(boxed["file_name"], seen)).to_pylist()
    rows = [row for row in rows if row["ann_id"] in clicked and not row["iscrowd"]]
    if not rows:
        return None
    best = max(rows, key=lambda row: row["mask_area"])
    height, width = json.loads(best["segmentation"])["size"]
    return best["file_name"], (height, width), best["ann_id"]


def _table(entry: Entry, columns: Sequence[str], rows: ds.Expression | None = None) -> pa.Table:
    """Read some columns of a cell's records, of some rows."""
    return ds.dataset(shards(entry)).to_table(columns=list(columns), filter=rows)


def _row(ways: dict[str, Entry], file_name: str, ann_id: int) -> Row | None:
    """Draw a model's row; ``None`` where it was run on other images or objects."""
    of_object = (ds.field("file_name") == file_name) & (ds.field("ann_id") == ann_id)
    clicks = _table(ways["click"], ["points", "segmentation", "iou"], of_object).to_pylist()
    boxes = _table(ways["gt_box"], ["box", "segmentation", "iou"], of_object).to_pylist()
    if not (clicks and boxes):
        return None
    (click,), (box,) = clicks, boxes
    of_image = _table(ways["everything"], ["kind", "segmentation"], ds.field("file_name") == file_name)
    if not of_image.num_rows:
        return None
    masks = of_image.filter(pc.equal(of_image["kind"], "mask"))["segmentation"].to_pylist()
    x, y = click["points"][0]
    x0, y0, x1, y1 = box["box"]
    cells = (
        Cell(f"point, IoU {click['iou'][0]:.2f}", [decode(click["segmentation"][0])], point=(x, y)),
        Cell(f"box, IoU {box['iou']:.2f}", [decode(box["segmentation"])], box=(x0, y0, x1, y1)),
        Cell(f"everything, {len(masks)} masks", [decode(one) for one in masks]),
    )
    words = [ways["gt_box"].name, *textwrap.wrap(", ".join(naming.departures(ways["gt_box"].cell)), LINE)]
    return Row("\n".join(words), cells)
