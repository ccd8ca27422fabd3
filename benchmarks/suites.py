"""Where the time of an evaluation goes, beside a plain loop that does what the paper's script does.

    python -m benchmarks.suites              # shapes, drawn into a temporary folder
    python -m benchmarks.suites --data DIR   # DIR/val2017 and DIR/annotations/instances_val2017.json
    python -m benchmarks.suites --memory     # peak memory at 20,000 images and 250,000 annotations

Both sides run in one process on the same images, one after the other for each image, so that a noisy
machine disturbs them alike; ratios are of sums. The plain loop shares the model's weights and its encoder,
and nothing else: it decodes one prompt at a time by the textbook forms of the layers (`benchmarks.plain`),
resizes all three masks, and compares in numpy. Weights are those of the golden data: with PyTorch's default initialisation
logits hover so near the threshold that no two orders of summation agree on a mask. Results go to
``benchmarks/results/`` with the raw samples.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

import evsam
from adapters.base import Prompts, Segmenter, Weights
from adapters.efficientvit_sam import EfficientViTSamSegmenter
from benchmarks.plain import PlainClicker, PlainPredictor, scan_annotations
from evsam.memory import keep_freed_memory
from harness.provenance import device_name, git_state, versions
from harness.store import CellStore
from suites.base import Record, Stopwatch
from suites.click import Click
from suites.coco import CocoDataset, Entry
from suites.gt_box import GtBox
from suites.protocol import PRESETS
from suites.sample import Sample, ahead, load_sample
from tests.golden import golden

RESULTS = Path(__file__).parent / "results"
PAPER = PRESETS["paper"]


@dataclass
class Bench:
    """Seconds by stage of the suites and of the plain loop, and one sample an image."""

    segmenter: Segmenter
    ours: Stopwatch = field(default_factory=Stopwatch)
    plain: Stopwatch = field(default_factory=Stopwatch)
    samples: list[dict] = field(default_factory=list)


def measure(bench: Bench, dataset: CocoDataset, entries: list[Entry], annotations: list[dict]) -> float:
    """Evaluate images both ways; return the largest difference of an IoU between them."""
    predictor = PlainPredictor(bench.segmenter.model)
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        store = CellStore(Path(folder), len(entries))
        for i, entry in enumerate(track(entries, "Boxes, suite and plain loop")):
            with bench.ours("read"):
                sample = load_sample(entry)
            rows = _suite(bench, sample)
            with bench.ours("write"):
                store.write(i, rows, {}, GtBox().schema)
            want = _plain(bench, predictor, sample, annotations)
            worst = max([worst, *(abs(row["iou"] - want[row["ann_id"]]) for row in rows)])
            bench.samples.append({"image_id": sample.image_id, "objects": len(rows)} | _marks(bench))
    return worst


def _suite(bench: Bench, sample: Sample) -> list[Record]:
    with bench.ours("encode"):
        (embedding,) = bench.segmenter.encode([sample.image])
    return GtBox().evaluate(bench.segmenter, embedding, sample, PAPER, bench.ours)


def _plain(
    bench: Bench, predictor: PlainPredictor, sample: Sample, annotations: list[dict]
) -> dict[int, float]:
    with bench.plain("encode"):
        predictor.set_image(sample.image)
    with bench.plain("look up"):
        mine = scan_annotations(annotations, sample.image_id)
    truth = {t.ann_id: t.mask.full() for t in sample.targets}
    return {a["id"]: predictor.box_iou(a["bbox"], truth[a["id"]], bench.plain) for a in mine}


def _marks(bench: Bench) -> dict[str, float]:
    """Sums so far, so that any statistic can be made of their differences."""
    ours = {f"suite_{k}_s": v for k, v in bench.ours.seconds.items()}
    return ours | {f"plain_{k}_s": v for k, v in bench.plain.seconds.items()}


def measure_clicker(bench: Bench, entries: list[Entry]) -> dict[str, float]:
    """Milliseconds a click, placing alone, on the masks that the model predicts along the way."""
    watch, plain, clicks = Stopwatch(), Stopwatch(), 0
    for entry in track(entries, "Clicks, suite and plain clicker"):
        sample = load_sample(entry)
        (embedding,) = bench.segmenter.encode([sample.image])
        rows = Click().evaluate(bench.segmenter, embedding, sample, PAPER, watch)
        clicks += sum(len(row["points"]) for row in rows)
        with torch.inference_mode():
            replay = PlainClicker(bench.segmenter, embedding, plain)
            for target, row in zip(sample.targets, rows, strict=True):
                assert replay.points(target.mask.full(), row) == row["points"], "the clickers disagree"
    return {
        "clicks": clicks,
        "suite_ms": 1e3 * watch.seconds["click"] / clicks,
        "plain_ms": 1e3 * plain.seconds["click"] / clicks,
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


def measure_overhead(bench: Bench, entries: list[Entry]) -> dict[str, float]:
    """Share of a run's wall time that is not the model's: neither encoding, decoding nor upsampling."""
    watch = Stopwatch()
    segmenter = bench.segmenter
    with tempfile.TemporaryDirectory() as folder:
        store = CellStore(Path(folder), len(entries))
        start = time.perf_counter()
        loaded = ahead(lambda e: ((s := load_sample(e)), segmenter.prepare(s.image)), entries)
        for i, (sample, prepared) in enumerate(track(loaded, "Whole run", total=len(entries))):
            with watch("encode"):
                (embedding,) = segmenter.embed([prepared])
            rows = GtBox().evaluate(segmenter, embedding, sample, PAPER, watch)
            if i % 16 == 0:
                store.write(i, rows, {}, GtBox().schema)
        wall = time.perf_counter() - start
    model = sum(watch.seconds[stage] for stage in ("encode", "decode", "upsample"))
    return {"wall_s": wall, "model_s": model, "overhead_percent": 100 * (wall - model) / wall}


def summarise(bench: Bench) -> dict[str, float]:
    """Ratios of sums over all images."""
    stages = ("decode", "upsample", "score")
    suite = sum(bench.ours.seconds[s] for s in stages)
    plain = sum(bench.plain.seconds[s] for s in (*stages, "look up"))
    objects = sum(s["objects"] for s in bench.samples)
    return {
        "objects": objects,
        "suite_ms_a_prompt": 1e3 * suite / objects,
        "plain_ms_a_prompt": 1e3 * plain / objects,
        "times_faster": plain / suite,
        "whole_times_faster": sum(bench.plain.seconds.values()) / sum(bench.ours.seconds.values()),
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
    if arguments.memory:
        from benchmarks.memory import measure_memory

        result = measure_memory()
    else:
        result = run(arguments)
    name = "memory" if arguments.memory else f"suites-{arguments.model}"
    facts = {"date": time.strftime("%Y-%m-%d"), "device": device_name("cpu"), "machine": platform.machine()}
    facts |= {"versions": versions(), "git": git_state()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(facts | result, indent=1) + "\n")
    shown = {k: v for k, v in result.items() if k != "samples"}
    print(json.dumps(shown, indent=1))
    print(RESULTS / f"{name}.json")


def golden_segmenter(name: str) -> Segmenter:
    """A segmenter with the weights of the golden data."""
    model = golden.load_filled(evsam.create_model(name))
    return EfficientViTSamSegmenter(name, model, Weights("random"), torch.device("cpu"))


def run(arguments: argparse.Namespace) -> dict:
    """Measure everything but memory."""
    kept = keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.data is None:
            from suites.shapes import make_shapes

            made = make_shapes(Path(folder) / "shapes", arguments.images, 0).out
            images, annotations = made / "images", made / "annotations/instances.json"
        else:
            images = arguments.data / "val2017"
            annotations = arguments.data / "annotations/instances_val2017.json"
        dataset = CocoDataset("bench", images, annotations)
        entries = dataset.entries[: arguments.images]
        bench = Bench(golden_segmenter(arguments.model))
        bench.segmenter.encode([np.zeros((64, 64, 3), np.uint8)])  # first-call costs stay out
        raw = json.loads(annotations.read_text())["annotations"]
        worst = measure(bench, dataset, entries, raw)
        result = {
            "images": len(entries),
            "keep_freed_memory": kept,
            "boxes": summarise(bench),
            "largest_iou_difference": worst,
            "suite_s": dict(bench.ours.seconds),
            "plain_s": dict(bench.plain.seconds),
            "clicker": measure_clicker(bench, entries[:10]),
            "decoder_ms_a_prompt_by_batch": measure_batches(bench.segmenter, load_sample(entries[0]).image),
            "overhead": measure_overhead(bench, entries),
            "median_objects_an_image": statistics.median(s["objects"] for s in bench.samples),
            "samples": bench.samples,
        }
    result["clicker"]["times_faster"] = result["clicker"]["plain_ms"] / result["clicker"]["suite_ms"]
    return result


if __name__ == "__main__":
    main()
