"""Reading detections, encoding masks, and average precision by each library.

    python -m benchmarks.detections            # a few minutes; lvis takes most of them
    python -m benchmarks.detections --turns 1

400,000 boxes in a file; the masks of 1,000 objects at 640x480; 5,000 images with 36,000 objects and
100,000 masks to score, the size of COCO val2017. Ways take turns, so that a noisy machine disturbs them
alike; numbers are medians over turns. All ways must agree, else there is no result. Results go to
``benchmarks/results/`` with the raw samples.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hotcoco
import numpy as np
import pyarrow as pa
from pycocotools import mask as official
from rich.progress import track

from benchmarks.memory import peak
from benchmarks.suites import RESULTS
from sambench.harness.provenance import device_name, git_state, versions
from sambench.suites.data.detections import Detections
from sambench.suites.data.rle import encode
from sambench.suites.scoring.average_precision import evaluate
from sambench.suites.scoring.ground_truth import GroundTruth

HEIGHT, WIDTH = 480, 640
BOXES = 400_000
MASKS = 1000
IMAGES, OBJECTS, FOUND, CATEGORIES = 5_000, 36_000, 100_000, 80
CORNERS = 24  # of a polygon; COCO's average is 25
RADII = (6, 150)  # pixels
Ways = dict[str, Callable[[], Any]]


def measure_reading(turns: int) -> dict[str, Any]:
    """Seconds to read and index a file of boxes, and what that adds to peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "boxes.json"
        write_boxes(file)
        before, size = peak(), file.stat().st_size / 2**20
        times = take_turns({"read": lambda: Detections(file)}, turns)
        return {"boxes": BOXES, "file_mb": size, "peak_mb_more": peak() - before, **times}


def measure_encoding(turns: int) -> dict[str, Any]:
    """Seconds to encode masks that lie row by row, as a model's masks do."""
    rng = np.random.default_rng(0)
    masks = np.empty((MASKS, HEIGHT, WIDTH), bool)
    for mask in track(masks, "Drawing masks"):
        mask[:] = official.decode(outline(*circle(rng)))
    pixels = masks.view(np.uint8)
    return {"masks": MASKS} | take_turns(
        {
            "encode": lambda: encode(masks),
            "hotcoco, row by row": lambda: [hotcoco.mask.encode(mask) for mask in masks],
            "pycocotools, numpy turns each": lambda: [
                official.encode(np.asfortranarray(mask)) for mask in pixels
            ],
            "pycocotools, numpy turns all": lambda: official.encode(
                np.asfortranarray(pixels.transpose(1, 2, 0))
            ),
        },
        turns,
        agree=lambda one, other: one == other,
    )


