"""A small world to break runs in: tiny images, a detector's boxes, a model that takes its time."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

IMAGES = 40  # two whole shards and a half
HEIGHT, WIDTH = 32, 48
SUITES = ("gt_box", "click", "det_box", "everything")
PAUSE = 0.04
"""Seconds that the model takes for an image, so that it can be caught at work."""

MODEL = '''"""A model that takes its time, keeps count, and does on demand what models should not."""
import hashlib, os, signal, time
from pathlib import Path
import torch
from sambench.adapters.base import Prediction
from sambench.adapters.families.baselines import Box

HERE = Path(__file__).parent
KIND, _, AT = os.environ.get("FAULT", "").partition(":")

def once(image):
    """Whether this is the image of the fault, for the first time."""
    if str(image) != AT:
        return False
    mark = Path(os.environ["FAULT_MARK"])
    there = mark.exists()
    mark.touch()
    return not there

class Slow(Box):
    """Fills boxes; of a grid of points it is sure of a few only."""
    prompt_batch = 256
    def embed(self, prepared):
        images = [int(p.pixels[0, 0, 0]) for p in prepared]
        with open(os.environ["FAULT_LOG"], "a") as log:
            log.write("".join(f"{self.name},{image}\\n" for image in images))
        if KIND == "held" and str(images[0]) == AT:
            sum(range(10**11))  # one call of an hour, which keeps Python's lock meanwhile
        if KIND == "call" and str(images[0]) == AT:
            hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # one of minutes, which does not
        if KIND == "memory" and len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if KIND == "raise" and AT in map(str, images):
            raise RuntimeError("no such thing")
        if KIND == "die" and once(images[0]):
            os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(PAUSE * len(images))
        self.at = images[-1]
        return super().embed(prepared)
    def decode_batch(self, embedding, prompts, multimask):
        found = super().decode_batch(embedding, prompts, multimask)
        if KIND == "nan" and str(int(embedding.features[0, 0, 0])) == AT:
            return Prediction(torch.full_like(found.logits, float("nan")), found.iou)
        if len(prompts) < 64:
            return found
        sure = prompts.points.sum((1, 2)).round() % 37 == 0
        return Prediction(found.logits, torch.where(sure[:, None], found.iou, 0.0 * found.iou))
'''


@dataclass(frozen=True)
class Setting:
    """How a run is done."""

    executor: str = "inline"
    workers: int = 1
    suites: Sequence[str] = SUITES
    apart: bool = False
    """Whether there are two models, which from outside get processes of their own."""
    loaders: int = 0
    """Processes that read images, beside each that computes."""
    report: bool = True
    """Whether its extra is there; a report takes as long as all else of so small a run."""

    @property
    def title(self) -> str:
        """For tables."""
        return self.executor if self.executor == "inline" else f"{self.executor}, {self.workers}"

    @property
    def models(self) -> int:
        """How many there are."""
        return 1 + self.apart


@dataclass(frozen=True)
class World:
    """A folder with data and a model."""

    folder: Path
    images: int = IMAGES
    pause: float = PAUSE

    def make(self) -> World:
        """Write all files."""
        (self.folder / "images").mkdir(parents=True)
        pixels = np.random.default_rng(0).integers(0, 256, (self.images, HEIGHT, WIDTH, 3), np.uint8)
        content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
        for i, image in enumerate(pixels):
            image[0, 0] = i  # by which the model knows it
            Image.fromarray(image).save(self.folder / "images" / f"{i:03d}.png")
            x, y, w, h = 2.0 + i % 20, 3.0 + i % 5, 12.0 + i % 7, 14.0
            size = {"id": i + 1, "file_name": f"{i:03d}.png", "height": HEIGHT, "width": WIDTH}
            content["images"].append(size)
            triangle = [x, y, x + w, y, x + w / 2, y + h]
            common = {"id": i + 1, "image_id": i + 1, "category_id": 1, "iscrowd": 0}
            content["annotations"].append(
                common | {"bbox": [x, y, w, h], "area": w * h / 2, "segmentation": [triangle]}
            )
        found = [{k: a[k] for k in ("image_id", "category_id", "bbox")} for a in content["annotations"]]
        (self.folder / "instances.json").write_text(json.dumps(content))
        (self.folder / "found.json").write_text(json.dumps([one | {"score": 0.5} for one in found]))
        (self.folder / "without").mkdir()
        hidden = "import sys; sys.modules['jinja2'] = None"
        (self.folder / "without" / "sitecustomize.py").write_text(hidden)
        (self.folder / "slow.py").write_text(MODEL.replace("PAUSE *", f"{self.pause} *"))
        return self

    def config(self, setting: Setting) -> Path:
        """Write what a setting's command reads."""
        models = ["slow", "twin"] if setting.apart else ["slow"]
        path = self.folder / f"{'-'.join([*models, *setting.suites])}.json"  # which is YAML too
        slow = [{"class": f"{self.folder / 'slow.py'}:Slow", "name": model} for model in models]
        data = {
            "name": "tiny",
            "images": str(self.folder / "images"),
            "annotations": str(self.folder / "instances.json"),
            "detections": {"d": str(self.folder / "found.json")},
        }
        content = {"adapters": slow, "suites": list(setting.suites), "datasets": [data]}
        path.write_text(json.dumps(content))
        return path

    def arguments(self, setting: Setting, out: Path) -> list[str]:
        """Return what stands behind `sambench` in a setting's command."""
        how = ["--executor", setting.executor, "--workers", str(setting.workers)]
        return ["run", str(self.config(setting)), *how, "--out", str(out)]

    def environment(self, setting: Setting, out: Path, more: Mapping[str, str]) -> dict[str, str]:
        """Return that of a setting's command."""
        paths = [] if setting.report else [str(self.folder / "without")]
        own = {
            "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]),
            "COLUMNS": "200",
            "NO_COLOR": "1",
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "disabled",
            "SAMBENCH_CACHE": str(self.folder / "cache"),
            "SAMBENCH_LOADERS": str(setting.loaders),
            "FAULT_LOG": str(log_of(out)),
            "FAULT_MARK": str(out.with_suffix(".mark")),
        }
        return {**os.environ, **own, **more}


def log_of(out: Path) -> Path:
    """Return the file where the model keeps count of what it computes for a run's folder."""
    return out.with_suffix(".log")


def computed(out: Path) -> Counter[tuple[str, int]]:
    """Return how often each model has encoded each image for a run's folder."""
    log = log_of(out)
    pairs = (line.split(",") for line in log.read_text().split()) if log.exists() else ()
    return Counter((model, int(image)) for model, image in pairs)


def command(arguments: Sequence[str]) -> list[str]:
    """Return how the command line is started."""
    return [sys.executable, "-m", "sambench.harness", *arguments]
