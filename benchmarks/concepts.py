"""Scoring phrases: drawn pairs of image and phrase through `harness.score`, with one and three annotators.

    python -m benchmarks.concepts                 # 10,000 pairs, under two minutes
    python -m benchmarks.concepts --pairs 1000

Half of the pairs are negative; the others have up to seven objects, discs in images of 960 x 720, and all of
them are found, with two instances too many at the most. The time is of a whole command, reading included.
Results go to ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from benchmarks.suites import RESULTS
from sambench.harness.provenance import device_name, git_state, versions
from sambench.harness.score import score
from sambench.suites.protocol import make_protocol

HEIGHT, WIDTH = 720, 960
DISCS = 3_000
"""Different masks, from which all are drawn."""
SEEN = 0.9
"""Share of the objects that each annotator drew."""


def main() -> None:
    """Draw, score, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=10_000)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        annotators, predictions, counts = draw(Path(folder), pairs)
        found = {f"annotators_{n}": measure(annotators[:n], predictions) for n in (1, 3)}
    result = {"pairs": pairs, **counts, **found}
    print(json.dumps(result, indent=1))
    facts = {"device": device_name("cpu"), "git": git_state(), "versions": versions()}
    (RESULTS / "concepts-cpu.json").write_text(json.dumps({**result, **facts}, indent=1) + "\n")


def measure(annotators: list[Path], predictions: Path) -> dict[str, float]:
    """Seconds of the processor, and of the clock, that scoring takes, and what it gives."""
    cpu, wall = time.process_time(), time.perf_counter()
    scores = score("concept", annotators, predictions, protocol=make_protocol("strict")).scores
    spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    return spent | {"cgf1": float(scores.metrics["cgf1"] or 0)}


def draw(folder: Path, pairs: int) -> tuple[list[Path], Path, dict[str, int]]:
    """Write three annotators' files and one of predictions."""
    rng = np.random.default_rng(0)
    discs = [_disc(rng) for _ in range(DISCS)]
    images: list[dict[str, Any]] = []
    objects: list[list[dict[str, Any]]] = [[], [], []]
    found: list[dict[str, Any]] = []
    for i in range(pairs):
        size = {"height": HEIGHT, "width": WIDTH, "is_instance_exhaustive": 1}
        images.append({"id": i, "file_name": f"{i // 4}.jpg", "text_input": f"thing {i}", **size})
        there = rng.integers(0, DISCS, rng.integers(0, 8) if rng.random() < 0.5 else 0).tolist()
        for mine in objects:
            seen = [one for one in there if rng.random() < SEEN]
            mine += [_object(number, i, discs[one]) for number, one in enumerate(seen, len(mine) + 1)]
        for one in [*there, *rng.integers(0, DISCS, rng.integers(0, 3)).tolist()]:
            found.append({"image_id": i, "score": float(rng.random()), "segmentation": discs[one]})
    files = []
    for letter, mine in zip("abc", objects, strict=True):
        files.append(folder / f"{letter}.json")
        files[-1].write_text(json.dumps({"images": images, "annotations": mine}))
    predictions = folder / "predictions.json"
    predictions.write_text(json.dumps(found))
    return files, predictions, {"objects": len(objects[0]), "instances": len(found)}


def _disc(rng: np.random.Generator) -> dict[str, Any]:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    x, y, radius = rng.integers((50, 50, 5), (WIDTH - 50, HEIGHT - 50, 200))
    mask = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    code = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": code["size"], "counts": code["counts"].decode()}


def _object(number: int, pair: int, mask: dict[str, Any]) -> dict[str, Any]:
    shares = {"bbox": [0.1, 0.1, 0.2, 0.2], "area": 0.04}
    return {"id": number, "image_id": pair, "category_id": 1, "iscrowd": 0, "segmentation": mask, **shares}


if __name__ == "__main__":
    main()
