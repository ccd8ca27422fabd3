"""Annotations and results in small, of squares; and files of results as columns."""

import json

import numpy as np
import pytest
from pycocotools import mask as official

from sambench.suites.data.rle import encode
from sambench.suites.scoring.average_precision import Results

SIZE = 120  # the side of toy images; masks of all three sizes fit
OFFICIAL = {"coco": "pycocotools", "lvis": "lvis"}


def square(x, y, width, height):
    mask = np.zeros((1, SIZE, SIZE), bool)
    mask[0, y : y + height, x : x + width] = True
    return encode(mask)[0]


def text(rle):
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def annotation(i, box, *, image=1, category=1, crowd=0):
    return {
        "id": i,
        "image_id": image,
        "category_id": category,
        "bbox": list(box),
        "area": float(box[2] * box[3]),
        "iscrowd": crowd,
        "segmentation": text(square(*box)),
    }


def annotations(made, *, images=(1,), categories=(1,), frequency="f"):
    """The content of an annotation file that is COCO's and LVIS's at once."""
    return {
        "info": {"year": "2023"},  # a string, as Roboflow writes it
        "images": [
            {
                "id": i,
                "height": SIZE,
                "width": SIZE,
                "neg_category_ids": [],
                "not_exhaustive_category_ids": [],
            }
            for i in images
        ],
        "annotations": made,
        "categories": [{"id": c, "name": f"thing {c}", "frequency": frequency} for c in categories],
    }


def results(rows):
    """Results of (image, category, score, box), the mask being the box filled."""
    image, category, score, box = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Results(
        np.array(image, np.int64),
        np.array(category, np.int64),
        np.array(score, np.float64),
        [square(*b) for b in box],
        np.array(box, np.float64).reshape(-1, 4),
    )


def taken(found, order):
    return Results(
        found.image_ids[order],
        found.category_ids[order],
        found.scores[order],
        [found.masks[i] for i in order] if found.masks is not None else None,
        found.boxes[order] if found.boxes is not None else None,
    )


def columns(file):
    """Read a result file of masks or boxes."""
    loaded = json.loads(file.read_text())
    masks = [r["segmentation"] for r in loaded] if "segmentation" in loaded[0] else None
    boxes = np.array([r["bbox"] for r in loaded], np.float64) if "bbox" in loaded[0] else None
    image, category, score = (np.array([r[k] for r in loaded]) for k in ("image_id", "category_id", "score"))
    return Results(image, category, score, masks, boxes)


def perfect(truth):
    """The annotations themselves as results of the score 1, crowds too."""
    content = json.loads(truth.content)
    masks = []
    for a in content["annotations"]:
        encoded = official.frPyObjects(a["segmentation"], *truth.sizes[a["image_id"]])
        masks.append(official.merge(encoded) if isinstance(encoded, list) else encoded)
    image, category = (np.array([a[k] for a in content["annotations"]]) for k in ("image_id", "category_id"))
    return Results(image, category, np.ones(len(image)), masks)


def assert_perfect(metrics):
    values = [v for v in metrics.values() if v is not None]
    assert values == pytest.approx([100] * len(values))


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert (value is None) == (other[name] is None), name
        assert value is None or abs(value - other[name]) < 1e-6, name
