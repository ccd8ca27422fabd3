"""Peak memory of scoring at the sizes that hurt, each case in a process of its own.

    python -m benchmarks.scoring                 # a quarter of an hour, most of it drawing and AP
    python -m benchmarks.scoring --images 2000   # AP of so many images instead of 20,000

Average precision of 20,000 images with 300 results each, by LVIS's rules, masks and boxes and intervals;
intervals of a mean over 100,000 images; recall of 200 objects, and everything mode, on an image of 12
megapixels. The data are drawn. A peak is all that the process has held, libraries and records included;
``mb_before`` is the peak when the data lay ready; what was found is told by its digest. Results go to
``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pycocotools import mask as official
from rich.progress import track
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.suites import RESULTS
from sambench.adapters.base import Capabilities, Embedding, Prediction, Prepared, Prompts, Segmenter, Weights
from sambench.evsam.size import Size
from sambench.harness.provenance import device_name, git_state, versions
from sambench.suites.base import Setting
from sambench.suites.data.masks import to_window
from sambench.suites.data.rle import encode
from sambench.suites.data.sample import Target
from sambench.suites.det_box import SCHEMA, DetBox
from sambench.suites.everything.generator import GeneratorSettings, generate
from sambench.suites.metrics.recall import match
from sambench.suites.protocol import PRESETS
from sambench.suites.records import Records
from sambench.suites.scoring.objects import Column, Objects

HEIGHT, WIDTH = 480, 640
FOUND, OBJECTS, CATEGORIES = 300, 12, 1203  # an image; LVIS's limit, average and number
CORNERS = 24  # of a polygon
RADII = (4, 40)  # pixels
SHARD = 100  # images of a file of records
LARGE = (3000, 4000)  # 12 megapixels
STRICT = PRESETS["strict"]


def average_precision(folder: Path) -> Callable[[], Any]:
    """Score the records of a folder that `write_world` wrote, a file at a time as a run does."""
    files = sorted(folder.glob("*.parquet"))
    records = Records([functools.partial(_read, file) for file in files], tuple(SCHEMA.names))
    ids = tuple(range(1, len(files) * SHARD + 1))
    setting = Setting(folder / "annotations.json", ids, folder / "none.json", style="lvis")
    return lambda: dataclasses.astuple(DetBox.on(setting).score_all(records, STRICT))[:3]


def _read(file: Path, columns: Sequence[str]) -> pa.Table:
    return pq.read_table(file, columns=list(columns))


def intervals(_: Path) -> Callable[[], Any]:
    """Intervals of four means over 100,000 images."""
    rng, images, names = np.random.default_rng(0), 100_000, "abcd"
    image = np.repeat(np.arange(images), 5)
    groups, number = rng.random((len(image), len(names))) < 0.8, np.arange(len(image))
    columns = tuple(Column(name, k, k) for k, name in enumerate(names))
    found = Objects(columns, image, number, number % 80, rng.random(groups.shape), groups)
    return found.intervals


def recall(_: Path) -> Callable[[], Any]:
    """Recall of 200 objects by as many masks."""
    objects, masks = [], []
    for i in range(200):
        mask = np.zeros(LARGE, bool)
        mask[10:40, 10 + 15 * i : 30 + 15 * i] = True
        masks += encode(mask[None])
        objects.append(Target(i, 1, (0.0, 0.0, 1.0, 1.0), 600.0, False, to_window(mask)))
    return lambda: match(masks, objects, STRICT)


def everything(_: Path) -> Callable[[], Any]:
    """Everything mode, 256 clicks that each find a small disc."""
    image, settings = np.zeros((*LARGE, 3), np.uint8), GeneratorSettings(points_per_side=16)
    return lambda: [dataclasses.asdict(mask) for mask in generate(Discs(), image, settings)]


CASES = {f.__name__: f for f in (average_precision, intervals, recall, everything)}


class Discs(Segmenter):
    """Answers a click with a disc around it, at the low resolution of SAM."""

    def __init__(self) -> None:
        self.name = "discs"
        self.capabilities = Capabilities()
        self.weights = Weights(source="none")
        self.device = torch.device("cpu")
        self.prompt_batch = 16

    def prepare(self, image: np.ndarray) -> Prepared:
        """Take the size alone."""
        return Prepared(torch.zeros(1), (image.shape[0], image.shape[1]))

    def embed(self, prepared: list[Prepared]) -> list[Embedding]:
        """Take the size alone."""
        return [Embedding(p.pixels, p.size) for p in prepared]

    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        """Draw the discs."""
        assert prompts.points is not None
        height, width = embedding.size
        x, y = (prompts.points[:, 0] * torch.tensor([256 / width, 256 / height])).float().T[..., None, None]
        line = torch.arange(256) + 0.5
        logits = 100 - (line[None, None] - x) ** 2 * 20 - (line[None, :, None] - y) ** 2 * 20
        return Prediction(logits[:, None], torch.full((len(prompts), 1), 0.95))

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        """Resize, bilinear."""
        return interpolate(logits[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def write_world(folder: Path, images: int) -> None:
    """Write annotations in LVIS's format and records of masks near them, shard by shard."""
    rng, n = np.random.default_rng(0), images * OBJECTS
    owner, category = np.repeat(np.arange(1, images + 1), OBJECTS), rng.integers(1, CATEGORIES + 1, n)
    centre, radius = rng.uniform(40, 440, (n, 2)), np.exp(rng.uniform(*np.log(RADII), n))
    _write_annotations(folder / "annotations.json", rng, owner, category, centre, radius)
    (folder / "none.json").write_text("[]")
    for first in track(range(0, images, SHARD), "Drawing results"):
        image = np.repeat(np.arange(first, min(first + SHARD, images)), FOUND)
        near = image * OBJECTS + rng.integers(0, OBJECTS, len(image))
        moved = centre[near] + radius[near, None] * rng.normal(0, 0.08, (len(near), 2))
        grown = radius[near] * (1 + rng.normal(0, 0.08, len(near)).clip(-0.5, 0.5))
        strange = rng.random(len(near)) < 0.7
        classes = np.where(strange, rng.integers(1, CATEGORIES + 1, len(near)), category[near])
        rles = official.frPyObjects(_polygons(moved, grown).tolist(), HEIGHT, WIDTH)
        masks = [json.dumps({"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}) for rle in rles]
        boxes = np.concatenate([moved - grown[:, None], 2 * grown[:, None], 2 * grown[:, None]], axis=1)
        columns = {
            "image_id": image + 1,
            "category_id": classes,
            "score": rng.random(len(near)).round(4),
            "bbox": pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel()), 4),
            "segmentation": masks,
            "pred_iou": rng.random(len(near)).astype(np.float32),
            "choice": np.zeros(len(near), np.int8),
        }
        schema = pa.schema([SCHEMA.field(name) for name in columns])
        pq.write_table(pa.table(columns, schema=schema), folder / f"{first:06d}.parquet")


def _write_annotations(
    file: Path,
    rng: np.random.Generator,
    owner: np.ndarray,
    category: np.ndarray,
    centre: np.ndarray,
    radius: np.ndarray,
) -> None:
    """Write circles (n,) and the images that they are on."""
    size = {"height": HEIGHT, "width": WIDTH, "not_exhaustive_category_ids": []}
    absent = rng.integers(1, CATEGORIES + 1, (int(owner[-1]), 10))
    images = [
        {"id": i, "neg_category_ids": np.unique(row).tolist()} | size for i, row in enumerate(absent, start=1)
    ]
    annotations = [
        {
            "id": i + 1,
            "image_id": int(owner[i]),
            "category_id": int(category[i]),
            "bbox": [*(centre[i] - radius[i]).tolist(), 2 * radius[i], 2 * radius[i]],
            "area": float(np.pi * radius[i] ** 2),
            "segmentation": [corners],
        }
        for i, corners in enumerate(_polygons(centre, radius).tolist())
    ]
    categories = [{"id": c, "name": str(c), "frequency": "rcf"[c % 3]} for c in range(1, CATEGORIES + 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(content))


def _polygons(centre: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Return x, y, x, y, ... around circles: (n, 2 `CORNERS`)."""
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    round_ = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (centre[:, None] + radius[:, None, None] * round_).round(2).reshape(len(centre), -1)


def peak() -> float:
    """Return the most memory this process has held, in MB; unlike `getrusage`, without its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(case: str, folder: Path) -> dict[str, Any]:
    """Prepare a case, do it, and return peaks in MB and seconds."""
    libraries = peak()
    do = CASES[case](folder)
    before, start, cpu = peak(), time.perf_counter(), time.process_time()
    found = do()
    digest = hashlib.sha256(json.dumps(found).encode()).hexdigest()
    times = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
    peaks = {"mb_libraries": libraries, "mb_before": before, "mb_peak": peak()}
    return {name: round(value, 1) for name, value in (peaks | times).items()} | {"found_sha256": digest}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000, help="with 300 results each")
    parser.add_argument("--folder", type=Path, help="where the data of AP are kept, or are already")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--alone", choices=CASES, help="do one case in this process")
    given = parser.parse_args()
    if given.alone:
        print(json.dumps(measure(given.alone, given.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if "average_precision" in given.cases and not (folder / "annotations.json").exists():
            write_world(folder, given.images)
        result = {"images": given.images}
        for case in given.cases:
            command = [sys.executable, "-m", "benchmarks.scoring", "--alone", case, "--folder", str(folder)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            result[case] = json.loads(done.stdout.splitlines()[-1])
            print(case, json.dumps(result[case], indent=1))
    facts: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "device": device_name("cpu")}
    facts |= {"versions": versions("hotcoco"), "git": git_state()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scoring.json").write_text(json.dumps(facts | result, indent=1) + "\n")


if __name__ == "__main__":
    main()
