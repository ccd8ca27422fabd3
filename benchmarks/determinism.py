"""How far records and numbers move between settings that should not matter: threads and batch sizes.

    python -m benchmarks.determinism --data DIR --detections FILE   # DIR as COCO has it
    python -m benchmarks.determinism                                # shapes, drawn into a temporary folder

Each setting is held against the first one, object by object. What follows from it is stated in
`sambench.suites.determinism`. Released weights need not be there: nano's come along, the others have those of
the golden data, whose logits are nearer to the threshold than a trained model's.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from benchmarks.plain import golden_segmenter
from sambench.adapters.base import Prepared, Segmenter
from sambench.adapters.registry import create
from sambench.adapters.weights.shipped import shipped
from sambench.harness.provenance import device_name, versions
from sambench.suites.base import Record, Setting, Stopwatch, Suite
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import Sample, load_sample
from sambench.suites.data.shapes import make_shapes
from sambench.suites.determinism import FURTHER, SHIFT
from sambench.suites.protocol import PRESETS
from sambench.suites.registry import suite_class

RESULTS = Path(__file__).parent / "results"
STRICT = PRESETS["strict"]


@dataclass(frozen=True)
class How:
    """What should not move a number."""

    threads: int = 1
    images: int = 1
    """An encoder call."""
    prompts: int = 64
    """A decoder call, at most."""


SETTINGS = (
    How(),
    How(prompts=1),
    How(threads=2, images=4, prompts=8),
    How(prompts=8),
    How(threads=4),
    How(images=8),
)
"""The others are held against the first."""


@dataclass(frozen=True)
class Images:
    """A model, images as it takes them, and suites on them."""

    segmenter: Segmenter
    samples: Sequence[Sample]
    prepared: Sequence[Prepared]
    suites: Sequence[Suite]

    @classmethod
    def load(cls, segmenter: Segmenter, folder: Path, setting: Setting, names: Sequence[str]) -> Images:
        """Read the images of a setting."""
        entries = CocoDataset(folder, setting.annotations).entries
        samples = [load_sample(entry) for entry in entries if entry.record.id in set(setting.image_ids)]
        suites = [suite_class(name).on(setting) for name in names]
        return cls(segmenter, samples, [segmenter.prepare(sample.image) for sample in samples], suites)

    def records(self, how: How) -> dict[str, list[Record]]:
        """Evaluate all suites, by name."""
        before, threads = self.segmenter.prompt_batch, torch.get_num_threads()
        found: dict[str, list[Record]] = {suite.name: [] for suite in self.suites}
        try:
            torch.set_num_threads(how.threads)
            self.segmenter.prompt_batch = how.prompts
            for sample, embedding in self._embedded(how.images):
                for suite in self.suites:
                    found[suite.name] += suite.evaluate(
                        self.segmenter, embedding, sample, STRICT, Stopwatch()
                    )
        finally:
            torch.set_num_threads(threads)
            self.segmenter.prompt_batch = before
        return found

    def _embedded(self, batch: int) -> Iterator[tuple[Sample, Any]]:
        for start in range(0, len(self.samples), batch):
            part = slice(start, start + batch)
            yield from zip(self.samples[part], self.segmenter.embed(self.prepared[part]), strict=True)

    def numbers(self, records: Mapping[str, Sequence[Record]]) -> dict[str, dict[str, float | None]]:
        """Score records, by suite and metric."""
        return {
            suite.name: suite.score(
                pa.Table.from_pylist(list(records[suite.name]), suite.schema), STRICT
            ).metrics
            for suite in self.suites
        }


@dataclass(frozen=True)
class Moved:
    """What differs between the records of two settings."""

    objects: int
    masks: int
    """Objects, or boxes of a detector, with another mask in some round."""
    choices: int
    """With another of the model's alternatives chosen."""
    clicks: int
    """With another click."""
    pred_iou: float
    """Points, the most."""
    iou: float
    """The same of the IoU; 0 where records have none."""
    boundary_iou: float
    further: int
    """Objects whose IoU, boundary IoU or predicted IoU moves by more than `SHIFT` in some round."""
    anywhere: int
    """By more than `FURTHER`."""


