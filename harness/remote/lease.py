"""A lock in a store: an object that only one can create, and that a crash leaves for a minute."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import time
from collections.abc import Iterator

from sambench.evsam.errors import SambenchError
from sambench.harness.remote.bucket import Bucket

LEASE = 60.0
"""Seconds after which a lock whose holder says nothing new counts as left by a crash. What is done under it,
reading a file of results and writing it, takes a few."""
PATIENCE = 300.0
"""Seconds to wait for the locks of others, one after the other."""
_PAUSE = 0.3


@contextlib.contextmanager
def leased(bucket: Bucket, name: str) -> Iterator[None]:
    """Keep other machines from changing something in a store while the block lasts.

    No clock of one machine is compared with another's: whoever waits measures by its own how long the same
    lock has been there.

    Args:
        bucket: the place.
        name: of the lock.

    Raises:
        StoreError: the store does not answer.
        SambenchError: others have held it for `PATIENCE`.
    """
    facts = {"host": platform.node(), "pid": os.getpid(), "token": secrets.token_hex(8)}
    mine = json.dumps(facts).encode()
    _acquire(bucket, name, mine)
    try:
        yield
    finally:
        if bucket.read(name) == mine:  # it may have been taken for a crash's, and be another's by now
            bucket.remove(name)


def _acquire(bucket: Bucket, name: str, mine: bytes) -> None:
    began = since = time.monotonic()
    seen: bytes | None = None
    while not (bucket.create(name, mine) and bucket.read(name) == mine):
        there, now = bucket.read(name), time.monotonic()
        if there is not None and there != seen:
            seen, since = there, now
        elif there is not None and now - since > LEASE:
            bucket.remove(name)
            continue
        if now - began > PATIENCE:
            raise SambenchError(
                f"{bucket}/{name}: other commands have held it for {PATIENCE:.0f} seconds. Wait for their "
                "end and run the same command again; where none is running, remove it."
            )
        time.sleep(_PAUSE)
