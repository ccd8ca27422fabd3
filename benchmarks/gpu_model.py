"""One model of the GPU run, in a process of its own: parity with the official outputs, then its speeds.

    python -m benchmarks.gpu_model MODEL --images DIR --annotations FILE --lines FILE --until SECONDS

The weights are those of the golden data. What is measured, in what order, is `cells_of`; each finding is
appended to the file of lines at once, and what fails or finds no time left is an entry too.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import sambench.adapters.modules.vit
from benchmarks.attention import textbook
from benchmarks.gpu_record import note, say
from sambench import adapters
from sambench.adapters.base import Prompts
from sambench.adapters.engines import attach
from sambench.adapters.engines.compiled import CompiledParts
from sambench.adapters.engines.eager import DTYPES
from sambench.adapters.families.sam import SamSegmenter
from sambench.adapters.profile import profile
from sambench.evsam.memory import keep_freed_memory
from sambench.suites.failures import Failure
from sambench.suites.throughput import parity
from sambench.suites.throughput.inputs import Image, choose
from sambench.suites.throughput.job import Rule, parse_scope
from sambench.suites.throughput.memory import peak_mb, reset_peak
from sambench.suites.throughput.monitor import Monitor, sensors
from sambench.suites.throughput.scopes import make_step
from sambench.suites.throughput.timing import measure
from tests.golden import golden, official

RULES = {
    "cuda": Rule("gpu page", 0.3, 5, 0.03, 3.0, 4, 0.5, rounds=1, gate_images=16),
    "cpu": Rule("dry run", 0.0, 1, 1.0, 0.1, 2, 0.0, rounds=1, gate_images=1),
}
"""Far shorter than the protocol's: one process a model, half a second a number. The page says so."""

VARIANTS = tuple(f"efficientvit_sam_{v}" for v in ("l0", "l1", "l2", "xl0", "xl1"))
LARGEST = "sam_vit_h"
TUNED = ("efficientvit_sam_l0", "efficientvit_sam_l2")


@dataclass(frozen=True)
class Cell:
    """A way of computing a model, and the batches of images that it is timed with."""

    engine: str
    """Of `adapters.engines`; ``autotuned`` is compile with kernels tried out, ``released`` eager with SAM's
    attention as its authors wrote it."""
    precision: str
    batches: tuple[int, ...]
    decoder: bool = True


def cells_of(model: str, device: str) -> list[Cell]:
    """What is measured of a model, the reference first and the most telling next."""
    if device == "cpu":
        return [Cell("eager", "fp32", (2,)), Cell("compile", "fp32", (2,))]
    cells = [
        Cell("eager", "fp32", (16,)),
        Cell("compile", "fp16", (16, 1, 64) if model in (*VARIANTS, LARGEST) else (16,)),
        Cell("eager", "fp16", (16, 1, 64)),
    ]
    if model == LARGEST:
        cells.insert(1, Cell("released", "fp32", (4, 16), decoder=False))
    if model in TUNED:
        cells.append(Cell("autotuned", "fp16", (16,), decoder=False))
    cells.append(Cell("eager", "bf16", (16,), decoder=False))
    if model in (*VARIANTS, LARGEST):
        cells.append(Cell("compile", "bf16", (16,), decoder=False))
    if model in (VARIANTS[0], LARGEST):
        cells += [Cell("compile", precision, (16,), decoder=False) for precision in ("tf32", "fp32")]
    return cells


@dataclass(frozen=True)
class Bench:
    """What a process measures with."""

    model: str
    device: torch.device
    checkpoint: Path
    images: Path
    annotations: Path
    lines: Path
    until: float
    """When to end, in seconds of `time.time`."""

    @property
    def rule(self) -> Rule:
        """When a measurement begins and ends."""
        return RULES[self.device.type]

    def note(self, step: str, cell: Cell, **entry: Any) -> None:
        """Append an entry of this model."""
        known = {"step": step, "model": self.model, "engine": cell.engine, "precision": cell.precision}
        note(self.lines, **known, **entry)

    def inputs(self, batch: int) -> list[Image]:
        """Images for a rotation of such batches."""
        return choose(self.images, self.annotations, batch, seed=0)


def create(bench: Bench, cell: Cell) -> SamSegmenter:
    """Make the model with its engine."""
    engine = cell.engine if cell.engine == "compile" else "eager"
    precision = "fp32" if cell.engine == "autotuned" else cell.precision
    segmenter = adapters.create(
        bench.model, weights=str(bench.checkpoint), device=bench.device.type, engine="eager",
        precision="tf32" if cell.precision == "tf32" else "fp32",
    )  # fmt: skip
    assert isinstance(segmenter, SamSegmenter)
    if cell.engine == "autotuned":
        tuned = CompiledParts(segmenter.model, segmenter.position, DTYPES[cell.precision], autotune=True)
        segmenter.parts = tuned
    else:
        attach(segmenter, engine, precision)
    return segmenter


