"""What `trainings.in_ranks` runs in each process: ``rank_jobs.py JOB OUT``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from trainings import gradients, trainer, training

from sambench.harness.train.ranks import Ranks, joined


def all_gradients(out: Path, ranks: Ranks) -> None:
    """Gradients of a step of four images, by copies and by shares, with parts and without."""
    for shard in (False, True):
        for size in (1, 2):
            config = training(out, batch=4, device_batch=size, shard=shard, optimiser={"norms": "frozen"})
            found = gradients(trainer(config, ranks))
            if ranks.first:
                torch.save(found, out / f"shard-{shard}-{size}.pt")


JOBS = {"gradients": all_gradients}

if __name__ == "__main__":
    with joined("cpu") as ranks:
        JOBS[sys.argv[1]](Path(sys.argv[2]), ranks)
