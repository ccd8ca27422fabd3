"""Where the seconds and the memory of a process go, stage by stage."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

EVERY = 0.05
"""Seconds between two looks at the memory."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Stages:
    """Charges each second, and each look at the memory, to the innermost stage that is at work."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.cpu: Counter[str] = Counter()
        """Seconds too, of this process's processors: what a busy machine does not change much."""
        self.peaks: dict[str, float] = {}
        """MB."""
        self._open = ["rest"]
        self._since, self._since_cpu = time.perf_counter(), time.process_time()
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._since, self._since_cpu = time.perf_counter(), time.process_time()
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._charge()
        self._ended.set()
        self._looking.join()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Charge a block to a stage, but for stages within it."""
        self._charge()
        self._open.append(stage)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Charge all calls of a function of a module or class to a stage."""
        inner = vars(owner)[name]
        function = inner.__func__ if isinstance(inner, classmethod) else inner

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            with self(stage):
                return function(*args, **kwargs)

        setattr(owner, name, classmethod(watched) if isinstance(inner, classmethod) else watched)

    def _charge(self) -> None:
        now, cpu = time.perf_counter(), time.process_time()
        self.seconds[self._open[-1]] += now - self._since
        self.cpu[self._open[-1]] += cpu - self._since_cpu
        self._since, self._since_cpu = now, cpu

    def _look(self) -> None:
        while not self._ended.wait(EVERY):
            held = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20
            stage = self._open[-1]
            self.peaks[stage] = max(held, self.peaks.get(stage, 0))
