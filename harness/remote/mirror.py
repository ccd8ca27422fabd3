"""A folder here that has what a place in a store has: brought up to date, and sent back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

from sambench.adapters.files import locked, write_atomic
from sambench.harness.remote.bucket import Bucket, StoreError, There
from sambench.harness.remote.journal import Journal
from sambench.harness.remote.lease import leased
from sambench.harness.results import encoded, folded
from sambench.harness.store import checked
from sambench.suites.results import CellResult, decode_results, load_results

RESULTS = "results.json"
"""Is not copied but put together, for every machine adds its own cells to it."""
LOCK = ".results.json.lock"
AT_ONCE = 8
"""Files on their way at a time."""
PROBE = ".sambench-writes-here"


class Mirror:
    """A run's folder here, and the place in a store that it mirrors.

    Files of records are the same bytes whoever computed them, so it does not matter whose copy arrives last.

    Args:
        folder: here.
        bucket: there.
    """

    def __init__(self, folder: Path, bucket: Bucket) -> None:
        self.folder, self.bucket = folder, bucket
        self._journal = Journal(folder.parent / "same.jsonl")
        self._before = folder.parent / "before.json"
        self._seen: dict[str, int] = {}
        """When folders changed that have nothing to send, in nanoseconds."""

    def probe(self) -> None:
        """See that the place can be written to.

        Raises:
            StoreError: it cannot.
        """
        name = f"{PROBE}-{time.time_ns()}"
        self.bucket.write(name, b"")
        self.bucket.remove(name)

    def pull(self, note: Callable[[str], None]) -> None:
        """Get what is there and not here, or is newer there; nothing that was changed here is lost.

        Raises:
            StoreError: the store does not answer.
            SambenchError: the disk cannot be written to.
        """
        there = self.bucket.list()
        for name in [name for name in self._journal.entries if name not in there]:
            self._journal.drop(name)  # it was removed there: it is sent again, for records are dear
        wanted = {name: one for name, one in there.items() if _is_mirrored(name) and self._lacks(name, one)}
        if wanted:
            size = sum(one.size for one in wanted.values())
            note(f"{self.bucket}: getting {len(wanted):,} files, {size / 1e6:,.1f} MB, into {self.folder}")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self._get, wanted, wanted.values()):
                pass
        self._take_times({name.rpartition("/")[0] for name in wanted if "/_scores-" in name})
        if RESULTS in there:
            self._fold()
        self._journal.save()

    def push(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Send what is here and not there, one file after the other.

        Args:
            stop: is asked after each file whether to leave the rest.

        Raises:
            StoreError: the store does not answer; what was sent is sent.
        """
        for name in self._unsent():
            self._put(name)
            if stop():
                return

    def push_all(self) -> None:
        """Send what is here and not there, several files at once.

        Raises:
            StoreError: the store does not answer; what was sent is sent.
        """
        self._seen.clear()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self._put, list(self._unsent())):
                pass
        there = self.bucket.list()
        for name, known in self._journal.entries.items():
            if known.print is None and name in there:
                self._journal.entries[name] = replace(known, print=there[name].print)
        self._journal.save()

    def share_results(self) -> None:
        """Add this machine's cells to the results there, and those there to the ones here.

        Raises:
            StoreError: the store does not answer.
            SambenchError: another machine has locked them all the time.
        """
        with leased(self.bucket, LOCK):
            self._fold(send=True)

    def remove(self, names: Sequence[str]) -> None:
        """Remove files, and all of folders, there.

        Raises:
            StoreError: the store does not answer.
        """
        parts = {PurePosixPath(name) for name in names}
        for name in self.bucket.list():
            path = PurePosixPath(name)
            if parts & {path, *path.parents}:
                self.bucket.remove(name)
                self._journal.drop(name)
        self._journal.save()

    def _lacks(self, name: str, there: There) -> bool:
        """Tell whether a file is to be had from the store."""
        file, known = self.folder / name, self._journal.entries.get(name)
        if not file.exists():
            return True
        if known is None or not known.is_of(file):
            return False  # made or changed here: it is to be sent
        if known.print is None:  # of a crash; those of its size are most likely the ones that were sent
            return known.size != there.size
        return known.print != there.print

    def _get(self, name: str, there: There) -> None:
        content = self.bucket.read(name)
        if content is None:  # removed meanwhile
            return
        file = self.folder / name
        write_atomic(file, content)
        if there.changed is not None:
            os.utime(file, (there.changed, there.changed))
        self._journal.note(name, len(content), file.stat().st_mtime_ns, there.print)

    def _put(self, name: str) -> None:
        file = self.folder / name
        try:
            stat = file.stat()  # before it is read: what is changed meanwhile is sent again
            self.bucket.put(name, file)
        except (OSError, StoreError):
            if file.exists():
                raise
            return  # removed meanwhile
        self._journal.note(name, stat.st_size, stat.st_mtime_ns, None)

    def _unsent(self) -> Iterator[str]:
        """Find files that are not there as they are here, looking only into folders that changed."""
        for path, folders, files in os.walk(self.folder):
            folders.sort()
            changed = os.stat(path).st_mtime_ns
            if self._seen.get(path) == changed:
                continue
            relative = Path(path).relative_to(self.folder)
            for file in sorted(files):
                name = (relative / file).as_posix()
                known = self._journal.entries.get(name)
                if _is_mirrored(name) and (known is None or not known.is_of(self.folder / name)):
                    yield name
            if time.time_ns() - changed > 10**10:  # else two changes may have one time
                self._seen[path] = changed

    def _take_times(self, cells: set[str]) -> None:
        """Give shards the times that their cell's scores know them by, so that they are not scored again.

        Those of a damaged one are not taken, and it is found.
        """
        for cell in cells:
            scores = max((self.folder / cell).glob("_scores-*.json"), key=lambda f: f.stat().st_mtime)
            try:
                facts = [
                    (str(n), int(size), int(at)) for n, size, at in json.loads(scores.read_bytes())["shards"]
                ]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            for shard, size, at in facts:
                self._take_time(f"{cell}/{shard}", size, at)

    def _take_time(self, name: str, size: int, at: int) -> None:
        file, known = self.folder / name, self._journal.entries.get(name)
        if (
            known is None
            or not known.is_of(file)
            or (known.size, known.time) == (size, at)
            or known.size != size
        ):
            return
        if checked(file) is not None:
            os.utime(file, ns=(at, at))
            self._journal.note(name, size, file.stat().st_mtime_ns, known.print)

    def _fold(self, *, send: bool = False) -> None:
        """Put the results here and there together: here, and if asked there."""
        file = self.folder / RESULTS
        with locked(file):
            content = self.bucket.read(RESULTS)
            if content is None and not file.exists():
                return
            theirs = [] if content is None else decode_results(content, f"{self.bucket}/{RESULTS}")
            mine = _cells_of(file)
            before = [] if content is None else _cells_of(self._before)
            cells = folded(theirs, before, mine)
            made = encoded(cells)
            if send and (content is None or cells != theirs):
                self.bucket.write(RESULTS, made)
            if cells != mine:
                write_atomic(file, made)
            if same := made if send else content:
                write_atomic(self._before, same)


def _is_mirrored(name: str) -> bool:
    """Tell whether a file is one to copy: no lock, nothing temporary, no part of an unfinished shard."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.suffix != ".part" and name != RESULTS


def _cells_of(file: Path) -> list[CellResult]:
    return load_results(file) if file.exists() else []
