"""The processes of a training: one alone, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist

from sambench.adapters.devices import TRIED, check_device
from sambench.evsam.errors import SambenchError

T = TypeVar("T")

PATIENCE = timedelta(hours=6)
"""How long processes wait for one another: while the first validates, or loads its first images. Of one that
ended torchrun knows at once."""


@dataclass(frozen=True)
class Ranks:
    """This process among all."""

    device: torch.device
    rank: int = 0
    ranks: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.ranks > 1

    def any(self, flag: bool) -> bool:
        """Tell whether a flag is set in any process."""
        if not self.several:
            return flag
        found = torch.tensor(int(flag), device=self.device)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found)

    def gather(self, thing: T) -> list[T]:
        """Return everybody's, in the order of the processes."""
        if not self.several:
            return [thing]
        found: list[T | None] = [None] * self.ranks
        dist.all_gather_object(found, thing)
        return cast(list[T], found)

    def wait(self) -> None:
        """Wait for the others."""
        if self.several:
            dist.barrier()


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started, if it did.

    Args:
        device: ``cpu`` or ``cuda``; of several cards each process takes that of its local rank.

    Raises:
        SambenchError: the machine has no such device.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks > 1 and device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    found = check_device(device)
    if ranks > 1 and found.type not in TRIED:
        raise SambenchError(f"device {device!r}: trains in one process; several take {' or '.join(TRIED)}.")
    if found.type == "cuda":
        torch.cuda.set_device(found)
    if ranks == 1:
        yield Ranks(found)
        return
    dist.init_process_group("nccl" if found.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(found, dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
