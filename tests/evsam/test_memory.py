"""Freed memory is kept, and no fresh page is paid for a second time."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from sambench.evsam.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def work():
    for _ in range(5):
        a = torch.ones(8, 4096, 256)
        b = a + 1
        del a, b
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode):
    done = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc takes the advice")
def test_repeated_work_touches_no_fresh_pages():
    assert faults("keep") < faults("default") / 10
