"""Workers that make things ahead of whoever takes them, such as samples ahead of the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def prefetch(work: Callable[[T], U], items: Iterable[T], workers: int = 2) -> Iterator[U]:
    """Map ``work`` over items in threads, in order, at most ``2 * workers`` results ahead of the consumer.

    Threads suffice where the work releases Python's lock, as decoding JPEGs, resizing and hashing do. An
    error is raised where its item's turn comes.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="sambench-load") as pool:
        pending: deque[Future[U]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
