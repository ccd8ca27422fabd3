"""What a core reads, resizes, rasterises and scores a second, how it grows, and how long a GPU would wait.

    OMP_NUM_THREADS=1 python -m benchmarks.loader              # shapes, drawn into a temporary folder
    OMP_NUM_THREADS=1 python -m benchmarks.loader --data DIR   # --stages: CPU time alone, for a busy machine
    # DIR has val2017/ and annotations/instances_val2017.json

Models take no time here: ``box`` fills its boxes, and a GPU is a sleep without Python's lock, as long as an
A100 takes for an image by the paper. Stages are CPU time, which other work on the machine moves little.
Growth is of rates by the clock, which it moves much: one and several are timed in turn, between them those of
``machine``, hashing, which two idle cores do exactly twice as fast; and the best of all rounds is kept too.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import torch
from rich.progress import track

from benchmarks.suites import RESULTS
from sambench.adapters import create
from sambench.adapters.images import read_image
from sambench.evsam import geometry
from sambench.evsam.memory import keep_freed_memory
from sambench.harness.provenance import device_name, git_state, versions
from sambench.suites.base import Stopwatch
from sambench.suites.click.suite import Click
from sambench.suites.data import loading
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.fingerprints import with_digests
from sambench.suites.data.loaders import Loaders
from sambench.suites.data.masks import decode_window
from sambench.suites.data.sample import Sample, load_sample
from sambench.suites.data.shapes import make_shapes
from sambench.suites.gt_box import GtBox
from sambench.suites.protocol import PRESETS

PAPER = PRESETS["paper"]
A100 = {"efficientvit_sam_l0": (762, 512), "efficientvit_sam_xl1": (182, 1024), "sam_vit_h": (11, 1024)}
"""Images a second and pixels of a side (arXiv:2402.05008v2, table 1: encoder, TensorRT, fp16, batch 16)."""
HASHED = 4_000_000  # bytes, some 15 ms: about what an image takes


def stages(entries: list[Entry], rounds: int) -> dict[str, float]:
    """Milliseconds of one core an image, by stage; medians over rounds."""
    samples = [load_sample(entry) for entry in entries]
    sides: dict[str, Callable[[], Any]] = {
        "read and hash": lambda: [hashlib.sha256(e.file.read_bytes()).digest() for e in entries],
        "read, hash, decode": lambda: [read_image(e.file, e.stated, sha256=e.sha256) for e in entries],
        "rasterise": lambda: [
            decode_window(a.segmentation, e.stated or (1, 1), "") for e in entries for a in e.annotations
        ],
        "all of load_sample": lambda: list(map(load_sample, entries)),
        "prepare to 512": lambda: [geometry.preprocess(s.image, 512) for s in samples],
        "prepare to 1024": lambda: [geometry.preprocess(s.image, 1024) for s in samples],
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for name in track([name for _ in range(rounds) for name in sides], "stages"):
        start = time.process_time()
        sides[name]()
        taken[name].append(1000 * (time.process_time() - start) / len(entries))
    return {name: statistics.median(times) for name, times in taken.items()} | scored(samples)


def scored(samples: list[Sample]) -> dict[str, float]:
    """Milliseconds an image of what suites do beside the model, with boxes for masks."""
    box, found = create("box"), dict[str, float]()
    with mock.patch.object(time, "perf_counter", time.process_time):
        for suite in (GtBox(), Click()):
            watch = Stopwatch()
            for sample in track(samples, suite.name):
                (embedding,) = box.encode([sample.image])
                suite.evaluate(box, embedding, sample, PAPER, watch)
            for stage, seconds in watch.seconds.items():
                if stage not in ("decode", "upsample"):
                    found[f"{suite.name}: {stage}"] = 1000 * seconds / len(samples)
    return found


def hash_some(_: Any = None) -> None:
    """Compute without Python's lock."""
    hashlib.sha256(bytes(HASHED)).digest()


def threads(count: int, work: Callable[[Any], Any], items: list[Any]) -> float:
    """Items a second by threads."""
    with ThreadPoolExecutor(count) as pool:
        pool.submit(hash_some).result()
        start = time.perf_counter()
        for _ in pool.map(work, items):
            pass
        return len(items) / (time.perf_counter() - start)


def processes(count: int, entries: list[Entry]) -> float:
    """Images a second by processes, once they have started."""
    with Loaders(count) as loaders:
        first = 4 * count
        samples = loaders.samples(entries[:1] * first + entries)
        for _ in range(first):
            next(samples)()
        start = time.perf_counter()
        for found in samples:
            found()
        return len(entries) / (time.perf_counter() - start)


def prepared(sample: Sample) -> Any:
    """Prepare as most models with an input of 512 pixels do."""
    return geometry.preprocess(sample.image, 512)


def read_and_prepare(entry: Entry) -> Any:
    """Do what a thread does ahead of the model."""
    return prepared(load_sample(entry))


def worker(
    core: int, entries: list[Entry], ready: Any, go: Any, ended: Any, own: Callable[[Entry], Any]
) -> None:
    """Take a core, and do a worker's part of the shards with a model that takes no time."""
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_freed_memory()
    own(entries[0])
    ready.release()
    go.acquire()
    for entry in entries:
        own(entry)
    ended.release()


