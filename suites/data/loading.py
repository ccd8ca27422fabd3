"""Images with their objects, read ahead of the model: in threads, or in processes where a GPU waits for them.

On a CPU the model takes the cores, and two threads keep ahead of it. On a GPU it takes none, and one process
cannot read enough: Python's lock lets one thread at a time do what is Python about an image.
`benchmarks/loader.py` measures what it takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from itertools import chain, islice
from typing import TypeVar

from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import Entry
from sambench.suites.data.loaders import LOADERS, Loaders
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.sample import Sample, load_sample

T = TypeVar("T")

MOST = 8
"""Processes that read, unless told otherwise."""
FEWEST_IMAGES = 96
"""Images that threads read before any process is started: in half a second, about what starting takes."""
PREPARING = 4
"""Threads that prepare what processes have read. Resizing and normalising release Python's lock."""


def loaders_for(device: str, sharing: int = 1) -> int:
    """Return how many processes should read images; 0 for threads of this one.

    ``SAMBENCH_LOADERS`` says it; else none where a model computes on the CPU, and on a GPU the cores that are
    left, at most `MOST`. It moves no number.

    Args:
        device: where the model computes, as torch names it.
        sharing: workers on this machine that read images at the same time.

    Raises:
        SambenchError: the variable is no whole number.
    """
    if given := os.environ.get(LOADERS):
        if not given.isascii() or not given.isdigit():
            raise SambenchError(
                f"{LOADERS}={given}: how many processes read images is a whole number; 0 reads in threads."
            )
        return int(given)
    if device.partition(":")[0] == "cpu" or not hasattr(os, "sched_getaffinity"):
        return 0
    return max(1, min(MOST, len(os.sched_getaffinity(0)) // sharing - 1))


def load(
    entries: Iterable[Entry], prepare: Callable[[Sample], T], loaders: int = 0
) -> Generator[T, None, None]:
    """Read images with their objects and prepare them, in order, some of them ahead of whoever takes them.

    Args:
        entries: the images.
        prepare: what to make of each, in threads of this process.
        loaders: processes that read; 0 reads in threads too.

    Yields:
        What ``prepare`` returns.

    Raises:
        SambenchError: at an image's turn: it or an annotation is damaged, or its process died twice.
    """

    def read_and_prepare(entry: Entry) -> T:
        return prepare(load_sample(entry))

    if not loaders:
        yield from prefetch(read_and_prepare, entries)
        return
    left = iter(entries)
    yield from prefetch(read_and_prepare, islice(left, FEWEST_IMAGES))
    first = next(left, None)
    if first is None:
        return
    with Loaders(loaders) as processes, closing(processes.samples(chain([first], left))) as samples:
        yield from prefetch(lambda found: prepare(found()), samples, PREPARING)
