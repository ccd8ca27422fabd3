"""The bytes of a shard: records as Parquet, each row with what it belongs to."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sambench.evsam.errors import SambenchError
from sambench.suites.data.ids import TextIds

LEFT_OUT = b"sambench.left_out"  # Parquet metadata: objects not scored, by reason
IMAGES = b"sambench.images"  # of a shard that is begun: how many of its images are in it


def encode_shard(
    records: Sequence[Mapping[str, Any]],
    left_out: Mapping[str, int],
    schema: pa.Schema,
    labels: Mapping[str, str] | None = None,
    *,
    images: int | None = None,
    ids: TextIds | None = None,
) -> bytes:
    """Return the file of a shard: the same records give the same bytes.

    Args:
        records: in order.
        left_out: objects that are not scored, by reason.
        schema: of the records.
        labels: columns that say the same of every record; they compress to nothing.
        images: of a shard that is not finished, how many of its images are.
        ids: what to write in place of the numbers of some columns.

    Raises:
        SambenchError: a label has the name of a column.
    """
    table = as_given(pa.Table.from_pylist(list(records), schema=schema), ids or {})
    for name, value in (labels or {}).items():
        if name in schema.names:
            raise SambenchError(
                f"records have a column {name!r}, which says of every record what it belongs to. "
                "Name that of the suite otherwise."
            )
        column = pa.field(name, pa.dictionary(pa.int32(), pa.string()), nullable=False)
        index = pa.array(np.zeros(len(table), np.int32))
        table = table.append_column(column, pa.DictionaryArray.from_arrays(index, [value]))
    about = {LEFT_OUT: json.dumps(left_out, sort_keys=True)}
    if images is not None:
        about[IMAGES] = json.dumps(images)
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(about), buffer, compression="zstd")
    return buffer.getvalue()


def as_given(table: pa.Table, ids: TextIds) -> pa.Table:
    """Write ids as the annotation file has them, where numbers stand for them inside."""
    for name in ids.keys() & set(table.column_names):
        i, texts = table.column_names.index(name), ids[name]
        column = pa.array(
            [None if one is None else texts[one] for one in table[name].to_pylist()], pa.string()
        )
        table = table.set_column(i, pa.field(name, pa.string(), table.schema.field(i).nullable), column)
    return table


def as_numbers(table: pa.Table, ids: TextIds) -> pa.Table:
    """Undo `as_given`."""
    for name in ids.keys() & set(table.column_names):
        i, numbers = table.column_names.index(name), {text: n for n, text in ids[name].items()}
        column = pa.array(
            [None if one is None else numbers[one] for one in table[name].to_pylist()], pa.int64()
        )
        table = table.set_column(i, pa.field(name, pa.int64(), table.schema.field(i).nullable), column)
    return table


@dataclass
class Begun:
    """A shard that is not finished."""

    records: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    images: int = 0
    """How many of its images are in it, the first ones."""


def decode_begun(content: bytes | None, schema: pa.Schema, ids: TextIds | None = None) -> Begun:
    """Return what `encode_shard` was given of a shard that is not finished; nothing of what is damaged."""
    if content is None:
        return Begun()
    try:
        table = as_numbers(pq.read_table(pa.BufferReader(content)), ids or {})
        about = table.schema.metadata
        left_out = Counter(json.loads(about[LEFT_OUT]))
        return Begun(table.select(schema.names).to_pylist(), left_out, json.loads(about[IMAGES]))
    except (pa.ArrowException, KeyError, TypeError, ValueError):
        return Begun()