def moved(base: Sequence[Record], other: Sequence[Record]) -> Moved:
    """Hold records of one suite against each other, object by object."""
    differ = {
        name: sum(a[name] != b[name] for a, b in zip(base, other, strict=True))
        for name in ("segmentation", "choice", "points")
        if name in base[0]
    }
    points = {name: _points(base, other, name) for name in ("pred_iou", "iou", "boundary_iou")}
    most = np.max(list(points.values()), axis=0)
    largest = {name: float(values.max(initial=0.0)) for name, values in points.items()}
    return Moved(
        objects=len(base),
        masks=differ["segmentation"],
        choices=differ["choice"],
        clicks=differ.get("points", 0),
        pred_iou=largest["pred_iou"],
        iou=largest["iou"],
        boundary_iou=largest["boundary_iou"],
        further=int(np.count_nonzero(most > SHIFT)),
        anywhere=int(np.count_nonzero(most > FURTHER)),
    )


def _points(base: Sequence[Record], other: Sequence[Record], name: str) -> np.ndarray:
    """By how many points an object's value moves, the most of its rounds, (n,)."""
    if name not in base[0]:
        return np.zeros(len(base))
    own, its = (np.array([record[name] for record in records], np.float64) for records in (base, other))
    return 100 * np.abs(own - its).reshape(len(base), -1).max(axis=1)


def measure(images: Images, settings: Sequence[How] = SETTINGS) -> Iterator[dict[str, Any]]:
    """Hold each setting against the first, as each is done."""
    base = images.records(settings[0])
    numbers = images.numbers(base)
    for how in settings[1:]:
        records = images.records(how)
        its = images.numbers(records)
        yield {
            "setting": asdict(how),
            "same": records == base,
            "records": {name: asdict(moved(base[name], records[name])) for name in base},
            "numbers": {name: _differences(numbers[name], its[name]) for name in base},
        }


def _differences(base: Mapping[str, float | None], other: Mapping[str, float | None]) -> dict[str, float]:
    """By how much each metric that there is moves, in its unit; what does not is left out."""
    return {
        name: abs(value - found)
        for name, value in base.items()
        if value is not None and (found := other[name]) is not None and value != found
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="folder as COCO has it; shapes are drawn where it is missing"
    )
    parser.add_argument("--detections", type=Path, help="boxes of a detector on it, for average precision")
    parser.add_argument("--models", default="efficientvit_sam_nano,efficientvit_sam_l0")
    parser.add_argument("--images", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = make_shapes(Path(folder) / "shapes", arguments.images, 0).out if not arguments.data else None
        place = made / "images" if made else arguments.data / "val2017"
        annotations = "instances.json" if made else "instances_val2017.json"
        file = (made or arguments.data) / "annotations" / annotations
        ids = tuple(entry.record.id for entry in CocoDataset(place, file).entries[: arguments.images])
        setting = Setting(file, ids, arguments.detections)
        names = ["gt_box", "click", *(["det_box"] if arguments.detections else [])]
        data = "shapes" if made else arguments.data.name
        for model in arguments.models.split(","):
            images = Images.load(_segmenter(model), place, setting, names)
            for one in measure(images):
                write(f"{model}, {data}", len(ids), one)


def _segmenter(name: str) -> Segmenter:
    return create(name) if shipped(name) else golden_segmenter(name)


def write(what: str, images: int, measured: Mapping[str, Any]) -> None:
    """Put a result beside the others that were measured today, and print it."""
    file = RESULTS / "determinism-cpu.json"
    content = json.loads(file.read_text()) if file.is_file() else {}
    facts = {"date": time.strftime("%Y-%m-%d"), "device": device_name("cpu"), "images": images}
    facts |= {"versions": versions(), "shift": SHIFT, "further": FURTHER}
    before = content.get(what, {})
    same = {name: before.get(name) for name in facts} == facts
    settings = [one for one in before["settings"] if one["setting"] != measured["setting"]] if same else []
    content[what] = facts | {"settings": [*settings, measured]}
    file.write_text(json.dumps(content, indent=1) + "\n")
    print(what, json.dumps(measured), flush=True)


if __name__ == "__main__":
    main()
