"""How fast engines are beside the released way of computing, on one machine, in one run.

    python -m benchmarks.engines --data DIR           # EfficientViT-SAM-L0 on the engines of ENGINES
    python -m benchmarks.engines --data DIR --engines eager:fp32,openvino:bf16 --images 80

DIR has val2017 and annotations/instances_val2017.json. Each side has a process of its own, with the same
weights; one works at a time. Image after image, every side encodes it, decodes all its boxes and scores the
masks, in an order drawn anew for each image; then the encoder alone and the decoder at 1 and 64 prompts are
timed the same way. The first side, ``plain``, computes as the authors' code does (`benchmarks.plain`).

A processor with AVX2 alone computes by other kernels. One with more can be held to them, in PyTorch and
OpenVINO: ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2. ONNX Runtime has no
such switch. Results are named by the instruction set, and hold what the processor can and was held to.

Machines differ in how fast they are at the released code and at ours, so each time stands also beside the
rate of a 2048-cubed fp32 matrix product of PyTorch, measured between the images. On the machine of the
published comparison, the released code ran L0's encoder at 0.81 of that rate, its decoder at the cost of
10.6 GFLOP of it for one prompt and 24.7 GFLOP a prompt in a batch of 64.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from benchmarks import plain
from sambench import adapters
from sambench.adapters.base import Prompts, Segmenter
from sambench.evsam import geometry
from sambench.evsam.memory import keep_freed_memory
from sambench.harness.provenance import git_state, hardware, versions
from sambench.suites.base import Stopwatch
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample
from sambench.suites.environment import environment
from sambench.suites.gt_box import GtBox
from sambench.suites.protocol import PRESETS
from tests.golden import official

RESULTS = Path(__file__).parent / "results"
ENGINES = "eager:fp32,eager:bf16,compile:fp32,compile:bf16,onnxruntime:fp32,openvino:fp32,openvino:bf16"
RELEASED = {"encoder_share": 0.81, "decoder_1_gflop": 10.6, "decoder_64_gflop": 24.7}
"""The released code's costs in units of the product's rate (L0, fp32 eager; see above)."""
SIDE = 2048  # of the matrix product

_segmenter: Segmenter | None = None


def start(model: str, weights: str, engine: str, precision: str, images: Path, annotations: Path) -> None:
    """Make this process the one of an engine; ``plain`` is the released way."""
    global _segmenter  # noqa: PLW0603 - a worker process has no other place to keep it
    plain.start(model, images, annotations)
    if engine != "plain":
        keep_freed_memory()
        _segmenter = adapters.create(model, weights=weights, engine=engine, precision=precision)


def boxes(image_id: int) -> tuple[dict[int, float], dict[str, float]]:
    """Evaluate the boxes of an image: IoU by annotation, and seconds by stage."""
    if _segmenter is None:
        return plain.boxes(image_id)
    watch = Stopwatch()
    with watch("read"):
        sample = load_sample(_entry(image_id))
    with watch("encode"):
        (embedding,) = _segmenter.encode([sample.image])
    rows = GtBox().evaluate(_segmenter, embedding, sample, PRESETS["paper"], watch)
    return {row["ann_id"]: row["iou"] for row in rows}, dict(watch.seconds)


def encoder(image_id: int) -> float:
    """Seconds of the image encoder alone."""
    image = load_sample(_entry(image_id)).image
    if _segmenter is None:
        model = _plain_loop().model
        pixels = geometry.preprocess(image, model.input_size)[None]
        return _timed(lambda: model.image_encoder(pixels))
    own = _segmenter
    pixels = own.prepare(image).pixels[None]
    return _timed(lambda: own.run_encoder(pixels))


def decoder(image_id: int, prompts: int) -> float:
    """Seconds a prompt of prompt encoder and mask decoder, for boxes drawn from a seed."""
    image = load_sample(_entry(image_id)).image
    corners = np.random.default_rng(image_id).uniform(0, 1, (prompts, 2, 2)) * image.shape[1::-1]
    drawn = torch.from_numpy(np.concatenate([corners.min(1), corners.max(1)], axis=1)).float()
    if _segmenter is None:
        predictor = plain.PlainPredictor(_plain_loop().model)
        predictor.set_image(image)
        framed = geometry.to_prompt_frame(drawn.reshape(-1, 2, 2), image.shape[:2]).reshape(-1, 4)
        encode = predictor.model.prompt_encoder
        return _timed(lambda: predictor.decode(*encode(boxes=framed))) / prompts
    own = _segmenter
    (embedding,) = own.encode([image])
    return _timed(lambda: own.decode_best(embedding, Prompts(boxes=drawn))) / prompts


def product() -> float:
    """FLOP a second of an fp32 matrix product."""
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    return 2 * SIDE**3 / _timed(lambda: a @ b)


@torch.inference_mode()
def _timed(work: Callable[[], Any]) -> float:
    """Seconds of a second call; the first brings weights and code into the caches, as in a loop."""
    work()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _plain_loop() -> plain.Loop:
    assert plain._loop is not None
    return plain._loop


def _entry(image_id: int) -> Any:
    return _plain_loop().entries[image_id]


@dataclass
class Side:
    """One way of computing, its process, and what was measured of it."""

    name: str
    process: ProcessPoolExecutor
    stages: Counter[str] = field(default_factory=Counter)
    ious: dict[int, float] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)

    def call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return self.process.submit(work, *arguments).result()

    def note(self, what: str, seconds: float) -> None:
        self.samples.setdefault(what, []).append(seconds)


def measure(sides: list[Side], image_ids: list[int], alone: int) -> list[float]:
    """Let all sides work on all images in turn; return the product's rates along the way."""
    rng, rates = random.Random(0), []
    for i, image_id in enumerate(track(image_ids, "Images, every side in turn")):
        rates.append(sides[0].call(product))
        for side in rng.sample(sides, len(sides)):
            ious, seconds = side.call(boxes, image_id)
            side.ious |= ious
            side.stages.update(seconds)
            side.note("boxes", sum(seconds.values()))
        if i >= alone:
            continue
        for side in rng.sample(sides, len(sides)):
            side.note("encoder", side.call(encoder, image_id))
            side.note("decoder_1", side.call(decoder, image_id, 1))
            side.note("decoder_64", side.call(decoder, image_id, 64))
    return rates


