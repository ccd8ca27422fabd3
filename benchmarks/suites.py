"""Where the time of an evaluation goes, beside a plain loop that does what the paper's script does.

    python -m benchmarks.suites              # shapes, drawn into a temporary folder
    python -m benchmarks.suites --data DIR   # DIR/val2017 and DIR/annotations/instances_val2017.json
    python -m benchmarks.suites --memory     # peak memory at 20,000 images and 250,000 annotations

Both sides take each image in turn, so that a noisy machine disturbs them alike; ratios are of sums. The plain
loop (`benchmarks.plain`) runs in a process of its own, for the suites tell this one's C library to keep freed
memory, which the script does not. It shares the weights and the encoder, and nothing else: it decodes one
prompt at a time by the textbook forms of the layers, resizes all three masks, and compares in numpy.

Weights are those of the golden data: with PyTorch's default initialisation logits hover so near the threshold
that no two orders of summation agree on a mask. Results go to ``benchmarks/results/`` with the raw samples.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from benchmarks import plain
from benchmarks.memory import measure_memory
from benchmarks.plain import golden_segmenter
from sambench.adapters.base import Prepared, Prompts, Segmenter
from sambench.evsam.memory import keep_freed_memory
from sambench.harness.plan import SHARD_IMAGES
from sambench.harness.provenance import device_name, git_state, versions
from sambench.harness.shards import encode_shard
from sambench.harness.store import CellStore
from sambench.suites.base import Stopwatch
from sambench.suites.click.suite import Click
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.sample import Sample, load_sample
from sambench.suites.data.shapes import make_shapes
from sambench.suites.gt_box import GtBox
from sambench.suites.protocol import PRESETS

RESULTS = Path(__file__).parent / "results"
PAPER = PRESETS["paper"]


@dataclass
class Bench:
    """Seconds by stage of the suites and of the plain loop, and one sample an image."""

    segmenter: Segmenter
    entries: list[Entry]
    other: ProcessPoolExecutor
    """One worker process, for the plain loop."""
    ours: Stopwatch = field(default_factory=Stopwatch)
    plain: Counter[str] = field(default_factory=Counter)
    samples: list[dict] = field(default_factory=list)


def measure_boxes(bench: Bench) -> float:
    """Evaluate images both ways; return the largest difference of an IoU between them."""
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        store = CellStore(Path(folder), len(bench.entries))
        for i, entry in enumerate(track(bench.entries, "Boxes, suite and plain loop")):
            with bench.ours("read"):
                sample = load_sample(entry)
            with bench.ours("encode"):
                (embedding,) = bench.segmenter.encode([sample.image])
            rows = GtBox().evaluate(bench.segmenter, embedding, sample, PAPER, bench.ours)
            with bench.ours("write"):
                store.write(i, encode_shard(rows, {}, GtBox.schema))
            want, seconds = bench.other.submit(plain.boxes, sample.image_id).result()
            bench.plain.update(seconds)
            worst = max([worst, *(abs(row["iou"] - want[row["ann_id"]]) for row in rows)])
            bench.samples.append({"image_id": sample.image_id, "objects": len(rows), "plain_s": seconds})
    return worst


def measure_clicker(bench: Bench, images: int) -> dict[str, float]:
    """Milliseconds a click, placing alone, on the masks that the model predicts along the way."""
    watch, plain_s, clicks = Stopwatch(), 0.0, 0
    for entry in track(bench.entries[:images], "Clicks, suite and plain clicker"):
        sample = load_sample(entry)
        (embedding,) = bench.segmenter.encode([sample.image])
        rows = Click().evaluate(bench.segmenter, embedding, sample, PAPER, watch)
        plain_s += bench.other.submit(plain.clicks, sample.image_id, rows).result()
        clicks += sum(len(row["points"]) for row in rows)
    ours_s = watch.seconds["click"]
    return {
        "clicks": clicks,
        "suite_ms": 1e3 * ours_s / clicks,
        "plain_ms": 1e3 * plain_s / clicks,
        "times_faster": plain_s / ours_s,
    }


def measure_batches(segmenter: Segmenter, image: np.ndarray) -> dict[int, float]:
    """Decoder milliseconds a prompt by batch size: the least of five, for the batch is chosen by it."""
    (embedding,) = segmenter.encode([image])
    found = {}
    for n in (1, 2, 4, 8, 16, 64):
        prompts = Prompts(boxes=torch.rand(n, 4) * 100 + torch.tensor([0, 0, 200, 200]))
        times = []
        for _ in range(5):
            start = time.perf_counter()
            segmenter.decode_batch(embedding, prompts, True)
            times.append(time.perf_counter() - start)
        found[n] = 1e3 * min(times) / n
    return found


def measure_overhead(segmenter: Segmenter, entries: list[Entry]) -> dict[str, float]:
    """Share of a run's wall time that is not the model's: neither encoding, decoding nor upsampling."""
    watch = Stopwatch()

    def load(entry: Entry) -> tuple[Sample, Prepared]:
        sample = load_sample(entry)
        return sample, segmenter.prepare(sample.image)

    with tempfile.TemporaryDirectory() as folder:
        store, rows = CellStore(Path(folder), len(entries)), []
        start = time.perf_counter()
        for i, (sample, prepared) in enumerate(
            track(prefetch(load, entries), "Whole run", total=len(entries))
        ):
            with watch("encode"):
                (embedding,) = segmenter.embed([prepared])
            rows += GtBox().evaluate(segmenter, embedding, sample, PAPER, watch)
            if i % SHARD_IMAGES == SHARD_IMAGES - 1:
                store.write(i, encode_shard(rows, {}, GtBox.schema))
                rows = []
        wall = time.perf_counter() - start
    model = sum(watch.seconds[stage] for stage in ("encode", "decode", "upsample"))
    return {"wall_s": wall, "model_s": model, "overhead_percent": 100 * (wall - model) / wall}


def summarise(bench: Bench) -> dict[str, float]:
    """Ratios of sums over all images."""
    stages = ("decode", "upsample", "score")
    suite_s = sum(bench.ours.seconds[s] for s in stages)
    plain_s = sum(bench.plain[s] for s in (*stages, "look up"))
    objects = sum(s["objects"] for s in bench.samples)
    return {
        "objects": objects,
        "median_objects_an_image": statistics.median(s["objects"] for s in bench.samples),
        "suite_ms_a_prompt": 1e3 * suite_s / objects,
        "plain_ms_a_prompt": 1e3 * plain_s / objects,
        "times_faster": plain_s / suite_s,
        "whole_times_faster": sum(bench.plain.values()) / sum(bench.ours.seconds.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="folder in COCO's layout; shapes are drawn where it is missing"
    )
    parser.add_argument("--model", default="efficientvit_sam_l0")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument(
        "--memory", action="store_true", help="measure peak memory on a large annotation file"
    )
    arguments = parser.parse_args()
    result = measure_memory() if arguments.memory else run(arguments)
    name = "memory" if arguments.memory else f"suites-{arguments.model}"
    facts = {"date": time.strftime("%Y-%m-%d"), "device": device_name("cpu")}
    facts |= {"versions": versions(), "git": git_state()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(facts | result, indent=1) + "\n")
    shown = {k: v for k, v in result.items() if k != "samples"}
    print(json.dumps(shown, indent=1))
    print(RESULTS / f"{name}.json")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything but memory."""
    kept = keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        images, annotations = _data(arguments, Path(folder))
        entries = CocoDataset(images, annotations).entries[: arguments.images]
        segmenter = golden_segmenter(arguments.model)
        segmenter.encode([np.zeros((64, 64, 3), np.uint8)])  # first-call costs stay out
        context = multiprocessing.get_context("spawn")
        start = (arguments.model, images, annotations)
        with ProcessPoolExecutor(1, context, initializer=plain.start, initargs=start) as other:
            bench = Bench(segmenter, entries, other)
            worst = measure_boxes(bench)
            clicker = measure_clicker(bench, images=10)
        return {
            "images": len(entries),
            "keep_freed_memory": kept,
            "boxes": summarise(bench),
            "largest_iou_difference": worst,
            "suite_s": dict(bench.ours.seconds),
            "plain_s": dict(bench.plain),
            "clicker": clicker,
            "decoder_ms_a_prompt_by_batch": measure_batches(segmenter, load_sample(entries[0]).image),
            "overhead": measure_overhead(segmenter, entries),
            "samples": bench.samples,
        }


def _data(arguments: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    if arguments.data is not None:
        return arguments.data / "val2017", arguments.data / "annotations/instances_val2017.json"
    made = make_shapes(folder / "shapes", arguments.images, 0).out
    return made / "images", made / "annotations/instances.json"


if __name__ == "__main__":
    main()
