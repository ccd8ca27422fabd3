"""A process of a model's own does not outlive the command that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = """
from sambench.harness.executors.process import call
import test_process
call(test_process.say_and_sleep, {!r})
"""


def say_and_sleep(path):
    """What a model would do, in the process of its own."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux's /proc")
def test_it_ends_with_a_command_that_is_killed(tmp_path):
    said = tmp_path / "pid"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    }
    parent = subprocess.Popen([sys.executable, "-c", COMMAND.format(str(said))], env=environment)
    try:
        while not (said.exists() and said.read_text()):
            assert parent.poll() is None
            time.sleep(0.05)
        pid = int(said.read_text())
        assert is_alive(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        until = time.monotonic() + 60
        while is_alive(pid):
            assert time.monotonic() < until, "it lives on"
            time.sleep(0.05)
    finally:
        parent.kill()