def workers(count: int, entries: list[Entry], own: Callable[[Entry], Any]) -> float:
    """Images a second by workers with a core and a share of the images each, once they are open."""
    context = multiprocessing.get_context("spawn")
    ready, go, ended = (context.Semaphore(0) for _ in range(3))
    cores = sorted(os.sched_getaffinity(0))
    started = []
    for i in range(count):
        given = (cores[i % len(cores)], entries[i::count], ready, go, ended, own)
        started.append(context.Process(target=worker, args=given))
    for process in started:
        process.start()
    for _ in started:
        ready.acquire()
    start = time.perf_counter()
    for _ in started:
        go.release()
    for _ in started:
        ended.acquire()
    taken = time.perf_counter() - start
    for process in started:
        process.join()
    return len(entries) / taken


def growth(entries: list[Entry], rounds: int) -> dict[str, Any]:
    """Rates by side and count; how they grow from one to several, and hashing between them."""

    def by(kind: str, n: int, what: Callable[[Any], Any]) -> float:
        return workers(n, entries, what) if kind == "workers" else threads(n, what, entries)

    found: dict[str, Any] = {}
    sides = [("threads", 2), ("threads", 4), ("threads that prepare", 2), ("threads that prepare", 4)]
    sides += [("processes", 2), ("workers", 2)]
    for kind, n in track([side for _ in range(rounds) for side in sides], "growth"):
        rates = {}
        for count in random.sample((1, n), 2):
            if kind == "processes":
                rates[count] = processes(count, entries)
            else:
                rates[count] = by(kind, count, load_sample if kind == "threads" else read_and_prepare)
            rates[-count] = by(kind, count, hash_some)
        kept = found.setdefault(f"{n} {kind}", {"one": [], "several": [], "machine": []})
        kept["one"].append(rates[1])
        kept["several"].append(rates[n])
        kept["machine"].append(rates[-n] / rates[-1])
    for its in found.values():
        ratios = [b / a for a, b in zip(its["one"], its["several"], strict=True)]
        its["growth"] = statistics.median(ratios)
        its["growth_of_the_best"] = max(its["several"]) / max(its["one"])
        its["growth_of_hashing"] = statistics.median(its["machine"])
    return found


def waiting(entries: list[Entry], rounds: int) -> dict[str, Any]:
    """Of a GPU's time the part that it waits, by model, read by threads and by processes."""
    found: dict[str, Any] = {}
    for model, (rate, side) in A100.items():
        images = entries[: max(8, min(len(entries), 4 * rate))]
        for loaders in (0, 1, 2):
            parts = [waited(images, rate, side, loaders) for _ in range(rounds)]
            name = f"{model}, {loaders} processes" if loaders else f"{model}, threads"
            found[name] = {"waits": statistics.median(parts), "samples": parts}
    return found


def waited(entries: list[Entry], rate: int, side: int, loaders: int) -> float:
    """Return which part of the time goes by without an image at hand, after the first ones."""
    waits = busy = 0.0
    with (
        mock.patch.object(loading, "FEWEST_IMAGES", 0),
        contextlib.closing(
            loading.load(entries, lambda sample: geometry.preprocess(sample.image, side), loaders)
        ) as ready,
    ):
        next(ready)
        for _ in range(len(entries) - 1):
            start = time.perf_counter()
            next(ready)
            waits += time.perf_counter() - start
            start = time.perf_counter()
            time.sleep(1 / rate)
            busy += time.perf_counter() - start
    return waits / (waits + busy)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=117)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--stages", action="store_true", help="no growth and no waiting, which need idle cores"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        root = given.data
        if root is None:
            root = Path(folder, "shapes")
            make_shapes(root, given.images)
        images = root / "val2017" if given.data else root / "images"
        annotations = (
            root / "annotations" / "instances_val2017.json" if given.data else root / "instances.json"
        )
        dataset = CocoDataset(images, annotations)
        entries = with_digests(dataset.checked(dataset.entries[: given.images]))
        facts: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "device": device_name("cpu")}
        facts |= {"versions": versions("numpy", "pillow", "pycocotools", "torch"), "git": git_state()}
        facts |= {"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0], "images": len(entries)}
        facts["objects_an_image"] = sum(len(e.annotations) for e in entries) / len(entries)
        facts["ms_an_image"] = stages(entries, given.rounds)
        if not given.stages:
            facts["growth"] = growth(entries, given.rounds)
            facts["waiting"] = waiting(entries, given.rounds)
    name = "loader-coco.json" if given.data else "loader-shapes.json"
    RESULTS.joinpath(name).write_text(json.dumps(facts, indent=1) + "\n")
    shown = {key: value for key, value in facts.items() if key not in ("growth", "waiting")}
    print(json.dumps(shown, indent=1))
    for section in ("growth", "waiting"):
        for side, its in facts.get(section, {}).items():
            print(side, *(f"{key} {value:.3g}" for key, value in its.items() if isinstance(value, float)))


if __name__ == "__main__":
    main()
