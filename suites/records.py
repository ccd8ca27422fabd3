"""The records of a cell, as scoring reads them: a shard at a time, as often as is asked, never all held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa

Shard = Callable[[Sequence[str]], pa.Table]
"""Reads some columns of a part of the records."""


@dataclass(frozen=True)
class Records:
    """Tables that follow each other, each read when its turn comes.

    An image's records lie in one of them, and images follow each other by rising id.
    """

    shards: Sequence[Shard]
    """Each reads one, the columns that it is given."""
    columns: tuple[str, ...]
    """That there are."""

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Return a table that is there as the only one."""
        return cls((lambda columns: table.select(list(columns)),), tuple(table.column_names))

    def each(self, columns: Sequence[str] = ()) -> Iterator[pa.Table]:
        """Read one after the other; all columns where none is named."""
        for read in self.shards:
            yield read(columns or self.columns)

    def table(self, columns: Sequence[str] = ()) -> pa.Table:
        """Return some columns of all at once: of ten million objects, ten numbers each are 0.8 GB."""
        return pa.concat_tables(self.each(columns))
