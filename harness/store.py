"""What there is of a cell on disk: records in shards, written once and whole, and what was made of them.

A folder of shards opens as it lies with whatever reads Parquet: names that begin with ``_`` are passed over.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sambench.adapters.files import remove_leftovers, write_atomic
from sambench.evsam.errors import SambenchError
from sambench.harness.secrets import without_secrets
from sambench.harness.shards import FAILED, LEFT_OUT, as_numbers, is_whole
from sambench.suites.data.ids import TextIds
from sambench.suites.records import Records

READERS = 8
"""Shards that are read at once to be checked."""


class DamagedError(SambenchError):
    """Shards that are not what was written.

    Attributes:
        shards: which.
    """

    def __init__(self, shards: Sequence[int], paths: Sequence[Path]) -> None:
        more = f" ({len(paths)} such)" if len(paths) > 1 else ""
        super().__init__(f"{paths[0]}: damaged{more}. The same 'sambench run' computes it again.")
        self.shards = tuple(shards)


@dataclass(frozen=True)
class Checked:
    """What records come to before they are scored: those of a shard, or all of a cell."""

    rows: int
    left_out: Counter[str]
    """Objects that are not scored, by reason."""
    failed: list[dict[str, Any]]
    """Images that the model failed on: ``image_id``, ``file_name`` and ``reason`` of each."""
    failed_in: list[int]
    """Shards that have such."""


@dataclass(frozen=True)
class CellStore:
    """The shards of one cell, and what belongs to them.

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

    @property
    def is_whole(self) -> bool:
        """Whether all records are there."""
        return self.finished() == self.shards

    def write(self, shard: int, content: bytes) -> None:
        """Write a shard's file (see `encode_shard`)."""
        write_atomic(self.path(shard), content)
        self._begun(shard).unlink(missing_ok=True)

    def begin(self, shard: int, content: bytes) -> None:
        """Write what there is of a shard that takes long."""
        write_atomic(self._begun(shard), content)

    def begun(self, shard: int) -> bytes | None:
        """Return what an earlier command has of a shard that it did not finish."""
        try:
            return self._begun(shard).read_bytes()
        except OSError:
            return None

    def check(self) -> Checked:
        """See that all records are whole, and count what scoring must know of them.

        Raises:
            DamagedError: some shards are not.
        """
        left_out: Counter[str] = Counter()
        rows, failed, failed_in, damaged = 0, list[dict[str, Any]](), list[int](), list[int]()
        for shard, one in enumerate(self._read_all(range(self.shards))):
            if one is None:
                damaged.append(shard)
                continue
            left_out.update(one.left_out)
            failed += one.failed
            failed_in += [shard] if one.failed else []
            rows += one.rows
        if damaged:
            raise DamagedError(damaged, [self.path(shard) for shard in damaged])
        return Checked(rows, left_out, failed, failed_in)

    def damaged(self) -> list[int]:
        """Return the shards that are there and not what was written."""
        there = [shard for shard in range(self.shards) if self.has(shard)]
        return [s for s, one in zip(there, self._read_all(there), strict=True) if one is None]

    def _read_all(self, shards: Iterable[int]) -> Iterator[Checked | None]:
        """Check shards, several at once: of a disk that is far away it is the waiting that takes time."""
        with ThreadPoolExecutor(READERS) as pool:
            yield from pool.map(lambda shard: checked(self.path(shard)), shards)

    def discard(self, shard: int) -> None:
        """Remove a shard, so that it is computed again."""
        self.path(shard).unlink(missing_ok=True)

    def records(self, columns: Sequence[str] = (), ids: TextIds | None = None) -> Records:
        """Return all records in order.

        Args:
            columns: those of them that are to be had; all by default.
            ids: what some columns have in place of numbers (see `shards.as_numbers`).
        """
        columns = columns or pq.read_schema(self.path(0)).names
        readers = [functools.partial(self._shard, shard, ids or {}) for shard in range(self.shards)]
        return Records(readers, tuple(columns))

    def _shard(self, shard: int, ids: TextIds, columns: Sequence[str]) -> pa.Table:
        try:
            with pq.ParquetFile(self.path(shard)) as file:  # for small files twice as fast as `read_table`
                table = file.read(list(columns), use_threads=False)
        except (OSError, pa.ArrowException):
            raise DamagedError([shard], [self.path(shard)]) from None
        return as_numbers(table.replace_schema_metadata(None), ids)

    def describe(self, key: Mapping[str, Any]) -> None:
        """Write down, beside the records, what decides them; shards follow."""
        remove_leftovers(self.folder)
        self._write("cell", key)

    def refuse(self, reason: str) -> None:
        """Keep why the model cannot take part, which is as much decided by the key as records are."""
        self._write("not_applicable", {"reason": reason})

    def refusal(self) -> str | None:
        """Return why the model cannot take part, if that is known."""
        return (self._read("not_applicable") or {}).get("reason")

    def keep_scores(self, digest: str, scores: Mapping[str, Any]) -> None:
        """Keep what was made of the records, as they are."""
        self._write(f"scores-{digest}", {"shards": self._facts(), "scores": scores})

    def scores(self, digest: str) -> dict[str, Any] | None:
        """Return what was made of the records, unless that is unknown or they are others now."""
        found = self._read(f"scores-{digest}")
        if found is None or found.get("shards") != self._facts():
            return None
        scores: dict[str, Any] = found["scores"]
        evidence = scores.get("evidence")
        return None if evidence and not (self.folder / evidence).exists() else scores

    def keep_evidence(self, digest: str, content: bytes) -> str:
        """Keep what the scores are made of (`suites.scoring.evidence`), and return the file's name."""
        name = f"_evidence-{digest}.npz"
        write_atomic(self.folder / name, content)
        return name

    def keep_session(self, name: str, session: Mapping[str, Any]) -> None:
        """Keep what a command that computes some of the records says of itself (see `session_name`)."""
        self._write(name, session)

    def sessions(self) -> list[dict[str, Any]]:
        """Return what the commands that computed the records said, the first one first."""
        found = (
            self._read(file.stem.removeprefix("_")) for file in sorted(self.folder.glob("_session-*.json"))
        )
        return [session for session in found if session is not None]

    def _begun(self, shard: int) -> Path:
        return self.folder / f"_begun-{shard:05d}-of-{self.shards:05d}.part"

    def _facts(self) -> list[list[Any]]:
        """Name, size and time of each shard."""
        stats = [(self.path(i).name, self.path(i).stat()) for i in range(self.shards)]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        text = json.dumps(without_secrets(content), indent=1) + "\n"
        write_atomic(self.folder / f"_{name}.json", text.encode())

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            content = json.loads((self.folder / f"_{name}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None


def checked(path: Path) -> Checked | None:
    """Return what a shard says of itself; ``None`` where it is not what was written, or cannot be read."""
    try:
        content = path.read_bytes()
        about = pq.read_metadata(pa.BufferReader(content))
        left_out = Counter[str](json.loads(about.metadata[LEFT_OUT]))
        failed = json.loads(about.metadata.get(FAILED, b"[]"))
        return Checked(about.num_rows, left_out, failed, []) if is_whole(content) else None
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None


def session_name() -> str:
    """Return a name for what this command says of itself; those of a folder sort by time."""
    return f"session-{time.time_ns()}-{platform.node()}-{os.getpid()}"
