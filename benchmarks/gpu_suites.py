"""A suite on whole images beside the plain loop, on one device.

python -m benchmarks.gpu_suites --device cuda --images DIR --annotations FILE --lines FILE
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.gpu_record import note
from benchmarks.plain import PlainPredictor
from sambench import adapters, evsam
from sambench.adapters.base import Segmenter
from sambench.evsam.memory import keep_freed_memory
from sambench.suites.base import Stopwatch
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import Sample, load_sample
from sambench.suites.gt_box import GtBox
from sambench.suites.protocol import PRESETS
from tests.golden import golden, official

MODEL = "efficientvit_sam_l0"
SUITE_IMAGES = {"cuda": 24, "cpu": 2}


def suites(lines: Path, device: torch.device, images: Path, annotations: Path) -> None:
    """Evaluate ground-truth boxes by the suite, with each engine, and by the plain loop, image by image."""
    samples = [load_sample(e) for e in CocoDataset(images, annotations).entries[: SUITE_IMAGES[device.type]]]
    objects = sum(len(sample.targets) for sample in samples)
    plain = PlainPredictor(golden.load_filled(evsam.create_model(MODEL)).to(device))
    ways: dict[str, Callable[[Sample], dict[int, float]]] = {"plain loop fp32": lambda s: loop(plain, s)}
    fast = ("compile", "fp16") if device.type == "cuda" else ("eager", "bf16")
    with tempfile.TemporaryDirectory() as folder:
        weights = str(official.write_checkpoint(MODEL, Path(folder)))
        for engine, precision in (("eager", "fp32"), fast):
            segmenter = adapters.create(
                MODEL, weights=weights, device=device.type, engine=engine, precision=precision
            )
            ways[f"suite {engine} {precision}"] = suite(segmenter)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    ious: dict[str, Counter[int]] = {name: Counter() for name in ways}
    for way in ways.values():  # compiling and first calls stay out
        for sample in samples:
            way(sample)
    for sample in samples:
        for name, way in ways.items():
            began = time.perf_counter()
            ious[name].update(way(sample))
            seconds[name].append(time.perf_counter() - began)
    first = sum(seconds["plain loop fp32"])
    for name, took in seconds.items():
        note(
            lines, step="suites", model=MODEL, engine=name, status="done", images=len(samples),
            objects=objects, object_ms=1000 * sum(took) / objects, times_faster=first / sum(took),
            miou=100 * statistics.mean(ious[name].values()), seconds=took,
        )  # fmt: skip


def suite(segmenter: Segmenter) -> Callable[[Sample], dict[int, float]]:
    """The suite on one image: IoU by annotation."""

    def evaluate(sample: Sample) -> dict[int, float]:
        (embedding,) = segmenter.encode([sample.image])
        rows = GtBox().evaluate(segmenter, embedding, sample, PRESETS["paper"], Stopwatch())
        return {row["ann_id"]: row["iou"] for row in rows}

    return evaluate


def loop(predictor: PlainPredictor, sample: Sample) -> dict[int, float]:
    """The plain loop on one image: IoU by annotation."""
    predictor.set_image(sample.image)
    found = {}
    for target in sample.targets:
        x0, y0, x1, y1 = target.box
        bbox = [x0, y0, x1 - x0, y1 - y0]
        found[target.ann_id] = predictor.box_iou(bbox, target.mask.full(), Stopwatch())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    for name in ("images", "annotations", "lines"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    keep_freed_memory()
    suites(given.lines, torch.device(given.device), given.images, given.annotations)


if __name__ == "__main__":
    main()