def measure_average_precision(turns: int) -> dict[str, Any]:
    """Seconds to evaluate masks, sorting them included, and to read the annotations, which is done once."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "annotations.json"
        found = write_world(file, rng)
        start = time.perf_counter()
        truths = {"coco": GroundTruth.open(file), "lvis": GroundTruth.open(file, style="lvis")}
        opened = (time.perf_counter() - start) / len(truths)

        def by(style: str, evaluator: Any) -> Callable[[], Any]:
            return lambda: evaluate(truths[style], found, iou_type="segm", evaluator=evaluator)

        coco: Ways = {"hotcoco": by("coco", "hotcoco"), "pycocotools": by("coco", "pycocotools")}
        lvis: Ways = {"hotcoco": by("lvis", "hotcoco"), "lvis": by("lvis", "lvis")}
        return {
            "images": IMAGES,
            "objects": OBJECTS,
            "results": FOUND,
            "open_s": opened,
            "coco": take_turns(coco, turns, agree=same_numbers) | {"metrics": coco["hotcoco"]()},
            "lvis": take_turns(lvis, turns, agree=same_numbers) | {"metrics": lvis["hotcoco"]()},
        }


def take_turns(ways: Ways, turns: int, agree: Callable[[Any, Any], bool] | None = None) -> dict[str, Any]:
    """Run the ways in turn; return the median seconds of each, and all of them."""
    samples: dict[str, list[float]] = {way: [] for way in ways}
    for _ in track(range(turns), ", ".join(ways)):
        outcomes = []
        for way, run in ways.items():
            start = time.perf_counter()
            outcomes.append(run())
            samples[way].append(time.perf_counter() - start)
        assert agree is None or all(agree(outcomes[0], o) for o in outcomes), "the ways disagree"
    return {"median_s": {way: statistics.median(s) for way, s in samples.items()}, "samples_s": samples}


def same_numbers(one: dict[str, float | None], other: dict[str, float | None]) -> bool:
    """Whether two evaluations agree to 1e-6 percent."""
    return one.keys() == other.keys() and all(
        (a is None and b is None) or (a is not None and b is not None and abs(a - b) < 1e-6)
        for a, b in zip(one.values(), other.values(), strict=True)
    )


def write_boxes(file: Path) -> None:
    """Write a result file box by box, so that making it sets no peak."""
    rng = np.random.default_rng(0)
    with file.open("w") as out:
        for i in track(range(BOXES), "Writing boxes"):
            entry = {
                "image_id": int(rng.integers(IMAGES)),
                "category_id": int(rng.integers(1, CATEGORIES + 1)),
                "bbox": rng.uniform(0, 400, 4).tolist(),
                "score": rng.random(),
            }
            out.write(("," if i else "[") + json.dumps(entry))
        out.write("]")


def circle(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Draw a centre (x, y) and a radius, small ones as often as large ones."""
    return rng.uniform(40, 440, 2), float(np.exp(rng.uniform(*np.log(RADII))))


def polygon(centre: np.ndarray, radius: float) -> list[float]:
    """Return x, y, x, y, ... around a circle."""
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    return (centre + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)).round(2).ravel().tolist()


def outline(centre: np.ndarray, radius: float) -> dict[str, Any]:
    """Encode the polygon around a circle."""
    (mask,) = official.frPyObjects([polygon(centre, radius)], HEIGHT, WIDTH)
    return mask


def write_world(file: Path, rng: np.random.Generator) -> pa.Table:
    """Write annotations, of both styles at once, and return masks near them in no order."""
    owners = rng.integers(1, IMAGES + 1, OBJECTS)
    classes = rng.integers(1, CATEGORIES + 1, OBJECTS)
    circles = [circle(rng) for _ in range(OBJECTS)]
    annotations = [
        {
            "id": i,
            "image_id": int(owner),
            "category_id": int(of_class),
            "bbox": [*(centre - radius).tolist(), 2 * radius, 2 * radius],
            "area": float(np.pi * radius**2),
            "segmentation": [polygon(centre, radius)],
        }
        for i, (owner, of_class, (centre, radius)) in enumerate(
            zip(owners, classes, circles, strict=True), start=1
        )
    ]
    every = list(range(1, CATEGORIES + 1))
    size = {"height": HEIGHT, "width": WIDTH, "neg_category_ids": every, "not_exhaustive_category_ids": []}
    content = {
        "images": [{"id": i} | size for i in range(1, IMAGES + 1)],
        "annotations": annotations,
        "categories": [{"id": c, "name": str(c), "frequency": "rcf"[c % 3]} for c in every],
    }
    file.write_text(json.dumps(content))
    near = rng.integers(0, OBJECTS, FOUND)
    masks = []
    for i in track(near, "Drawing results"):
        centre, radius = circles[i]
        dx, dy, growth = rng.normal(0, 0.08, 3)
        masks.append(outline(centre + radius * np.array([dx, dy]), radius * (1 + growth)))
    return pa.table(
        {
            "image_id": owners[near],
            "category_id": classes[near],
            "score": rng.random(FOUND).round(3),
            "segmentation": [json.dumps({**mask, "counts": mask["counts"].decode()}) for mask in masks],
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    result = {
        "reading": measure_reading(turns),
        "encoding": measure_encoding(turns),
        "average_precision": measure_average_precision(turns),
    }
    facts: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "device": device_name("cpu")}
    facts |= {"versions": versions("hotcoco", "lvis", "msgspec"), "git": git_state()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "detections.json").write_text(json.dumps(facts | result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    print(RESULTS / "detections.json")


if __name__ == "__main__":
    main()
