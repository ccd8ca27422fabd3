"""The state of a process that libraries keep: put back after a model, seeded before each piece of work.

A model that sets the number of threads, the default type or a flag of cuDNN would else set it for the next.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np

from sambench.suites.environment import flushes_denormals


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Put back at the end what a model may have set: of torch, numpy, OpenCV, random, the environment, paths.

    Only what was changed is set: with some libraries setting a value as it is has an effect too.
    """
    before = [(setting, setting.get()) for setting in _settings()]
    try:
        yield
    finally:
        for setting, value in before:
            if not _same(setting.get(), value):
                setting.set(value)


def take_threads(number: int | None) -> None:
    """Let torch cut its work on the CPU into so many threads, unless it does."""
    import torch

    if number not in (None, torch.get_num_threads()):
        torch.set_num_threads(number)


@contextlib.contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Let torch cut its work into so many threads while the block lasts."""
    import torch

    before = torch.get_num_threads()
    take_threads(number)
    try:
        yield
    finally:
        take_threads(before)


def seed(*words: object) -> None:
    """Seed torch, numpy, OpenCV and random by words: the same words give the same draws, in any process."""
    import torch

    number = int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:8], "big")
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.manual_seed(number)
    cv2.setRNGSeed(number % 2**31)


class _Setting(NamedTuple):
    get: Callable[[], Any]
    set: Callable[[Any], Any]


def _settings() -> Iterator[_Setting]:
    import torch

    yield _Setting(torch.get_num_threads, torch.set_num_threads)
    yield _Setting(torch.get_default_dtype, torch.set_default_dtype)
    yield _Setting(torch.get_default_device, torch.set_default_device)
    yield _Setting(torch.is_grad_enabled, torch.set_grad_enabled)
    yield _Setting(flushes_denormals, torch.set_flush_denormal)
    yield _Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision)
    yield _Setting(
        torch.get_deterministic_debug_mode,  # 0: any algorithm, 1: a warning, 2: an error
        torch.set_deterministic_debug_mode,
    )
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    for name in ("enabled", "benchmark", "deterministic", "allow_tf32"):
        yield _attribute(cudnn, name)
    for kind in ("tf32", "fp16_reduced_precision_reduction", "bf16_reduced_precision_reduction"):
        yield _attribute(products, f"allow_{kind}")
    yield _Setting(torch.get_rng_state, torch.set_rng_state)
    yield _Setting(random.getstate, random.setstate)
    yield _Setting(np.random.get_state, np.random.set_state)
    yield _Setting(np.geterr, lambda told: np.seterr(**told))
    yield _Setting(cv2.getNumThreads, cv2.setNumThreads)
    yield _Setting(cv2.useOptimized, cv2.setUseOptimized)
    yield _Setting(lambda: dict(os.environ), _put_back_environment)
    yield _Setting(os.getcwd, os.chdir)
    yield _Setting(lambda: list(sys.path), lambda paths: sys.path.__setitem__(slice(None), paths))


def _attribute(holder: Any, name: str) -> _Setting:
    return _Setting(partial(getattr, holder, name), partial(setattr, holder, name))


def _same(a: Any, b: Any) -> bool:
    """Tell whether two values are equal, those of numpy and torch within them too."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(np.all(np.asarray(a) == np.asarray(b))) if hasattr(a, "shape") else bool(a == b)


def _put_back_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
