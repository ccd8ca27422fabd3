"""A step of training: images a second, share of the best product rate, share of time waiting for data.

    python -m benchmarks.train                                  # this processor, efficientvit_sam_nano
    python -m benchmarks.train --device cuda --minutes 3        # L0 and XL1 in batches that fill the card

Drawn images, 64 masks each (nano: 12), three alternatives, the paper's loss; through the very loader, loop
and optimiser of `sambench train`. Floating-point operations are counted by torch in one step, forward and
back. On a card bf16 and fp32, compiled and not; a batch that does not fit is an entry that says so, and ends
its row.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_record import note
from sambench.adapters.registry import create_module
from sambench.evsam.memory import keep_freed_memory
from sambench.evsam.train.finetune import FinetuneStep
from sambench.evsam.train.optimiser import make_optimiser
from sambench.evsam.train.recipe import Finetune, Optimiser
from sambench.harness.train.config import Data, Finetuning
from sambench.harness.train.loader import Item, Positions, load
from sambench.harness.train.order import Order, Share
from sambench.harness.train.phase import FinetunePhase
from sambench.harness.train.ranks import Ranks
from sambench.harness.train.sources import open_source
from sambench.harness.train.step import Stepper
from sambench.harness.train.wrap import wrapped
from sambench.suites.throughput.ceilings import measure_ceilings

WARM_UP, STEPS = 2, {"cpu": 8, "cuda": 12}
IMAGES = 24
"""Drawn, and gone round."""
ON_CPU = [("efficientvit_sam_nano", "fp32", False, (4,))]
ON_CUDA = [
    (model, precision, compiled, batches)
    for model, batches in (("efficientvit_sam_l0", (4, 16, 32)), ("efficientvit_sam_xl1", (2, 8, 16)))
    for precision, compiled in (("bf16", False), ("bf16", True), ("fp32", False))
]

FLOP: dict[str, float] = {}
"""An image's floating-point operations by model, once they are counted."""


@dataclasses.dataclass(frozen=True)
class Row:
    """What is measured."""

    model: str
    precision: str
    compile: bool
    batch: int

    def known(self) -> dict[str, Any]:
        """Return the fields that tell its entry from others."""
        engine = "compile" if self.compile else "eager"
        return {"step": "train", "engine": engine, **dataclasses.asdict(self)}


def rows(device: str) -> Iterator[list[Row]]:
    """Yield the rows of each model and way, small batches first."""
    for model, precision, compiled, batches in ON_CUDA if device == "cuda" else ON_CPU:
        yield [Row(model, precision, compiled, batch) for batch in batches]


def measure(row: Row, device: torch.device, ceiling: float | None) -> dict[str, Any]:
    """Take some steps of each kind and return what they came to."""
    nano = row.model.endswith("nano")
    recipe = Finetune(masks_per_image=12 if nano else 64, multimask=1.0)
    config = Finetuning(
        model=row.model,
        out=Path("unused"),
        data=Data(format="shapes", images_drawn=IMAGES),
        batch=row.batch,
        device_batch=row.batch,
        device=device.type,
        precision=row.precision,  # type: ignore[arg-type]
        compile=row.compile,
        optimiser=Optimiser(lr=1e-6),
        workers=1 if device.type == "cpu" else 8,
        recipe=recipe,
    )
    torch.manual_seed(0)
    phase = FinetunePhase(FinetuneStep(create_module(row.model), recipe))
    phase.step_module.to(device)
    ranks, steps = Ranks(device), WARM_UP + STEPS[device.type] + 1
    module = wrapped(phase.step_module, config, ranks)
    stepper = Stepper(
        config, phase, module, make_optimiser(phase.model, config.optimiser), None, ranks, steps
    )
    dataset = Positions(open_source(config.data), Order(IMAGES, 0), phase.make())
    share = Share(row.batch, row.batch)
    passes = load(dataset, share, range(steps), config.workers)
    taken = []
    for step in range(steps - 1):
        if device.type == "cuda":
            torch.cuda.synchronize()
        found = stepper.take(step, passes)
        if device.type == "cuda":
            torch.cuda.synchronize()
        if step >= WARM_UP and found.seen.names:
            taken.append((len(found.seen.names) / found.seconds, found.waited / found.seconds))
    speeds = [speed for speed, _ in taken]
    if row.model not in FLOP:  # the first of a model's rows is not compiled: what is, cannot be counted
        FLOP[row.model] = operations(stepper, steps - 1, passes)
    speed = statistics.median(speeds)
    return {
        "img_s": speed,
        "quartiles": statistics.quantiles(speeds, n=4)[::2],
        "steps": len(speeds),
        "waiting": statistics.median(waited for _, waited in taken),
        "gflop_an_image": FLOP[row.model] / 1e9,
        "share_of_product": ceiling and FLOP[row.model] * speed / 1e12 / ceiling,
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None,
    }


def operations(stepper: Stepper, step: int, passes: Iterator[Any]) -> float:
    """Count the floating-point operations of a step, forward and back, an image."""
    counter = FlopCounterMode(display=False)
    items = list(itertools.islice(passes, 1))
    with counter:
        stepper.take(step, iter(items))
    images = sum(isinstance(one, Item) for one in items[0])
    return counter.get_total_flops() / max(images, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--lines", type=Path, help="file to append the findings to, a line of JSON each")
    parser.add_argument("--minutes", type=float, default=10.0, help="after which no further row is begun")
    given = parser.parse_args()
    keep_freed_memory()
    device, until = torch.device(given.device), time.time() + 60 * given.minutes
    with tempfile.TemporaryDirectory() as folder:
        lines = given.lines or Path(folder) / "lines.jsonl"
        ceilings: dict[str, float | None] = {}
        for series in rows(device.type):
            for row in series:
                if time.time() > until:
                    note(lines, **row.known(), status="left out", reason="no time left")
                    continue
                if row.precision not in ceilings:
                    ceilings[row.precision] = measure_ceilings(device, row.precision).tflop_s
                try:
                    found = measure(row, device, ceilings[row.precision])
                except torch.cuda.OutOfMemoryError as error:
                    note(lines, **row.known(), status="failed", reason=str(error).splitlines()[0])
                    break
                note(lines, **row.known(), status="done", **found)


if __name__ == "__main__":
    main()
