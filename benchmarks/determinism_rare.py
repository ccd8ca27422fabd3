"""How often settings that should not matter decide otherwise, and what that does to average precision.

    python -m benchmarks.determinism_rare --data DIR --detections FILE   # DIR as COCO has it

Too rare to be counted in `benchmarks.determinism`: how many prompts have two best masks whose predicted IoUs
lie within `NEAR` is counted instead, and how far predicted IoUs move is known from there.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pycocotools import mask as rle
from pycocotools.coco import COCO

from benchmarks.determinism import RESULTS
from sambench.adapters.base import Prompts, Segmenter
from sambench.adapters.registry import create
from sambench.harness.provenance import device_name, versions
from sambench.suites.base import Record, Setting
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import load_sample
from sambench.suites.det_box import DetBox
from sambench.suites.scoring.average_precision import evaluate_and_match

NEAR = 0.01
MOVED = 1e-6
"""By how much a predicted IoU moves at the most (`benchmarks.determinism`: 1e-4 points)."""
DRAWS = 20


def near_ties(segmenter: Segmenter, folder: Path, annotations: Path, images: int) -> dict[str, float]:
    """Return the share of boxes whose two best masks are nearly as good, and of those that may swap."""
    gaps: list[float] = []
    for entry in CocoDataset(folder, annotations).entries[:images]:
        sample = load_sample(entry)
        (embedding,) = segmenter.encode([sample.image])
        boxes = [target.box for target in sample.targets]
        prompts = Prompts(boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        for batch in segmenter.batches(prompts) if boxes else ():
            iou = segmenter.decode_batch(embedding, batch, True).iou  # (n, masks)
            best = iou.sort(dim=1, descending=True).values
            gaps += (best[:, 0] - best[:, 1]).tolist()
    near = float(np.mean(np.array(gaps) < NEAR))
    return {"boxes": len(gaps), "near": near, "swap": near / NEAR * 2 * MOVED}


def weights_of_boxes(annotations: Path, detections: Path) -> list[dict[str, float]]:
    """Return by how much AP moves where the masks of some boxes are replaced by a wrong one.

    In units of a mean over objects: 1 is an object's share of it, for each box. Masks are those of the
    objects that the boxes hit, else the boxes.
    """
    truth = COCO(str(annotations))
    suite = DetBox.on(Setting(annotations, tuple(truth.imgs), detections))
    records = [_record(truth, found) for found in json.loads(detections.read_text())]
    whole, rng, found = _ap(suite, records), np.random.default_rng(0), []
    objects = sum(not one["iscrowd"] for one in truth.anns.values())
    for boxes in (1, 5, 20):
        moves = []
        for _ in range(DRAWS):
            wrong = [dict(record) for record in records]
            for i in rng.choice(len(records), boxes, replace=False):
                wrong[i]["segmentation"] = _pixel(truth.imgs[wrong[i]["image_id"]])
            moves.append(abs(_ap(suite, wrong) - whole) / (100 * boxes / objects))
        found.append({"boxes": boxes, "median": float(np.median(moves)), "most": max(moves)})
    return found


def _record(truth: COCO, found: dict[str, Any]) -> Record:
    """Give a detection the mask of the object that it hits, if it hits one."""
    image = truth.imgs[found["image_id"]]
    ids = truth.getAnnIds([image["id"]], [found["category_id"]], iscrowd=False)
    objects = truth.loadAnns(ids)
    overlap = [0.0]
    if objects:
        overlap = rle.iou([found["bbox"]], [one["bbox"] for one in objects], [0] * len(objects))[0]
    if max(overlap) > 0.5:
        mask = truth.annToRLE(objects[int(np.argmax(overlap))])
    else:
        (mask,) = rle.frPyObjects(np.array([found["bbox"]]), image["height"], image["width"])
    return {
        "image_id": image["id"],
        "file_name": image["file_name"],
        "category_id": found["category_id"],
        "category": None,
        "score": found["score"],
        "bbox": found["bbox"],
        "segmentation": _text(mask),
        "pred_iou": 1.0,
        "choice": 0,
    }


def _pixel(image: dict[str, Any]) -> str:
    mask = np.zeros((image["height"], image["width"]), np.uint8, order="F")
    mask[0, 0] = 1
    return _text(rle.encode(mask))


def _text(mask: dict[str, Any]) -> str:
    return json.dumps({"size": mask["size"], "counts": mask["counts"].decode()})


def _ap(suite: DetBox, records: list[Record]) -> float:
    columns = ["image_id", "category_id", "score", "segmentation", "bbox"]
    table = pa.Table.from_pylist(records, suite.schema).select(columns)
    metrics, _ = evaluate_and_match(suite.truth, table, iou_type="segm", evaluator="hotcoco")
    assert metrics["ap"] is not None
    return metrics["ap"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detections", type=Path, required=True)
    parser.add_argument("--model", default="efficientvit_sam_nano")
    parser.add_argument("--images", type=int, default=40)
    arguments = parser.parse_args()
    folder, file = (
        arguments.data / "val2017",
        arguments.data / "annotations" / "instances_val2017.json",
    )
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "device": device_name("cpu"),
        "versions": versions(),
        "near_ties": near_ties(create(arguments.model), folder, file, arguments.images),
        "weights_of_boxes": weights_of_boxes(file, arguments.detections),
    }
    out = RESULTS / "determinism-rare.json"
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    print(out)


if __name__ == "__main__":
    main()
