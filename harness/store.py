"""Records in shards that are written once and whole."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sambench.evsam.errors import SambenchError
from sambench.suites.files import write_atomic

LEFT_OUT = b"sambench.left_out"  # Parquet metadata: objects not scored, by reason


def encode_shard(
    records: Sequence[Mapping[str, Any]],
    left_out: Mapping[str, int],
    schema: pa.Schema,
    labels: Mapping[str, str] | None = None,
) -> bytes:
    """Return the file of a shard: the same records give the same bytes.

    Args:
        records: in order.
        left_out: objects that are not scored, by reason.
        schema: of the records.
        labels: columns that say the same of every record.

    Raises:
        SambenchError: a label has the name of a column.
    """
    table = pa.Table.from_pylist(list(records), schema=schema)
    for name, value in (labels or {}).items():
        if name in schema.names:
            raise SambenchError(
                f"records have a column {name!r}, which says of every record what it belongs to. "
                "Name that of the suite otherwise."
            )
        field = pa.field(name, pa.dictionary(pa.int32(), pa.string()), nullable=False)
        index = pa.array(np.zeros(len(table), np.int32))
        table = table.append_column(field, pa.DictionaryArray.from_arrays(index, [value]))
    table = table.replace_schema_metadata({LEFT_OUT: json.dumps(left_out, sort_keys=True)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


@dataclass(frozen=True)
class CellStore:
    """The shards of one cell.

    Attributes:
        folder: named after the cell and a digest of everything that decides its records.
        shards: how many there are when it is finished.
    """

    folder: Path
    shards: int

    def path(self, shard: int) -> Path:
        """Return a shard's file."""
        return self.folder / f"{shard:05d}-of-{self.shards:05d}.parquet"

    def has(self, shard: int) -> bool:
        """Tell whether a shard is finished; one that is there is whole."""
        return self.path(shard).exists()

    def finished(self) -> int:
        """Count the finished shards."""
        return sum(self.has(i) for i in range(self.shards))

    def describe(self, key: Mapping[str, Any]) -> None:
        """Write down, beside the records, what decides them."""
        text = json.dumps(key, indent=2, sort_keys=True) + "\n"
        write_atomic(self.folder / "cell.json", text.encode())

    def write(self, shard: int, content: bytes) -> None:
        """Write a shard's file (see `encode_shard`)."""
        write_atomic(self.path(shard), content)

    def read(self) -> tuple[pa.Table, Counter[str]]:
        """Return all records in order, and the objects left out by reason.

        Raises:
            SambenchError: a shard is damaged.
        """
        tables = []
        left_out: Counter[str] = Counter()
        for shard in range(self.shards):
            try:
                table = pq.read_table(self.path(shard))
            except (OSError, pa.ArrowException) as error:
                raise SambenchError(
                    f"{self.path(shard)}: damaged ({error}). Remove it and run again."
                ) from None
            left_out.update(json.loads(table.schema.metadata[LEFT_OUT]))
            tables.append(table.replace_schema_metadata(None))
        return pa.concat_tables(tables), left_out
