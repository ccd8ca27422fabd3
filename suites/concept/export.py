"""The instances of a cell as a result file, which the official evaluators read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from sambench.adapters.files import write_atomic
from sambench.suites.data.annotations import Annotations
from sambench.suites.records import Records

COLUMNS = ("image_id", "category_id", "score", "bbox", "segmentation")


def predictions(records: Records, annotations: Annotations, file: Path) -> None:
    """Write instances as COCO's result format has them: JSON, an entry each.

    Ids are the annotation file's own. Of pairs, ``image_id`` is the pair's and ``category_id`` 1, as SA-Co's
    evaluator (sam3/eval/cgf1_eval.py) reads them.
    """
    pairs = {(p.image_id, p.category_id): p.id for p in (annotations.pairs or {}).values()}
    images, categories = annotations.image_ids.given, annotations.category_ids.given
    entries = []
    for table in records.each((*COLUMNS, "kind")):
        for row in _instances(table):
            image_id, category_id = row["image_id"], row["category_id"]
            if annotations.pairs is not None:
                image_id, category_id = pairs[image_id, category_id], 1
            entries.append(
                {
                    "image_id": images.get(image_id, image_id),
                    "category_id": categories.get(category_id, category_id),
                    "score": row["score"],
                    "bbox": row["bbox"],
                    "segmentation": msgspec.Raw(row["segmentation"].encode()),
                }
            )
    write_atomic(file, msgspec.json.encode(entries))


def _instances(table: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.filter(pc.equal(table["kind"], "instance")).to_pylist()
    return found