def summarise(sides: list[Side], rate: float, macs: float) -> list[dict[str, Any]]:
    """One row a side: medians, ratios to the plain side and to the released code at this run's rate."""
    released = {
        "encoder": 2 * macs / (RELEASED["encoder_share"] * rate),
        "decoder_1": 1e9 * RELEASED["decoder_1_gflop"] / rate,
        "decoder_64": 1e9 * RELEASED["decoder_64_gflop"] / rate,
    }
    first, rows = sides[0], []
    for side in sides:
        row: dict[str, Any] = {"side": side.name}
        for what in ("encoder", "decoder_1", "decoder_64"):
            middle = statistics.median(side.samples[what])
            row[f"{what}_ms"] = 1e3 * middle
            row[f"{what}_times"] = statistics.median(first.samples[what]) / middle
            row[f"{what}_times_by_rate"] = released[what] / middle
        row["boxes_s"] = sum(side.samples["boxes"])
        row["boxes_times"] = sum(first.samples["boxes"]) / row["boxes_s"]
        row["miou"] = 100 * statistics.mean(side.ious.values())
        row["miou_difference"] = row["miou"] - 100 * statistics.mean(first.ious.values())
        row["stages_s"] = dict(side.stages)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder in COCO's layout")
    parser.add_argument("--model", default="efficientvit_sam_l0")
    parser.add_argument("--engines", default=ENGINES, help="engine:precision, comma-separated")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--alone", type=int, default=9, help="images to time encoder and decoder alone on")
    arguments = parser.parse_args()
    images = arguments.data / "val2017"
    annotations = arguments.data / "annotations/instances_val2017.json"
    entries = [e for e in CocoDataset(images, annotations).entries if load_sample(e).targets]
    ids = [e.record.id for e in entries[: arguments.images]]
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        weights = str(official.write_checkpoint(arguments.model, Path(folder)))
        sides = []
        for name in ["plain:fp32", *arguments.engines.split(",")]:
            given = (arguments.model, weights, *name.split(":"), images, annotations)
            sides.append(Side(name, ProcessPoolExecutor(1, context, initializer=start, initargs=given)))
        for side in track(sides, "Starting, and building what engines build"):
            side.call(boxes, ids[0])
            side.call(decoder, ids[0], 64)
        rates = measure(sides, ids, arguments.alone)
        for side in sides:
            side.process.shutdown()
    write(arguments, sides, rates)


def write(arguments: argparse.Namespace, sides: list[Side], rates: list[float]) -> None:
    """Write and print what was measured."""
    from sambench.adapters.profile import profile

    rate, machine = statistics.median(rates), hardware("cpu")
    rows = summarise(sides, rate, profile(arguments.model).encoder.macs.plain)
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "hardware": dataclasses.asdict(machine),
        "environment": environment(),
        "versions": versions("onnxruntime", "openvino"),
        "git": git_state(),
        "model": arguments.model,
        "images": len(sides[0].samples["boxes"]),
        "objects": len(sides[0].ious),
        "product_gflop_s": {"median": rate / 1e9, "samples": [r / 1e9 for r in rates]},
        "rows": rows,
        "samples": {side.name: side.samples for side in sides},
    }
    file = RESULTS / f"engines-{arguments.model}-{machine.cpu_capability.lower()}.json"
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(rows, indent=1))
    print(f"matrix product {rate / 1e9:.0f} GFLOP/s\n{file}")


if __name__ == "__main__":
    main()
