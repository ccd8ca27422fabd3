"""Starting torchrun, and being started by it; without torch, which takes its settings as it is imported."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from sambench.harness.executors.names import PASSIVE
from sambench.harness.leave import leave_at_exit

RESTARTS = 3
"""How often a start on this machine begins anew after a rank died; what was written is kept."""
CODE = "SAMBENCH_EXIT_CODE_FILE"
"""Where the first rank says its exit code: torchrun takes every one but 0 for a crash, and begins anew."""


def launch(workers: int, arguments: Sequence[str]) -> int:
    """Start this command on so many ranks of this machine, and return its exit code."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=workers,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=RESTARTS,
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CODE] = str(Path(folder) / "code")
        try:
            elastic_launch(config, sys.executable)("-m", "sambench.harness", *arguments)
        except ChildFailedError:
            return 1
        except SignalException as stopped:
            leave_at_exit(128 + stopped.sigval)
            return 128 + stopped.sigval
        finally:
            told = Path(os.environ.pop(CODE))
            code = int(told.read_text()) if told.exists() else 1
    return code


@contextlib.contextmanager
def exit_code_told() -> Iterator[None]:
    """Say the exit code of this process to the one that started torchrun."""
    try:
        yield
    except SystemExit as stop:
        if CODE in os.environ and is_started() and is_first():
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            Path(os.environ[CODE]).write_text(str(code))
            raise SystemExit(0) from None
        raise


@contextlib.contextmanager
def others_dismissed() -> Iterator[None]:
    """Let the other ranks go where this one ends before it has asked them for anything."""
    try:
        yield
    except KeyboardInterrupt:  # which they hear too
        raise
    except BaseException:
        _dismiss()
        raise
    _dismiss()


def _dismiss() -> None:
    if is_started():
        from sambench.harness.executors.torchrun import dismiss

        dismiss()


def is_started() -> bool:
    """Tell whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_first() -> bool:
    """Tell whether it is the rank that plans and writes."""
    return os.environ.get("RANK", "0") == "0"


def be_ready() -> None:
    """Undo what torchrun sets for trainings, before torch is there.

    It lets torch cut its work into one thread where several processes share a machine, which would round
    otherwise than one process does. (Somebody who wants one thread says ``threads: 1``.)
    """
    by_hand, several = CODE not in os.environ, os.environ.get("LOCAL_WORLD_SIZE", "1") != "1"
    if by_hand and several and os.environ.get("OMP_NUM_THREADS") == "1":
        del os.environ["OMP_NUM_THREADS"]
    for name, value in PASSIVE.items():
        os.environ.setdefault(name, value)
    threading.Thread(target=_end_with_agent, args=(os.getppid(),), daemon=True).start()


def _end_with_agent(agent: int) -> None:
    """End this process when torchrun has: killed, it could not say so."""
    while os.getppid() == agent:
        time.sleep(0.5)
    os._exit(1)
