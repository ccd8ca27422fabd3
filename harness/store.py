"""Records in shards that are written once and whole."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sambench.evsam.errors import SambenchError
from sambench.suites.files import remove_leftovers, write_atomic

LEFT_OUT = b"sambench.left_out"  # Parquet metadata: objects not scored, by reason


def encode_shard(
    records: Sequence[Mapping[str, Any]], left_out: Mapping[str, int], schema: pa.Schema
) -> bytes:
    """Return the file of a shard: the same records give the same bytes.

    Args:
        records: in order.
        left_out: objects that are not scored, by reason.
        schema: of the records.
    """
    schema = schema.with_metadata({LEFT_OUT: json.dumps(left_out, sort_keys=True)})
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(records), schema=schema), buffer, compression="zstd")
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
        """Write down, beside the records, what decides them; shards follow."""
        remove_leftovers(self.folder)
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
