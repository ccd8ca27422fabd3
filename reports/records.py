"""What a cell's records say of every scored object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sambench.reports.cells import Entry


@dataclass(frozen=True)
class Scored:
    """The N objects of a cell, each after one prompt or after each of several clicks."""

    iou: np.ndarray
    """(N,) or (N, clicks)."""
    predicted: np.ndarray | None
    """What the model took the IoUs to be, of their shape; ``None`` where that was not recorded."""
    size: np.ndarray
    """(N,): the square root of the area that the protocol goes by, pixels; not a number where unknown."""
    image: np.ndarray
    """(N,) int64: each object's image; all of one where that was not recorded."""


def shards(entry: Entry) -> list[Path]:
    """Return the files of a cell's records, in their order; none where it has none, or they are gone."""
    return sorted((entry.folder / entry.cell.records).glob("*.parquet")) if entry.cell.records else []


def read_scored(entry: Entry) -> Scored | None:
    """Read the objects of a cell.

    ``None`` where the records are missing, empty or unreadable: a report does without a figure.
    """
    area = "mask_area" if entry.cell.protocol.get("area_source") == "mask" else "area"
    table = _read(entry, ["iou", "pred_iou", area, "image_id"])
    if table is None:
        return None
    iou = _numbers(table["iou"])
    predicted = _numbers(table["pred_iou"]) if "pred_iou" in table.column_names else None
    if predicted is not None and predicted.shape != iou.shape:
        predicted = None
    empty = np.full(len(iou), np.nan)
    with np.errstate(invalid="ignore"):
        size = np.sqrt(_numbers(table[area])) if area in table.column_names else empty
    known = "image_id" in table.column_names
    image = _of_images(table["image_id"]) if known else np.zeros(len(iou), np.int64)
    there = np.isfinite(iou).reshape(len(iou), -1).all(axis=1)
    if not there.any():
        return None
    return Scored(iou[there], None if predicted is None else predicted[there], size[there], image[there])


def _of_images(ids: pa.ChunkedArray) -> np.ndarray:
    """Return the ids of images, (n,) int64; where they are text, numbers that tell them apart."""
    if not pa.types.is_string(ids.type):
        return _numbers(ids).astype(np.int64)
    _, number = np.unique(ids.to_numpy(zero_copy_only=False), return_inverse=True)
    return number.astype(np.int64)


def _read(entry: Entry, columns: list[str]) -> pa.Table | None:
    """Read those of some columns that there are, of the objects with an IoU."""
    try:
        tables = [_of_shard(shard, columns) for shard in shards(entry)]
        table = pa.concat_tables(tables) if tables else pa.table({"iou": pa.array([], pa.float64())})
        column = table["iou"]
        lists = pa.types.is_list(column.type)
        there = pc.greater(pc.list_value_length(column), 0) if lists else pc.is_valid(column)
        table = table.filter(there)
    except (OSError, KeyError, pa.ArrowException):
        return None
    return table if len(table) else None


def _of_shard(shard: Path, columns: list[str]) -> pa.Table:
    with pq.ParquetFile(shard) as file:  # opened once; of many small ones that is most of the time
        known = file.schema_arrow.names
        return file.read([name for name in columns if name in known], use_threads=False)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Return numbers as (N,), or lists of them as (N, most of a list); null is not a number."""
    whole = column.combine_chunks()
    if pa.types.is_list(whole.type):
        return _clicks(whole)
    return np.asarray(whole.to_numpy(zero_copy_only=False))


def _clicks(column: pa.ListArray) -> np.ndarray:
    """Turn lists into (N, longest); where one ends early, its last number is carried on."""
    flat = column.flatten().to_numpy(zero_copy_only=False)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    starts = np.cumsum(lengths) - lengths
    steps = np.minimum(np.arange(lengths.max(initial=0)), np.maximum(lengths[:, None] - 1, 0))
    places = starts[:, None] + steps
    found = np.append(flat, np.nan)[np.minimum(places, len(flat))]
    return np.asarray(np.where(lengths[:, None] > 0, found, np.nan))
