"""Keeping freed memory, for speed on a CPU.

The tensors of this model are a few megabytes each. glibc gets blocks of that size from the kernel and gives
them back when they are freed, so every operation pays for fresh pages again: nearly half of the decoder's
time and a quarter of the encoder's on the machines this was measured on (benchmarks/suites.py).
"""

from __future__ import annotations

import ctypes
import sys

# glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4

KEEP_BYTES = 2**31 - 1  # mallopt takes an int
GROW_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed blocks for reuse; return whether it took the advice.

    For the whole process: the peak of its memory stays the same, it just does not shrink in between. Does
    nothing where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, KEEP_BYTES), (M_TOP_PAD, GROW_BYTES))
    return all(mallopt(option, value) == 1 for option, value in settings)
