"""Results of some images at a time, as the evaluators take them: a dictionary each, ordered.

All at once they would take a kilobyte each: 6 GB for the 6 million of 20,000 images with 300 boxes. Nor is
there a need to have them all at once as a table: those of a shard are looked at when its images' turn comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sambench.evsam.errors import SambenchError
from sambench.suites.scoring.ground_truth import GroundTruth

IouType = Literal["segm", "bbox"]
Results: TypeAlias = pa.Table | Iterable[pa.Table]
"""One table in any order; or several, each image in one of them and images rising from one to the next."""

Rows = tuple[pa.Table | None, np.ndarray]
"""Of an image: its results as (n,) rows of a table; ``None`` where there is no table."""

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


def batches(
    truth: GroundTruth, results: Results, iou_type: IouType, *, in_order: bool = False
) -> Iterator[Batch]:
    """Cut results into batches, which together have every image of ``truth`` once, by rising id.

    Args:
        truth: the annotations; results on images that it leaves out are left out.
        results: as of `average_precision.evaluate`.
        iou_type: whether the masks or the boxes are wanted.
        in_order: take an image's results of one score in the order that they have, as the official evaluators
            take those of a file; else what a result is decides.

    Raises:
        SambenchError: a mask has not its image's size, or tables are not in the order of their images.
    """
    tables = [results] if isinstance(results, pa.Table) else results
    first, images, held = 0, list[Rows](), 0
    for rows in _by_image(truth, tables):
        if images and (held + len(rows[1]) > RESULTS_AT_ONCE or len(images) == IMAGES_AT_ONCE):
            yield _batch(truth, first, images, iou_type, in_order)
            first, images, held = first + len(images), [], 0
        images.append(rows)
        held += len(rows[1])
    if images:
        yield _batch(truth, first, images, iou_type, in_order)


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


def _by_image(truth: GroundTruth, tables: Iterable[pa.Table]) -> Iterator[Rows]:
    """Find the results of each image that is evaluated, by rising id."""
    ids, done, before = truth.images.ids, 0, None
    for table in filter(len, tables):
        owners = table["image_id"].to_numpy()
        by_image = np.argsort(owners, kind="stable")
        owners = owners[by_image]
        if before is not None and owners[0] <= before:
            raise SambenchError(
                f"results: those of image {owners[0]} follow those of image {before}. Give tables in the "
                "order of their images, each image in one of them."
            )
        before = int(owners[-1])
        mine = ids[done : np.searchsorted(ids, before, side="right")]
        starts, ends = (np.searchsorted(owners, mine, side=side) for side in ("left", "right"))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            yield table, by_image[start:end]
        done += len(mine)
    for _ in ids[done:]:
        yield None, np.zeros(0, np.int64)


def _batch(truth: GroundTruth, first: int, images: list[Rows], iou_type: IouType, in_order: bool) -> Batch:
    """Put the results of images together, whose numbers follow each other after the first ones."""
    tables = {id(table): table for table, rows in images if len(rows)}
    own = {key: [rows for table, rows in images if id(table) == key] for key in tables}
    taken = [_take(table, np.concatenate(own[key])) for key, table in tables.items() if table is not None]
    numbers = list(range(first + 1, first + 1 + len(images)))
    if not taken:
        return Batch(numbers, [])
    together = pa.concat_tables(taken)
    ordered = _best_first(together) if in_order else _ordered(together, iou_type)
    return Batch(numbers, _dictionaries(truth, ordered, iou_type))


def _take(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """Take rows that lie near each other, looking at nothing else: Arrow would join all chunks first."""
    first, last = int(rows.min()), int(rows.max())
    return table.slice(first, last - first + 1).take(rows - first)


def _best_first(results: pa.Table) -> pa.Table:
    """Sort by image and falling score; equals stay as they are."""
    return results.take(np.lexsort((-results["score"].to_numpy(), results["image_id"].to_numpy())))


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
