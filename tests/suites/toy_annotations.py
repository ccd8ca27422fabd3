"""Annotations and results in small, of squares; and files of results as columns."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pycocotools import mask as official

from sambench.suites.data.rle import encode
from sambench.suites.scoring.batches import Batch

SIZE = 120  # the side of toy images; masks of all three sizes fit
OFFICIAL = {"coco": "pycocotools", "lvis": "lvis"}


def square(x, y, width, height):
    mask = np.zeros((1, SIZE, SIZE), bool)
    mask[0, y : y + height, x : x + width] = True
    return encode(mask)[0]


def text(rle):
    counts = rle["counts"]
    return {"size": list(rle["size"]), "counts": counts.decode() if isinstance(counts, bytes) else counts}


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


def as_table(image_ids, category_ids, scores, masks=None, boxes=None):
    """Results as `suites.scoring.average_precision` takes them."""
    columns = {
        "image_id": pa.array(image_ids, pa.int64()),
        "category_id": pa.array(category_ids, pa.int64()),
        "score": pa.array(scores, pa.float64()),
    }
    if masks is not None:
        columns["segmentation"] = pa.array([json.dumps(text(m)) for m in masks], pa.string())
    if boxes is not None:
        columns["bbox"] = pa.array([list(map(float, b)) for b in boxes], pa.list_(pa.float64(), 4))
    return pa.table(columns)


def with_column(found, name, values):
    return found.set_column(found.schema.get_field_index(name), name, pa.array(values))


def masks_of(found):
    return [json.loads(m) for m in found["segmentation"].to_pylist()]


def results(rows):
    """Results of (image, category, score, box), the mask being the box filled."""
    image, category, score, box = zip(*rows, strict=True) if rows else ((), (), (), ())
    return as_table(image, category, score, [square(*b) for b in box], box)


def columns(file):
    """Read a result file of masks or boxes."""
    loaded = json.loads(file.read_text())
    return as_table(
        *([r[k] for r in loaded] for k in ("image_id", "category_id", "score")),
        [r["segmentation"] for r in loaded] if "segmentation" in loaded[0] else None,
        [r["bbox"] for r in loaded] if "bbox" in loaded[0] else None,
    )


def perfect(truth):
    """The annotations themselves as results of the score 1, crowds too."""
    made = json.loads(truth.content)["annotations"]
    image_ids, category_ids = (
        dense.given(np.array([a[key] for a in made], np.int64)).tolist()
        for dense, key in ((truth.images, "image_id"), (truth.categories, "category_id"))
    )
    masks = []
    for a, image_id in zip(made, image_ids, strict=True):
        encoded = official.frPyObjects(a["segmentation"], *truth.sizes[image_id])
        masks.append(official.merge(encoded) if isinstance(encoded, list) else encoded)
    return as_table(image_ids, category_ids, [1.0] * len(made), masks)


def numbered(truth, found):
    """Results under the numbers that evaluators get."""
    return [
        row | {"image_id": truth.images[row["image_id"]], "category_id": truth.categories[row["category_id"]]}
        for row in found
    ]


def in_one(truth, found):
    """Results in a batch, as they are: nothing is sorted, and no tie settled."""
    return [Batch(list(range(1, 1 + len(truth.sizes))), numbered(truth, found))]


def assert_perfect(metrics):
    values = [v for v in metrics.values() if v is not None]
    assert values == pytest.approx([100] * len(values))


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert (value is None) == (other[name] is None), name
        assert value is None or abs(value - other[name]) < 1e-6, name
