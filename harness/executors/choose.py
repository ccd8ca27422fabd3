"""From a configuration to the executor that it names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sambench.evsam.errors import SambenchError
from sambench.harness.config.run import RunConfig
from sambench.harness.executors.base import Executor


@contextlib.contextmanager
def executor_of(config: RunConfig) -> Iterator[Executor]:
    """Open an executor; its workers end with the block.

    Raises:
        SambenchError: there is no cluster where the address says, or the extra is missing.
    """
    if config.executor == "processes":
        from sambench.harness.executors.processes import Processes

        with Processes(config.workers) as processes:
            yield processes
    elif config.executor == "torchrun":
        from sambench.harness.executors.torchrun import Ranks

        with Ranks() as ranks:
            yield ranks
    elif config.executor == "ray":
        from sambench.harness.executors.on_ray import Actors

        with Actors(config.workers, config.device, config.address) as actors:
            yield actors
    else:
        from sambench.harness.executors.inline import inline

        yield inline


def check_workers(config: RunConfig) -> None:
    """See that there is a card for every worker of this machine, or a Ray cluster where one is named.

    Raises:
        SambenchError: there is not.
    """
    import torch

    local = config.executor == "processes"
    if config.executor == "ray":
        from sambench.harness.executors import ray_cluster

        ray_cluster.check(config.address, config.device)
        local = ray_cluster.where(config.address) == ray_cluster.OWN
    if not local or config.device != "cuda":
        return
    cards = torch.cuda.device_count()
    if config.workers > cards:
        raise SambenchError(
            f"workers: {config.workers} want a CUDA device each, and this machine has {cards}. Ask for as "
            "many, or let them share one with --device cuda:0."
        )
