"""Processes that read images, and hand pixels over without copying them.

What a process has read is laid into a piece of memory that has no name, and whoever gets its descriptor maps
the same pages: nothing is left of it once neither side holds it, however they end. A process imports
no torch, so it starts in a fraction of a second; those of torch (`harness.train.loader`) take seconds, and
three times as much of the receiver's time an image (docs/performance.md).
"""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import multiprocessing
import os
import pickle
import struct
import tempfile
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from multiprocessing import connection, reduction, util
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

from sambench.adapters.children import deaf_children, ending
from sambench.evsam.errors import SambenchError
from sambench.evsam.memory import keep_freed_memory
from sambench.suites.data.coco import Entry
from sambench.suites.data.sample import Sample, load_sample

LOADERS = "SAMBENCH_LOADERS"
"""The environment variable that says how many there are."""

AHEAD = 2
"""Images a process has at hand: one that it reads, and the next."""
ALIGNED = 64
"""Bytes that an array begins at a multiple of, as in memory of its own."""

Found = Callable[[], Sample]
"""Returns a sample, or raises what reading it raised."""


@dataclass
class _Loader:
    """One process."""

    process: BaseProcess
    connection: Connection
    at_hand: deque[tuple[int, Entry]] = field(default_factory=deque)
    """Numbers and images that it was given and has not answered."""


class Loaders:
    """Processes that read images, from entering to leaving the block.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._loaders: list[_Loader] = []
        self._tried_again = set[int]()

    def __enter__(self) -> Loaders:
        self._loaders = [_start() for _ in range(self._count)]
        # At the end of the interpreter multiprocessing would wait for them, and they for us.
        self._at_exit = util.Finalize(self, _end, args=(self._loaders,), exitpriority=10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._at_exit()

    def samples(self, entries: Iterable[Entry]) -> Generator[Found, None, None]:
        """Yield what was read of images, in their order, `AHEAD` images a process ahead."""
        numbered, read, turn = enumerate(entries), dict[int, Found](), 0
        while True:
            while self._given + len(read) < AHEAD * self._count and (one := next(numbered, None)) is not None:
                self._give(min(self._loaders, key=lambda loader: len(loader.at_hand)), one)
            if turn not in read and not self._given:
                return
            while turn not in read:
                read |= self._received()
            yield read.pop(turn)
            turn += 1

    @property
    def _given(self) -> int:
        return sum(len(loader.at_hand) for loader in self._loaders)

    def _give(self, loader: _Loader, one: tuple[int, Entry]) -> None:
        loader.at_hand.append(one)
        # The categories of the data set are put back as the sample comes: LVIS has 1,203.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died, which receiving tells
            loader.connection.send(dataclasses.replace(one[1], categories={}))

    def _received(self) -> dict[int, Found]:
        """Wait for some process, and return what has come, by number."""
        found = dict[int, Found]()
        ready = connection.wait([loader.connection for loader in self._loaders if loader.at_hand])
        for loader in [loader for loader in self._loaders if loader.connection in ready]:
            try:
                answer = _receive(loader.connection)
            except (EOFError, OSError):
                found |= self._replace(loader)
                continue
            number, entry = loader.at_hand.popleft()
            found[number] = _as_found(answer, entry)
        return found

    def _replace(self, loader: _Loader) -> dict[int, Found]:
        """Start another process in the place of one that died, and try its image again, once."""
        number, entry = loader.at_hand[0]
        loader.process.join(timeout=5)
        cause = ending(loader.process.exitcode)
        given, found = list(loader.at_hand), dict[int, Found]()
        if number in self._tried_again:
            del given[0]
            error = SambenchError(
                f"{entry.file}: the process that read this image and its annotations {cause}, twice. Is the "
                f"image too large for the memory there is? {LOADERS}=0 reads in the process of the model."
            )
            found[number] = _as_found(error, entry)
        self._tried_again.add(number)
        loader.connection.close()
        self._loaders[self._loaders.index(loader)] = fresh = _start()
        for one in given:
            self._give(fresh, one)
        return found


def _as_found(answer: Sample | Exception, entry: Entry) -> Found:
    def found() -> Sample:
        if isinstance(answer, Exception):
            raise answer
        return dataclasses.replace(answer, categories=entry.categories)

    return found


def _start() -> _Loader:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()  # sockets, which carry descriptors
    process = context.Process(target=_read_images, args=(theirs,), name="sambench-loader")
    with deaf_children():
        process.start()
    theirs.close()  # so that its end is the end of what can be read
    return _Loader(process, ours)


def _end(loaders: list[_Loader]) -> None:
    """End the processes; they have nothing that could be lost."""
    for loader in loaders:
        loader.process.kill()
    for loader in loaders:
        loader.process.join()
        loader.connection.close()


def _read_images(given: Connection) -> None:
    """Read images until nobody asks any more."""
    keep_freed_memory()
    while True:
        try:
            entry = given.recv()
        except (EOFError, ConnectionResetError):
            return
        answer: Sample | Exception
        try:
            answer = load_sample(entry)
        except Exception as error:  # raised on the other side, where its turn comes
            if not isinstance(error, SambenchError):
                error.add_note(traceback.format_exc())  # a bug, whose place would be lost
            answer = error
        try:
            _send(given, answer)
        except (BrokenPipeError, ConnectionResetError):
            return


def _send(to: Connection, answer: Any) -> None:
    """Lay an answer into memory without a name and send its descriptor: never so much that it would block."""
    arrays: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(answer, protocol=5, buffer_callback=arrays.append)
    parts = [memoryview(pickled), *(array.raw() for array in arrays)]
    descriptor = _memory()
    try:
        with open(descriptor, "wb", closefd=False) as memory:
            memory.write(struct.pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts)))
            for part in parts:
                memory.write(bytes(-memory.tell() % ALIGNED))
                memory.write(part)
        reduction.send_handle(to, descriptor, None)
    finally:
        os.close(descriptor)


def _receive(source: Connection) -> Any:
    """Return what `_send` sent; its arrays lie in the memory that was sent, and keep it."""
    descriptor = reduction.recv_handle(source)
    try:
        memory = memoryview(mmap.mmap(descriptor, 0))
    finally:
        os.close(descriptor)
    (count,) = struct.unpack_from("<Q", memory)
    at, parts = 8 * (count + 1), []
    for length in struct.unpack_from(f"<{count}Q", memory, 8):
        at += -at % ALIGNED
        parts.append(memory[at : at + length])
        at += length
    return pickle.loads(parts[0], buffers=parts[1:])


def _memory() -> int:
    """Return the descriptor of a file without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sambench-sample")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