def check_golden(bench: Bench, cell: Cell, segmenter: SamSegmenter) -> None:
    """Note the largest differences from the official outputs, relative to their root mean square."""
    gold = official.outputs(bench.model)
    (embedding,) = segmenter.encode([golden.make_image()])
    found = {"emb": embedding.features[None]}
    for name in ("box", "boxes3", "point"):
        if f"{name}/multi/iou" in gold:
            prompt = golden.PROMPTS[name]
            points = labels = None
            if "points" in prompt:
                points, labels = torch.tensor([prompt["points"]]), torch.tensor([prompt["labels"]])
            boxes = torch.tensor(prompt["boxes"]) if "boxes" in prompt else None
            low = segmenter.decode_batch(embedding, Prompts(boxes, points, labels), True).logits
            found[f"{name}/multi/low"] = low
    errors = {}
    for key, tensor in found.items():
        want = gold[f"{key}/slice"]
        got = golden.summarise(tensor.float().cpu(), want.shape)["slice"]
        errors[key] = golden.rel_error(want, np.asarray(got))
    masks = max(error for key, error in errors.items() if key != "emb")
    bench.note("golden", cell, status="done", embedding=errors["emb"], logits=masks, compared=len(errors))


def gate(bench: Bench, cell: Cell, segmenter: SamSegmenter, reference: list[parity.Masks]) -> None:
    """Compare masks with those of fp32 eager, which fill ``reference``."""
    images = bench.inputs(1)[: bench.rule.gate_images]
    plain = (cell.engine, cell.precision) == ("eager", "fp32")
    masks = list(parity.masks_of(segmenter, images, min(16, len(images)), alternatives=plain))
    result = parity.compare(masks, None if plain else reference or None)
    if plain:
        reference += masks
    refusal = parity.refusal(result, cell.precision)
    bench.note("gate", cell, status="failed" if refusal else "done", reason=refusal, **result.to_json())


def plan(cell: Cell, device: str) -> list[tuple[str, int, tuple[str, ...]]]:
    """Scopes, batches and modes of a cell, in order."""
    first, *more = cell.batches
    both = ("compute", "pipelined")
    steps: list[tuple[str, int, tuple[str, ...]]] = [("E", first, both)]
    if cell.decoder:
        steps += [(f"D{n}", 1, ("compute",)) for n in ((1, 64, 16) if device == "cuda" else (1, 4))]
    steps += [("E", batch, both) for batch in more]
    if cell.decoder:
        steps.append(("E2E", first, ("pipelined",)))
    return steps


def time_cell(bench: Bench, cell: Cell, segmenter: SamSegmenter) -> None:
    """Time all scopes of a cell; one that fails leaves the others their turn."""
    for name, batch, modes in plan(cell, bench.device.type):
        where = {"scope": name, "batch": batch}
        if time.time() > bench.until:
            bench.note("speed", cell, **where, status="left out", reason="no time left")
            continue
        try:
            began = time.perf_counter()
            with torch.inference_mode():
                step = make_step(segmenter, parse_scope(name), bench.inputs(batch), batch, seed=0)
                step.compute(0, tuple(t.to(bench.device) for t in step.load(0)))
            ready_s = time.perf_counter() - began
            for mode in modes:
                reset_peak(bench.device)
                with Monitor(sensors(bench.device)) as monitor:
                    measured = measure(step, bench.device, mode, bench.rule)
                seconds = [sample.seconds for sample in measured.samples]
                bench.note(
                    "speed", cell, **where, mode=mode, status="done",
                    images_s=step.images * len(seconds) / sum(seconds),
                    batch_ms=1000 * statistics.median(seconds), prompts=step.prompts,
                    peak_mb=peak_mb(bench.device), ready_s=ready_s, steady=measured.warmup.stable,
                    seconds=seconds, monitor=monitor.summary(),
                )  # fmt: skip
        except Exception as error:
            bench.note("speed", cell, **where, status="failed", reason=Failure.of(error).reason)
        release(bench.device)


def release(device: torch.device) -> None:
    """Give memory back that nothing uses."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def run(bench: Bench) -> None:
    """Do all cells of a model."""
    reference: list[parity.Masks] = []
    for cell in cells_of(bench.model, bench.device.type):
        if time.time() > bench.until:
            bench.note("cell", cell, status="left out", reason="no time left")
            continue
        released = mock.patch.object(sambench.adapters.modules.vit, "attend", textbook)
        try:
            with released if cell.engine == "released" else nullcontext():
                segmenter = create(bench, cell)
                if cell.engine == "eager":
                    check_golden(bench, cell, segmenter)
                gate(bench, cell, segmenter, reference)
                time_cell(bench, cell, segmenter)
        except Exception as error:
            bench.note("cell", cell, status="failed", reason=Failure.of(error).reason)
        segmenter = None  # type: ignore[assignment]  # its memory is wanted for the next
        torch._dynamo.reset()
        release(bench.device)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--device", default="cuda")
    for name in ("images", "annotations", "lines"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--until", type=float, required=True, help="when to end, seconds of the epoch")
    given = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        say(f"{given.model}: writing the golden weights")
        checkpoint = official.write_checkpoint(given.model, Path(folder))
        gflop = 2 * profile(given.model).encoder.macs.plain / 1e9
        note(given.lines, step="cost", model=given.model, status="done", encoder_gflop=gflop)
        device = torch.device(given.device)
        places = (given.images, given.annotations, given.lines, given.until)
        run(Bench(given.model, device, checkpoint, *places))


if __name__ == "__main__":
    main()
