"""What made a number: versions, commit, machine. `harness.sources` has the code."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from sambench.adapters import devices
from sambench.adapters.engines import processor
from sambench.adapters.version import version
from sambench.harness.secrets import redacted

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("torch", "numpy", "pillow", "opencv-python-headless", "pycocotools", "hotcoco", "pyarrow")
"""What pixels, masks and their run lengths come from."""


def versions(*more: str) -> dict[str, str]:
    """Versions of sambench and of all that `libraries` has."""
    return {"sambench": version(), **libraries(*more)}


@cache
def libraries(*more: str) -> dict[str, str]:
    """Versions of Python and the libraries that numbers depend on, and of more where installed.

    That of sambench is not among them: what decides a number is the code, which has a digest of its own, and
    a version that moves with every commit would make finished work look unfinished.
    """
    found = {"python": platform.python_version()}
    for name in (*LIBRARIES, *more):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def git_state() -> dict[str, Any]:
    """Commit of the checkout this runs from and whether it was changed; empty outside of one."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return {}
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def command_line() -> str:
    """Return the command as it was typed, for the provenance of numbers, without the secrets in it."""
    return redacted(shlex.join(["sambench", *sys.argv[1:]]))


def device_name(device: str) -> str:
    """Name the hardware behind ``cpu`` or ``cuda:0``; of what nobody tried with the word ``(untested)``."""
    import torch

    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    if devices.untried(device):
        return f"{devices.name_of(torch.device(device))} of {processor.name()} (untested)"
    threads = torch.get_num_threads()
    return f"{processor.name()}, {threads} thread{'s' * (threads != 1)}"


def threads_here() -> int:
    """Return into how many threads torch cuts its work on the CPU."""
    import torch

    return int(torch.get_num_threads())


@dataclass(frozen=True)
class Hardware:
    """What a worker computes on, as it sees it itself."""

    device: str
    """Its name (`device_name`)."""
    host: str
    """The machine's."""
    threads: int
    """Of torch, on the CPU."""
    cpu_capability: str
    """The instruction set that torch's kernels take, such as ``AVX512``."""
    cpu_features: tuple[str, ...] = ()
    """What decides the kernels of convolutions and products (`adapters.engines.processor.features`)."""

    def unlike(self, key: Mapping[str, Any]) -> str | None:
        """Say that this is other hardware than a plan is of, by a cell's key; threads are as they are set."""
        own, planned = (str(name).rpartition(",")[0] or str(name) for name in (self.device, key["device"]))
        its = (own, self.cpu_capability, list(self.cpu_features))
        if its == (planned, key["cpu_capability"], list(key["cpu_features"])):
            return None
        return (
            f"{self.host} computes on {own} ({self.cpu_capability}), and this run was planned on {planned} "
            f"({key['cpu_capability']}): they round otherwise. Run there a command of its own."
        )


def hardware(device: str) -> Hardware:
    """Return what this process computes on."""
    import torch

    return Hardware(
        device_name(device),
        platform.node(),
        torch.get_num_threads(),
        cpu_capability(),
        processor.features(),
    )


def cpu_capability() -> str:
    """Return the instruction set that torch's kernels take here: another one rounds otherwise."""
    import torch

    return str(torch.backends.cpu.get_cpu_capability())
