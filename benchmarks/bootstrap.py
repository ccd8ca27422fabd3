"""Seconds to resample average precision at the sizes of COCO and LVIS, and what others take for a piece.

    python -m benchmarks.bootstrap                     # a quarter of an hour on one core
    python -m benchmarks.bootstrap --cases piece coco

Detectors' boxes are drawn near objects that are drawn too, and matched: what that adds to the evaluation,
the size of the file of evidence, and 2,000 resamples with the intervals of every metric, in CPU seconds. Each
case has a process of its own; ``mb_peak`` is all that it has held, libraries, results and annotations
included. The piece is small enough for two others: pycocotools on data sets really drawn, a loop, and
``hotcoco.compare``. Results go to ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hotcoco
import numpy as np
import pyarrow as pa

from benchmarks.memory import peak
from benchmarks.suites import RESULTS
from sambench.harness.provenance import device_name, git_state, versions
from sambench.suites.scoring.average_precision import evaluate, evaluate_and_match
from sambench.suites.scoring.batches import Batch, batches
from sambench.suites.scoring.bootstrap import RESAMPLES, draws
from sambench.suites.scoring.evaluators import matched_by_hotcoco
from sambench.suites.scoring.evidence import encode
from sambench.suites.scoring.ground_truth import GroundTruth, Style
from sambench.suites.scoring.matches import Matches

HEIGHT, WIDTH = 480, 640
SIDES = (8, 300)  # pixels of a box
SHARE_OF_OBJECTS = 0.6
"""Of the results, how many are near an object and of its category."""


@dataclass(frozen=True)
class Size:
    """How much there is of what is drawn."""

    images: int
    categories: int
    objects: int
    results: int  # an image
    style: Style = "coco"


CASES = {
    "piece": Size(200, 8, 1_500, 20),
    "coco": Size(5_000, 80, 36_000, 20),
    "coco_500_000": Size(5_000, 80, 36_000, 100),
    "lvis": Size(19_809, 1_203, 244_707, 300, "lvis"),
}
"""COCO val2017 with 100,000 and with 500,000 results; LVIS v1 val with 300 an image."""


def world(size: Size, file: Path) -> pa.Table:
    """Write annotations of boxes, and return results near them; common categories and rare ones."""
    rng, n = np.random.default_rng(0), size.objects
    owner, often = np.sort(rng.integers(0, size.images, n)), 1 / np.arange(1, size.categories + 1)
    category = rng.choice(size.categories, n, p=often / often.sum())
    side = np.exp(rng.uniform(*np.log(SIDES), (n, 2)))
    corner = rng.random((n, 2)) * (np.array([WIDTH, HEIGHT]) - side)
    boxes = np.concatenate([corner, side], axis=1)
    file.write_text(json.dumps(_annotations(size, rng, owner + 1, category + 1, boxes)))
    image = np.repeat(np.arange(size.images), size.results)
    first, last = (np.searchsorted(owner, image, side=edge) for edge in ("left", "right"))
    near = np.minimum(first + (rng.random(len(image)) * (last - first)).astype(int), n - 1)
    off = rng.normal(0, 1, (len(image), 4)) * rng.exponential(0.08, (len(image), 1))
    found = boxes[near] + off * np.tile(side[near], 2)
    strange = (rng.random(len(image)) > SHARE_OF_OBJECTS) | (last == first)
    classes = np.where(strange, rng.integers(0, size.categories, len(image)), category[near])
    score = 1 / (1 + np.exp(2 * strange + 8 * np.abs(off).mean(axis=1) + rng.normal(0, 1, len(image))))
    found[:, 2:] = np.maximum(found[:, 2:], 1)
    return pa.table(
        {
            "image_id": image + 1,
            "category_id": classes + 1,
            "score": score,
            "bbox": pa.FixedSizeListArray.from_arrays(pa.array(found.ravel()), 4),
        }
    )


def _annotations(
    size: Size, rng: np.random.Generator, owner: np.ndarray, category: np.ndarray, boxes: np.ndarray
) -> dict[str, Any]:
    absent = rng.integers(1, size.categories + 1, (size.images, 10))
    shape = {"height": HEIGHT, "width": WIDTH, "not_exhaustive_category_ids": []}
    images = [{"id": i, "neg_category_ids": row} | shape for i, row in enumerate(absent.tolist(), start=1)]
    made = [
        {"id": i, "image_id": image, "category_id": c, "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
        | {"segmentation": [[x, y, x + w, y, x + w, y + h]]}
        for i, (image, c, (x, y, w, h)) in enumerate(
            zip(owner.tolist(), category.tolist(), boxes.tolist(), strict=True), start=1
        )
    ]
    categories = [{"id": c, "name": str(c), "frequency": "fcr"[c % 3]} for c in range(1, size.categories + 1)]
    return {"images": images, "annotations": made, "categories": categories}


def measure(case: str, folder: Path) -> dict[str, Any]:
    """Match and resample one case; of the piece, what others take too."""
    size, file = CASES[case], folder / f"{case}.json"
    results = world(size, file)
    truth = GroundTruth.open(file, style=size.style)
    before = peak()
    alone, numbers = timed(lambda: evaluate(truth, results, iou_type="bbox"))
    both, (_, evidence) = timed(lambda: evaluate_and_match(truth, results, iou_type="bbox"))
    assert evidence
    again, ours = timed(evidence.numbers)
    if any(abs((numbers[name] or 0) - (value or 0)) > 1e-9 for name, value in ours.items()):
        raise SystemExit(f"{case}: {numbers} by hotcoco, {ours} of its evidence.")
    resampling, intervals = timed(evidence.intervals)
    measured = {
        "results": results.num_rows,
        "kept": len(evidence.curve),
        "file_mb": round(len(encode(evidence)) / 2**20, 2),
        "mb_before": round(before),
        "mb_peak": round(peak()),
        "s": {"evaluate": alone, "and_match": both, "numbers_again": again, "resample": resampling},
        "ap": ours["ap"],
        "intervals": intervals,
    }
    if case == "piece":
        measured["s_a_resample"] = of_a_piece(truth, results, evidence, file, folder)
    return measured


def of_a_piece(
    truth: GroundTruth, results: pa.Table, evidence: Matches, file: Path, folder: Path
) -> dict[str, float]:
    """Seconds a resample: ours, pycocotools on data sets really drawn, and hotcoco's bootstrap."""
    drawn, content, some = next(draws(evidence.strata, 3)), json.loads(file.read_text()), 50
    want = evidence.resampled(drawn)[:, 0]
    slow, found = timed(lambda: [_really(content, results, row, folder) for row in drawn.astype(int)])
    if np.abs(np.array(found) - want).max() > 1e-9:
        raise SystemExit(f"piece: resampled {want}, really drawn {found}.")
    nothing = matched_by_hotcoco(truth, [Batch(list(range(1, 1 + len(truth.sizes))), [])], "bbox")
    job = matched_by_hotcoco(truth, batches(truth, results, "bbox"), "bbox")
    theirs, _ = timed(lambda: hotcoco.compare(nothing, job, n_bootstrap=some, seed=0, confidence=0.95))
    ours, _ = timed(evidence.intervals)
    return {
        "ours": ours / RESAMPLES,
        "pycocotools, really drawn": slow / len(drawn),
        "hotcoco.compare": theirs / some,
    }


