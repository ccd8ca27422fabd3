"""Three libraries that compute average precision: hotcoco, and the official pycocotools and lvis.

Each function takes the annotations and the results, best first and ties settled, and returns the numbers as
the library has them: fractions, -1 where no category has an object. hotcoco takes a batch after the other and
keeps what matched, 50 to 150 bytes a result; the official ones have all of them as dictionaries at once.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from sambench.evsam.errors import SambenchError
from sambench.suites.scoring.batches import Batch, IouType, at_once
from sambench.suites.scoring.ground_truth import GroundTruth

LVIS_MAX_DETS = 300  # an image, over all categories (lvis results.py)
COCO_STATS = (  # in the order of pycocotools' summary
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
)
LVIS_STATS = {
    **{"AP": "ap", "AP50": "ap50", "AP75": "ap75", "APs": "ap_small", "APm": "ap_medium", "APl": "ap_large"},
    **{"APr": "ap_r", "APc": "ap_c", "APf": "ap_f"},
    **{"AR@300": "ar300", "ARs@300": "ar_small", "ARm@300": "ar_medium", "ARl@300": "ar_large"},
}


def by_hotcoco(truth: GroundTruth, found: Iterable[Batch], iou_type: IouType) -> dict[str, float]:
    """Evaluate in hotcoco, either style; of LVIS it takes the first 300 of an image by itself.

    Raises:
        SambenchError: hotcoco cannot read the annotations.
    """
    job = matched_by_hotcoco(truth, found, iou_type)
    with contextlib.redirect_stdout(io.StringIO()):
        job.accumulate()
        job.summarize()
    if truth.style == "lvis":
        return _named(job.get_results())
    return dict(zip(COCO_STATS, job.stats, strict=True))


def matched_by_hotcoco(truth: GroundTruth, found: Iterable[Batch], iou_type: IouType) -> Any:
    """Match results with annotations in hotcoco, batch by batch: a ``COCOeval``, which keeps no mask."""
    import hotcoco

    job = hotcoco.StreamingEval(truth.listed_categories(), iou_type, lvis_style=truth.style == "lvis")
    for batch in found:
        images, annotations = truth.of_images(batch.images)
        try:
            job.update(images, annotations, batch.results)
        except (OverflowError, TypeError, ValueError) as error:
            raise SambenchError(f"{truth.path}: hotcoco cannot read it ({error}).") from None
    return job.finalize()


def by_pycocotools(truth: GroundTruth, found: Iterable[Batch], iou_type: IouType) -> dict[str, float]:
    """Evaluate in pycocotools, COCO's style."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO()
        annotations.dataset = msgspec.json.decode(truth.content)
        annotations.createIndex()
        job = COCOeval(annotations, annotations.loadRes(at_once(truth, found, iou_type)), iou_type)
        job.evaluate()
        job.accumulate()
        job.summarize()
    return dict(zip(COCO_STATS, job.stats, strict=True))


def by_lvis(truth: GroundTruth, found: Iterable[Batch], iou_type: IouType) -> dict[str, float]:
    """Evaluate in lvis, its own style.

    Raises:
        SambenchError: the package is not installed.
    """
    with lvis_at_work():
        try:
            from lvis import LVIS, LVISEval, LVISResults
        except ImportError as error:
            raise SambenchError(
                f"evaluator 'lvis': {error}. Take 'hotcoco', or"
                " 'pip install --no-deps lvis==0.5.3 matplotlib'."
            ) from None

        class InMemory(LVIS):
            """Annotations that need no file."""

            def _load_json(self, content: bytes) -> Any:
                return msgspec.json.decode(content)

        annotations = InMemory(truth.content)
        results = LVISResults(annotations, at_once(truth, found, iou_type), LVIS_MAX_DETS)
        job = LVISEval(annotations, results, iou_type)
        job.run()
    return _named(job.get_results())


@contextlib.contextmanager
def lvis_at_work() -> Iterator[None]:
    """Let lvis 0.5.3 run beside a NumPy that has no ``numpy.float`` any more, and without a word.

    On import it also configures the root logger. All is put back at the end.
    """
    root, own = logging.getLogger(), logging.getLogger("lvis")
    handlers, root_level, own_level = list(root.handlers), root.level, own.level
    lacking = "float" not in vars(np)
    own.setLevel(logging.ERROR)
    if lacking:
        np.float = float  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        if lacking:
            del np.float  # type: ignore[attr-defined]
        root.handlers[:] = handlers
        root.setLevel(root_level)
        own.setLevel(own_level)


def _named(results: dict[str, float]) -> dict[str, float]:
    return {ours: results[theirs] for theirs, ours in LVIS_STATS.items()}
