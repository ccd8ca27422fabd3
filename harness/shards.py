"""The bytes of a shard: records as Parquet, each row with what it belongs to."""

from __future__ import annotations

import hashlib
import io
import json
import re
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
FAILED = b"sambench.failed"  # and images that the model failed on: id, name and reason of each
SEAL = b"sambench.sha256"  # and the checksum of the file, itself left out of it
UNSEALED = b"0" * 64
IMAGES = b"sambench.images"  # of a shard that is begun: how many of its images are in it


def encode_shard(
    records: Sequence[Mapping[str, Any]],
    left_out: Mapping[str, int],
    schema: pa.Schema,
    labels: Mapping[str, str] | None = None,
    *,
    images: int | None = None,
    ids: TextIds | None = None,
    failed: Sequence[Mapping[str, Any]] = (),
) -> bytes:
    """Return the file of a shard: the same records give the same bytes.

    Args:
        records: in order.
        left_out: objects that are not scored, by reason.
        schema: of the records.
        labels: columns that say the same of every record; they compress to nothing.
        images: of a shard that is not finished, how many of its images are.
        ids: what to write in place of the numbers of some columns.
        failed: images without records because the model failed on them (see `store.Checked`).

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
    if failed:
        about[FAILED] = json.dumps(list(failed), sort_keys=True)
    if images is not None:
        about[IMAGES] = json.dumps(images)
    buffer = io.BytesIO()
    table = table.replace_schema_metadata(about)
    with pq.ParquetWriter(buffer, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        # Of the metadata of a schema Arrow keeps a copy, which the seal would have to be put into as well.
        writer.add_key_value_metadata({SEAL: UNSEALED})
    return _sealed(buffer.getvalue())


def is_whole(content: bytes) -> bool:
    """Tell whether a shard's file is what `encode_shard` returned, to the bit."""
    place = _seal(content)
    return place is not None and _sealed(content[: place[0]] + UNSEALED + content[place[1] :]) == content


def _sealed(content: bytes) -> bytes:
    """Put the checksum of all other bytes into a file whose seal is empty."""
    place = _seal(content)
    assert place is not None
    digest = hashlib.sha256(content).hexdigest().encode()
    return content[: place[0]] + digest + content[place[1] :]


def _seal(content: bytes) -> tuple[int, int] | None:
    """Find where the checksum stands: Parquet has metadata as they are, a key and its value, at the end."""
    found = re.compile(SEAL + rb"..([0-9a-f]{64})", re.DOTALL).search(content, max(content.rfind(SEAL), 0))
    return found and found.span(1)


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
    failed: list[dict[str, Any]] = field(default_factory=list)
    """Those of them that the model failed on."""


def decode_begun(content: bytes | None, schema: pa.Schema, ids: TextIds | None = None) -> Begun:
    """Return what `encode_shard` was given of a shard that is not finished; nothing of what is damaged."""
    if content is None:
        return Begun()
    try:
        table = as_numbers(pq.read_table(pa.BufferReader(content)), ids or {})
        about = table.schema.metadata
        left_out = Counter(json.loads(about[LEFT_OUT]))
        failed = json.loads(about.get(FAILED, b"[]"))
        return Begun(table.select(schema.names).to_pylist(), left_out, json.loads(about[IMAGES]), failed)
    except (pa.ArrowException, KeyError, TypeError, ValueError):
        return Begun()
