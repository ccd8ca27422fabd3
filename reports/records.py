"""The IoU of every scored object, read from the records of a cell."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sambench.reports.cells import Entry


def read_iou(entry: Entry) -> np.ndarray | None:
    """Return the IoUs of a cell: (N,) for one prompt an object, (N, clicks) for clicks.

    ``None`` where the records are missing, empty or unreadable: a report does without a figure.
    """
    if not entry.cell.records:
        return None
    shards = sorted((entry.folder / entry.cell.records).glob("*.parquet"))
    try:
        tables = [pq.read_table(shard, columns=["iou"]) for shard in shards]
        column = pa.concat_tables(tables).column("iou").combine_chunks() if tables else pa.array([])
    except (OSError, KeyError, pa.ArrowException):
        return None
    iou = _clicks(column) if pa.types.is_list(column.type) else column.to_numpy(zero_copy_only=False)
    return iou if len(iou) else None


def _clicks(column: pa.ListArray) -> np.ndarray:
    """Turn lists of IoUs into (N, most clicks); where one ends early, its last IoU is carried on."""
    lists = column.filter(pc.greater(pc.list_value_length(column), 0))
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    starts = np.cumsum(lengths) - lengths
    steps = np.minimum(np.arange(lengths.max(initial=0)), lengths[:, None] - 1)
    return flat[starts[:, None] + steps]
