"""What it costs that records keep their masks: bytes and milliseconds an object, beside the rest of a suite.

    OMP_NUM_THREADS=1 python -m benchmarks.records --data DIR
    # DIR has val2017/ and annotations/instances_val2017.json

Four sides. ``box`` fills boxes: the least there is to keep. ``smooth`` answers with the annotated objects as
a good model does: at 256 pixels, blurred, with a smooth error that each round draws anew, brought to the
image's size. EfficientViT-SAM-L0 with the golden data's weights, and MobileSAM with random ones, give noise
all over the image: the most there is. ``smooth`` says what masks weigh and how long they take, the models
what else a suite does meanwhile; encoding the image, which suites share, is left out of their time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pyarrow as pa
import torch
from rich.progress import track
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.plain import golden_segmenter
from benchmarks.suites import RESULTS
from sambench.adapters import create
from sambench.adapters.base import Capabilities, Embedding, Prediction, Prepared, Prompts, Segmenter, Weights
from sambench.evsam.size import Size
from sambench.harness.plan import SHARD_IMAGES
from sambench.harness.provenance import device_name, git_state, versions
from sambench.harness.shards import encode_shard
from sambench.suites import prompted
from sambench.suites.base import Record, Stopwatch, Suite, kept
from sambench.suites.click import suite as click
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import Sample, load_sample
from sambench.suites.gt_box import GtBox
from sambench.suites.protocol import PRESETS

PAPER = PRESETS["paper"]
COCO_VAL = 36_781  # annotations of val2017
SIDE, BLUR, ERROR = 256, 1.0, 0.15  # pixels of a low-resolution mask, of its blur; logits span -0.5 to 0.5


class Smooth(Segmenter):
    """Answers the n-th prompt on an image with its n-th object, as a good model would."""

    name, capabilities, weights = "smooth", Capabilities(), Weights("none")
    device, prompt_batch = torch.device("cpu"), 100_000

    def __init__(self) -> None:
        self.sample: Sample | None = None
        self.rng = np.random.default_rng(0)

    def prepare(self, image: np.ndarray) -> Prepared:
        return Prepared(torch.zeros(1), image.shape[:2])

    def embed(self, prepared: list[Prepared]) -> list[Embedding]:
        return [Embedding(p.pixels, p.size) for p in prepared]

    def decode_batch(self, embedding: Embedding, prompts: Prompts, multimask: bool) -> Prediction:
        del multimask
        assert self.sample is not None
        logits = [self._logits(t.mask.full(), embedding.size) for t in kept(self.sample.targets, PAPER)]
        return Prediction(torch.from_numpy(np.stack(logits))[:, None], torch.ones(len(prompts), 1))

    def upsample(self, logits: Tensor, size: Size) -> Tensor:
        return interpolate(logits[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]

    def _logits(self, mask: np.ndarray, size: Size) -> np.ndarray:
        height, width = (max(8, round(side * SIDE / max(size))) for side in size)
        small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        error = self.rng.normal(0, ERROR, (height // 8, width // 8)).astype(np.float32)
        return cv2.GaussianBlur(small, (0, 0), BLUR) - 0.5 + cv2.resize(error, (width, height))


@contextmanager
def watched(watch: Stopwatch) -> Iterator[None]:
    """Charge a stage of its own with what the suites spend on encoding masks."""

    def timed(encode: Callable[[np.ndarray], list[str]]) -> Callable[[np.ndarray], list[str]]:
        def encode_text(masks: np.ndarray) -> list[str]:
            with watch("masks"):
                return encode(masks)

        return encode_text

    with (
        mock.patch.object(prompted, "encode_text", timed(prompted.encode_text)),
        mock.patch.object(click, "encode_text", timed(click.encode_text)),
    ):
        yield


def measure(segmenter: Segmenter, suite: Suite, samples: list[Sample]) -> dict[str, Any]:
    """Evaluate a suite; bytes of its shards in several forms, and where its time went."""
    watch = Stopwatch()
    shards: list[list[Record]] = []
    with watched(watch):
        for i, sample in enumerate(track(samples, f"{segmenter.name}, {suite.name}")):
            if isinstance(segmenter, Smooth):
                segmenter.sample = sample
            (embedding,) = segmenter.encode([sample.image])
            if i % SHARD_IMAGES == 0:
                shards.append([])
            shards[-1] += suite.evaluate(segmenter, embedding, sample, PAPER, watch)
    rows = sum(map(len, shards))
    weigh(shards, suite.schema)  # the first call is slower
    forms = {name: weigh(*form(shards, suite.schema)) for name, form in FORMS.items()}
    own = watch.seconds.pop("masks")
    watch.seconds["score"] -= own  # they are encoded within that stage
    masks = forms["as kept"][0] - forms["without masks"][0]
    return {
        "objects": rows,
        "bytes_an_object": {name: size / rows for name, (size, _) in forms.items()},
        "masks_mb_of_coco_val": masks / rows * COCO_VAL / 1e6,
        "write_ms_an_object": {name: 1000 * seconds / rows for name, (_, seconds) in forms.items()},
        "masks_ms_an_object": 1000 * own / rows,
        "other_ms_an_object": {k: 1000 * s / rows for k, s in watch.seconds.items()},
    }


Shards = tuple[list[list[Record]], pa.Schema]


def weigh(shards: list[list[Record]], schema: pa.Schema) -> tuple[int, float]:
    """Bytes of the files, and seconds to make them."""
    start = time.perf_counter()
    size = sum(len(encode_shard(rows, {}, schema)) for rows in shards)
    return size, time.perf_counter() - start


def as_kept(shards: list[list[Record]], schema: pa.Schema) -> Shards:
    return shards, schema


def without_masks(shards: list[list[Record]], schema: pa.Schema) -> Shards:
    """What records were before they kept any."""
    return shards, schema.remove(schema.get_field_index("segmentation"))


def reported_rounds(shards: list[list[Record]], schema: pa.Schema) -> Shards:
    """Of clicks, the masks of the rounds alone that tables show."""

    def thin(masks: str | list[str]) -> str | list[str]:
        return masks if isinstance(masks, str) else [masks[k - 1] for k in click.REPORTED]

    return [[r | {"segmentation": thin(r["segmentation"])} for r in rows] for rows in shards], schema


def counts_alone(shards: list[list[Record]], schema: pa.Schema) -> Shards:
    """The counts as bytes, without JSON and without the image's size."""

    def bare(masks: str | list[str]) -> bytes | list[bytes]:
        if isinstance(masks, str):
            return json.loads(masks)["counts"].encode()
        return [json.loads(mask)["counts"].encode() for mask in masks]

    place = schema.get_field_index("segmentation")
    kind = pa.list_(pa.binary()) if pa.types.is_list(schema.field(place).type) else pa.binary()
    rows = [[r | {"segmentation": bare(r["segmentation"])} for r in rows] for rows in shards]
    return rows, schema.set(place, pa.field("segmentation", kind))


FORMS = {
    "as kept": as_kept,
    "without masks": without_masks,
    "rounds 1, 3, 5": reported_rounds,
    "counts alone": counts_alone,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset = CocoDataset(given.data / "val2017", given.data / "annotations" / "instances_val2017.json")
    samples = [load_sample(entry) for entry in dataset.entries[: given.images]]
    sides: list[Segmenter] = [create("box"), Smooth(), golden_segmenter("efficientvit_sam_l0")]
    sides.append(create("mobile_sam", weights="random"))
    facts: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "device": device_name("cpu"), "threads": 1}
    facts |= {"versions": versions("hotcoco", "pyarrow", "torch"), "git": git_state(), "images": len(samples)}
    for side in sides:
        facts[side.name] = {s.name: measure(side, s, samples) for s in (GtBox(), click.Click())}
        RESULTS.joinpath("records.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
