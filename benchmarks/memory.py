"""Peak memory of streaming a data set of COCO's train size class: 20,000 images, 250,000 annotations."""

from __future__ import annotations

import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.sample import load_sample

IMAGES, ANNOTATIONS = 20_000, 250_000
HEIGHT, WIDTH = 480, 640
CORNERS = 30  # of a polygon; COCO's average is 25


def measure_memory() -> dict[str, float]:
    """Write such a file, open it, stream every image with its masks; megabytes at each step."""
    with tempfile.TemporaryDirectory() as folder:
        annotations, images = Path(folder) / "instances.json", Path(folder) / "images"
        write(annotations, images)
        size = annotations.stat().st_size / 2**20
        before = peak()
        start = time.perf_counter()
        dataset = CocoDataset(images, annotations)
        opened = time.perf_counter() - start
        after_opening = peak()
        marks = {}
        start = time.perf_counter()
        loaded = prefetch(load_sample, dataset.entries)
        objects = 0
        for i, sample in enumerate(track(loaded, "Streaming", total=IMAGES), start=1):
            objects += len(sample.targets)
            if i in (100, 1000, 5000, IMAGES):
                marks[f"peak_mb_after_{i}_images"] = peak()
        assert objects == ANNOTATIONS
    return {
        "annotation_file_mb": size,
        "open_s": opened,
        "peak_mb_before": before,
        "peak_mb_after_opening": after_opening,
        **marks,
        "images_per_s": IMAGES / (time.perf_counter() - start),
    }


def peak() -> float:
    """Return the most memory this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(annotations: Path, images: Path) -> None:
    """Write the annotations piece by piece, so that making them sets no peak; one picture serves all."""
    images.mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    Image.fromarray(picture).resize((WIDTH, HEIGHT)).save(images / "picture.jpg")
    rng = np.random.default_rng(1)
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    with annotations.open("w") as file:
        entries = (
            {"id": i, "file_name": f"{i:06d}.jpg", "height": HEIGHT, "width": WIDTH} for i in range(IMAGES)
        )
        file.write('{"categories": [{"id": 1, "name": "thing"}], "images": [')
        for i, entry in enumerate(entries):
            (images / entry["file_name"]).symlink_to(images / "picture.jpg")
            file.write(("," if i else "") + json.dumps(entry))
        file.write('], "annotations": [')
        for i in track(range(ANNOTATIONS), "Writing"):
            radius = rng.uniform(5, 80)
            centre = rng.uniform([radius, radius], [WIDTH - radius, HEIGHT - radius])
            rays = radius * rng.uniform(0.6, 1, (CORNERS, 1))
            xy = centre + rays * np.stack([np.cos(angle), np.sin(angle)], axis=1)
            record = {
                "id": i,
                "image_id": int(rng.integers(IMAGES)),
                "category_id": 1,
                "bbox": [*np.round(xy.min(axis=0), 2).tolist(), *np.round(np.ptp(xy, axis=0), 2).tolist()],
                "area": round(float(np.pi * radius**2), 2),
                "iscrowd": 0,
                "segmentation": [np.round(xy, 2).ravel().tolist()],
            }
            file.write(("," if i else "") + json.dumps(record))
        file.write("]}")
