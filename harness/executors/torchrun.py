"""The processes that torchrun started, on one machine or several: the first one plans, writes and scores.

The others connect to it and do tasks, as child processes do theirs; each shard goes to one of them alone, so
there is no padding and no image twice, whatever their number. The first one has a child of its own that does
tasks beside them. A rank that dies is torchrun's to restart, with all others; what is written is kept.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import secrets
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import TYPE_CHECKING, ClassVar, Self

from sambench.evsam.errors import SambenchError
from sambench.harness.executors.crew import Crew
from sambench.harness.executors.process import Child, start
from sambench.harness.executors.serve import Share, serve, serve_group
from sambench.harness.provenance import versions
from sambench.harness.work import Message, Task, Work

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

ADDRESS = "sambench/address"
"""Where torchrun's own store has port and key of the first rank's listener: who reads that may connect."""
AGAIN = 0.2
"""Seconds after which a rank that met nobody there looks again: torchrun keeps its store when it begins anew,
and what the first rank of before wrote leads nowhere."""

PATIENCE = timedelta(hours=6)
"""How long a rank waits for the first one, while that reads and plans; of one that ended torchrun knows."""


@dataclass(frozen=True)
class Place:
    """Where a rank is, as torchrun says it."""

    rank: int
    ranks: int
    local_rank: int
    local_ranks: int
    host: str
    software: dict[str, str]
    """Versions of what decides numbers."""

    @classmethod
    def here(cls) -> Self:
        """Read it from the environment, and say what is installed."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        rank, ranks, local_rank, local_ranks = (int(os.environ[name]) for name in names)
        return cls(rank, ranks, local_rank, local_ranks, platform.node(), versions())

    def check(self, other: Place) -> None:
        """See that another rank has the same software: its records would be other ones.

        Raises:
            SambenchError: it has not.
        """
        names = [name for name in self.software if self.software[name] != other.software.get(name)]
        if names:
            has = ", ".join(f"{name} {other.software.get(name)}, not {self.software[name]}" for name in names)
            raise SambenchError(
                f"rank {other.rank} on {other.host} has {has}, as rank {self.rank} on {self.host} has. "
                "Install the same on all machines."
            )

    @property
    def share(self) -> Share | None:
        """Which cores of its machine it takes."""
        return Share(self.local_rank, self.local_ranks) if self.local_ranks > 1 else None


@dataclass(frozen=True)
class _Rank:
    """Another rank, from the first one."""

    connection: Connection
    place: Place

    def death(self) -> str:
        """Say how it ended, as far as that can be seen from here."""
        return f"rank {self.place.rank} is gone; what it said is above, or on its machine."


class Ranks:
    """All ranks, from the first one.

    Attributes:
        met: whether the others have been let in, by any such object of this process.
    """

    met: ClassVar[bool] = False

    def __init__(self) -> None:
        self.place = Place.here()
        self._child: Child | None = None
        self._others: dict[int, _Rank] = {}
        """Those that are there and have not been hired."""
        self._connections: list[Connection] = []

    def __enter__(self) -> Self:
        key = secrets.token_hex(32)
        with Listener(("", 0), "AF_INET", backlog=self.place.ranks, authkey=key.encode()) as listener:
            _store().set(ADDRESS, f"{listener.address[1]} {key}")
            while len(self._others) < self.place.ranks - 1:
                with contextlib.suppress(AuthenticationError, EOFError, ConnectionError):  # a stranger
                    self._let_in(listener)
        Ranks.met = True
        self._crew = Crew(self.place.ranks, self._hire, self._device_of)
        return self

    def __exit__(self, *error: object) -> None:
        if self._child is not None:
            self._child.end(patience=0.0 if error[0] else 1.0)
        for connection in self._connections:
            connection.close()

    def __call__(self, given: Work, tasks: Iterable[Task]) -> Iterator[tuple[int, Message]]:
        """Do the tasks of a group (see `base.Executor`)."""
        yield from self._crew(given, tasks)

    def _let_in(self, listener: Listener) -> None:
        connection = listener.accept()
        place: Place = connection.recv()
        self.place.check(place)
        connection.send(place.share)
        self._others[place.rank] = _Rank(connection, place)
        self._connections.append(connection)

    def _hire(self, worker: int) -> Child | _Rank | None:
        """Return a rank that is there; the first one's child is made anew where it has died."""
        if worker:
            return self._others.pop(worker, None)
        self._child = start(serve, self.place.share)
        return self._child

    def _device_of(self, device: str, worker: int) -> str:
        """Give each rank of a machine a card of its own."""
        if device != "cuda":
            return device
        member = self._crew.members[worker]
        return f"cuda:{member.place.local_rank if isinstance(member, _Rank) else self.place.local_rank}"


def help_first() -> None:
    """Do what the first rank gives, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # there is nothing here that would be lost
    with contextlib.suppress(EOFError, ConnectionError):
        connection, share = _meet(_store())
        serve(connection, share, functools.partial(_serve_apart, share, _cores()))


def _meet(store: Store) -> tuple[Connection, Share | None]:
    """Connect to the first rank as soon as it is there; return what it says of the cores too."""
    while True:
        port, key = store.get(ADDRESS).split()
        try:
            connection = Client((os.environ["MASTER_ADDR"], int(port)), "AF_INET", authkey=key)
            connection.send(Place.here())
            return connection, connection.recv()
        except (AuthenticationError, EOFError, OSError):
            time.sleep(AGAIN)


def _serve_apart(share: Share | None, cores: set[int], connection: Connection, given: Work) -> None:
    """Do a group of a model that may share no process: in a child, at the same end of the same pipe.

    It takes its share of the cores itself, once its libraries have counted them all, as every worker's do.
    """
    with _on(cores):
        child = start(_serve_there, share, connection, given)
    child.process.join()
    if child.process.exitcode:
        raise EOFError  # as the first rank sees it


def _serve_there(pipe: Connection, share: Share | None, connection: Connection, given: Work) -> None:
    del pipe
    if share is not None:
        share.take()
    serve_group(connection, given)


def _cores() -> set[int]:
    """Return the cores that this process may run on, where the system can say that."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@contextlib.contextmanager
def _on(cores: set[int]) -> Iterator[None]:
    """Let processes that are started in the block run on these cores."""
    before = _cores()
    if before:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        if before:
            os.sched_setaffinity(0, before)


def dismiss() -> None:
    """Let the other ranks go, where the first one has nothing for them."""
    if not Ranks.met:
        with Ranks():
            pass


def _store() -> Store:
    """Return the store that all ranks of this start share."""
    from torch.distributed.rendezvous import rendezvous

    store: Store = next(iter(rendezvous("env://")))[0]
    store.set_timeout(PATIENCE)
    return store