def _really(content: dict[str, Any], results: pa.Table, times: np.ndarray, folder: Path) -> float | None:
    """Draw images, write them under ids of their own, and evaluate them in pycocotools."""
    old = np.repeat(np.arange(1, len(times) + 1), times)
    images = [content["images"][i - 1] | {"id": new} for new, i in enumerate(old.tolist(), start=1)]
    rows, owner, made = [], results["image_id"].to_numpy(), []
    for new, i in enumerate(old.tolist(), start=1):
        made += [a | {"image_id": new} for a in content["annotations"] if a["image_id"] == i]
        taken = results.filter(pa.array(owner == i))
        rows.append(taken.set_column(0, "image_id", pa.array([new] * taken.num_rows)))
    file = folder / "drawn.json"
    file.write_text(json.dumps(content | {"images": images, "annotations": made}))
    truth = GroundTruth.open(file, ids="from_one")
    return evaluate(truth, pa.concat_tables(rows), iou_type="bbox", evaluator="pycocotools")["ap"]


def timed(do: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of this process, and what was found."""
    start = time.process_time()
    found = do()
    return round(time.process_time() - start, 4), found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--alone", choices=CASES, help="do one case in this process")
    given = parser.parse_args()
    if given.alone:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(given.alone, Path(folder))))
        return
    result: dict[str, Any] = {"resamples": RESAMPLES}
    for case in given.cases:
        command = [sys.executable, "-m", "benchmarks.bootstrap", "--alone", case]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        result[case] = json.loads(done.stdout.splitlines()[-1])
        print(case, json.dumps(result[case], indent=1))
    facts: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "device": device_name("cpu")}
    facts |= {"versions": versions("hotcoco", "pycocotools"), "git": git_state()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bootstrap.json").write_text(json.dumps(facts | result, indent=1) + "\n")


if __name__ == "__main__":
    main()
