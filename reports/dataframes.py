"""Results and records as tidy tables of pandas. `sambench.reports.frames` is the way in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sambench.adapters.extras import missing
from sambench.evsam.errors import SambenchError
from sambench.reports.cells import Entry, provenance, read_runs
from sambench.reports.records import shards
from sambench.suites.determinism import bound
from sambench.suites.scoring.scores import Metric

if TYPE_CHECKING:
    import pandas as pd

RESULTS = (
    *("run", "model", "label", "engine", "precision", "device", "weights"),
    *("suite", "dataset", "protocol", "metric", "title", "unit", "value", "low", "high", "bound"),
    *("n_images", "n_instances", "n_failed_images", "status", "reason", "partial"),
)
"""The columns of `Frames.results`; docs/notebook.md has each in words."""

LABELS = ("run", "model", "label", "engine", "precision", "suite", "dataset", "protocol")
"""What rows of records say of their cell."""

RECORDED = (
    pa.field("file_name", pa.string()),
    pa.field("image_id", pa.int64()),
    pa.field("ann_id", pa.int64()),
    pa.field("category", pa.string()),
    pa.field("size", pa.string()),
    pa.field("area", pa.float64()),
)
"""What they say of the object."""

ANSWERED = (
    pa.field("iou", pa.float64()),
    pa.field("boundary_iou", pa.float64()),
    pa.field("pred_iou", pa.float64()),
)
"""And of an answer; of clicks the records have lists of these."""

MASK = pa.field("segmentation", pa.string())


class Frames(NamedTuple):
    """What runs hold, for a notebook."""

    results: pd.DataFrame
    """A row a cell and metric; one without a metric of a cell that has no number."""
    records: pd.DataFrame
    """A row an object, and click where there are clicks, of suites that score objects by an IoU."""


def read_frames(runs: Sequence[str | Path], *, masks: bool) -> Frames:
    """Read runs; see `sambench.reports.frames`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise missing("frames", error, "report") from None
    if not runs:
        raise SambenchError("frames: no run was given; name the --out folder of a run.")
    entries = read_runs([Path(run) for run in runs])
    rows = [row for entry in entries for row in _results(entry)]
    return Frames(pd.DataFrame(rows, columns=list(RESULTS)), _records(entries, masks))


def _results(entry: Entry) -> Iterator[dict[str, Any]]:
    cell, weights = entry.cell, provenance(entry.cell, "weights")
    base = _labels(entry) | {
        "device": cell.device,
        "weights": weights.get("sha256") or weights.get("source"),
        "n_images": cell.n_images,
        "n_instances": cell.n_instances,
        "n_failed_images": cell.n_failed_images,
        "status": cell.status,
        "reason": cell.reason,
        "partial": cell.partial is not None,
    }
    known = {metric.name: metric for metric in (cell.about.metrics if cell.about else ())}
    names = [*(name for name in known if name in cell.metrics), *(n for n in cell.metrics if n not in known)]
    for name in names:
        metric = known.get(name) or Metric(name, name)
        low, high = cell.intervals.get(name, (None, None))
        number = {"value": cell.metrics[name], "low": low, "high": high, "bound": bound(cell, name)}
        yield base | {"metric": name, "title": metric.full_title, "unit": metric.unit} | number
    if not names:
        yield base


def _labels(entry: Entry) -> dict[str, str]:
    cell = entry.cell
    values = (entry.run, cell.model, entry.label, cell.engine, cell.precision)
    return dict(zip(LABELS, (*values, cell.suite, cell.dataset, entry.protocol), strict=True))


def _records(entries: Sequence[Entry], masks: bool) -> pd.DataFrame:
    answered = (*ANSWERED, MASK) if masks else ANSWERED
    labels = [pa.field(name, pa.string()) for name in LABELS]
    schema = pa.schema([*labels, *RECORDED, pa.field("click", pa.int64()), *answered])
    tables = [
        _labelled(table, entry).select(schema.names).cast(schema)
        for entry in entries
        for table in _answers(entry, answered)
    ]
    frame = pa.concat_tables(tables or [schema.empty_table()]).to_pandas()
    return frame.astype({"click": "Int64"})


def _labelled(table: pa.Table, entry: Entry) -> pa.Table:
    for name, value in _labels(entry).items():
        table = table.append_column(name, pa.repeat(value, len(table)))
    return table


def _answers(entry: Entry, answered: Sequence[pa.Field]) -> Iterator[pa.Table]:
    """Read a cell's files, a row an answer; none of a suite whose records have no IoU of objects."""
    for file in shards(entry):
        try:
            there = pq.read_schema(file).names
            if not {"iou", "ann_id"} <= set(there):
                return
            wanted = [field.name for field in (*RECORDED, *answered)]
            table = pq.read_table(file, columns=[name for name in wanted if name in there])
        except (OSError, pa.ArrowException) as error:
            raise SambenchError(
                f"{file}: cannot be read as records ({error}). Remove it and run the same command again."
            ) from None
        yield _a_row_an_answer(table, (*RECORDED, *answered))


def _a_row_an_answer(table: pa.Table, fields: Sequence[pa.Field]) -> pa.Table:
    """Unfold lists, numbered from 1 in ``click``; columns that records of before have not are null."""
    lists = [field.name for field in table.schema if pa.types.is_list(field.type)]
    if lists:
        column = table["iou"].combine_chunks()
        lengths = pc.list_value_length(column).to_numpy()
        own = np.repeat(np.arange(len(table)), lengths)
        clicks = pa.array(np.arange(len(own)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + 1)
        flat = {name: table[name].combine_chunks().flatten() for name in lists}
        table = table.drop_columns(lists).take(own)
        for name, values in flat.items():
            table = table.append_column(name, values)
    else:
        clicks = pa.nulls(len(table), pa.int64())
    for field in fields:
        if field.name not in table.column_names:
            table = table.append_column(field.name, pa.nulls(len(table), field.type))
    return table.append_column("click", clicks)
