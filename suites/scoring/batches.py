"""Results of some images at a time, as the evaluators take them: a dictionary each, ordered.

All at once they would take a kilobyte each: 6 GB for the 6 million of 20,000 images with 300 boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sambench.evsam.errors import SambenchError
from sambench.suites.scoring.ground_truth import GroundTruth

IouType = Literal["segm", "bbox"]

RESULTS_AT_ONCE, IMAGES_AT_ONCE = 20_000, 1_000
"""Of a batch, but for an image with more results: some 20 MB of dictionaries."""


@dataclass(frozen=True)
class Batch:
    """Some of the images that are evaluated, and all their results."""

    images: list[int]
    """Their numbers (see `GroundTruth`), rising; those without a result too."""
    results: list[dict[str, Any]]
    """By image, the best first, ties settled; with ``segmentation`` or ``bbox``, never both. Images and
    categories are numbers too."""


def batches(truth: GroundTruth, results: pa.Table, iou_type: IouType) -> Iterator[Batch]:
    """Cut results into batches, which together have every image of ``truth`` once, by rising id.

    Args:
        truth: the annotations; results on images that it leaves out are left out.
        results: in any order, as of `average_precision.evaluate`.
        iou_type: whether the masks or the boxes are wanted.

    Raises:
        SambenchError: a mask has not its image's size.
    """
    image_ids = truth.images.ids
    owners = results["image_id"].to_numpy()
    by_image = np.argsort(owners, kind="stable")
    owners = owners[by_image]
    starts, ends = (np.searchsorted(owners, image_ids, side=side) for side in ("left", "right"))
    for images in _cut(ends - starts):
        rows = np.concatenate([by_image[a:b] for a, b in zip(starts[images], ends[images], strict=True)])
        found = _ordered(_take(results, rows), iou_type)
        numbers = range(images.start + 1, images.stop + 1)
        yield Batch(list(numbers), _dictionaries(truth, found, iou_type))


def at_once(truth: GroundTruth, found: Iterable[Batch], iou_type: IouType) -> list[dict[str, Any]]:
    """Return the results of all batches; where there is none, one that meets nothing.

    The official libraries take no empty list, and the miss scores zero all the same.
    """
    results = [result for batch in found for result in batch.results]
    return results or [_miss(truth, iou_type)]


def _miss(truth: GroundTruth, iou_type: IouType) -> dict[str, Any]:
    size = truth.sizes[int(truth.images.ids[0])]
    miss: dict[str, Any] = {"image_id": 1, "category_id": 1, "score": 0.0}
    if iou_type == "bbox":
        return miss | {"bbox": [-10.0, -10.0, 1.0, 1.0]}
    from pycocotools import mask as rle

    return miss | {"segmentation": rle.encode(np.zeros(size, np.uint8, order="F"))}


def _cut(counts: np.ndarray) -> Iterator[slice]:
    """Cut I images into runs, by how many results each has, (I,)."""
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts):
        most = (ends[first - 1] if first else 0) + RESULTS_AT_ONCE
        last = int(np.searchsorted(ends, most, side="right"))
        last = min(max(last, first + 1), first + IMAGES_AT_ONCE)
        yield slice(first, last)
        first = last


def _take(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """Take rows that lie near each other, looking at nothing else: Arrow would join all chunks first."""
    if not len(rows):
        return table.slice(0, 0)
    first, last = int(rows.min()), int(rows.max())
    return table.slice(first, last - first + 1).take(rows - first)


def _ordered(results: pa.Table, iou_type: IouType) -> pa.Table:
    """Sort by image, falling score, category, and then by the box or the bytes of the mask."""
    image, score, category = (results[name].to_numpy() for name in ("image_id", "score", "category_id"))
    keys = (category, -score, image)
    if iou_type == "bbox":
        return results.take(np.lexsort((*_boxes(results).T[::-1], *keys)))
    order, masks = np.lexsort(keys), results["segmentation"]
    tied = np.logical_and.reduce([k[order][1:] == k[order][:-1] for k in keys])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], tied.astype(np.int8), [0]])))
    for first, last in edges.reshape(-1, 2):  # few, so that Python may compare
        run = order[first : last + 1]
        order[first : last + 1] = sorted(run, key=lambda i: _mask(masks[int(i)].as_py())["counts"])
    return results.take(order)


def _dictionaries(truth: GroundTruth, results: pa.Table, iou_type: IouType) -> list[dict[str, Any]]:
    """Return each result as the libraries take it."""
    if iou_type == "segm":
        key, regions = "segmentation", [_mask(text) for text in results["segmentation"].to_pylist()]
        _check_sizes(truth, results["image_id"].to_pylist(), regions)
    else:
        key, regions = "bbox", _boxes(results).tolist()
    images = truth.images.numbers(results["image_id"].to_numpy()).tolist()
    categories = truth.categories.numbers(results["category_id"].to_numpy()).tolist()
    return [
        {"image_id": image, "category_id": category, "score": score, key: region}
        for image, category, score, region in zip(
            images, categories, results["score"].to_pylist(), regions, strict=True
        )
    ]


def _mask(text: str) -> dict[str, Any]:
    mask: dict[str, Any] = msgspec.json.decode(text)
    return mask


def _boxes(results: pa.Table) -> np.ndarray:
    """The boxes (N, 4) of N results."""
    flat = pc.list_flatten(results["bbox"]).to_numpy()
    return flat.reshape(-1, 4)


def _check_sizes(truth: GroundTruth, image_ids: list[int], masks: list[dict[str, Any]]) -> None:
    for image_id, mask in zip(image_ids, masks, strict=True):
        if tuple(mask["size"]) != truth.sizes[image_id]:
            raise SambenchError(
                f"results: a mask of image {image_id} is of size {list(mask['size'])}, the image of "
                f"{list(truth.sizes[image_id])} in {truth.path}. Bring masks to the image's own size."
            )
