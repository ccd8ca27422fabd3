"""What the same question gives a second time, and by how much other settings may move it.

The same seed and machine give the same bytes, whatever does the work and however often it was interrupted.
Other numbers of threads, of images an encoder call and of prompts a decoder call sum in another order: logits
move in their last digits, and a few pixels of a few masks with them. Very seldom that decides otherwise:
which of a model's masks is the best, or where the next click goes; then an object's IoU may move by anything.
So there is a bound for an object, and shares of objects that go further; of these follows that of a mean.

Constants are what ``benchmarks/determinism.py`` measures, with room: fp32 by eager PyTorch on a processor
(``benchmarks/results/determinism-cpu.json``). Nothing is stated of half precisions, other engines and GPUs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sambench.adapters.models import REGISTRY
from sambench.suites.metrics.sizes import SIZES, sized
from sambench.suites.results import CellResult

SHIFT = 0.01
"""Points by which an object's IoU, boundary IoU and predicted IoU move at most, but for a few."""

FURTHER = 1.0
"""Points by which these few move at most: pixels of a small object's edge. The fewest go anywhere: ..."""

WHOLE = 100.0
"""... to the other end."""

RARELY = 0.01
"""How likely a run has more of the few than a bound allows for."""

MANY = 100.0
"""From here on the normal distribution is near enough; `math.exp` ends at 700."""

Z = 2.3263
"""The 99th percentile of the normal distribution."""


@dataclass(frozen=True)
class Bound:
    """What the numbers of a suite may be moved by."""

    names: tuple[str, ...]
    """Metrics that it is of; those of each size of object too, where they are means over objects."""
    further: float
    """Of objects, or boxes of a detector, the share that moves by more than `SHIFT`."""
    anywhere: float
    """The share that moves by more than `FURTHER`, because something was decided otherwise: that of prompts
    whose two best masks are predicted to be as good to 1e-6, which is 3e-5 a prompt, with room."""
    weight: float = 1.0
    """How much a number moves where its objects move by a point on average."""


BOUNDS = {
    "gt_box": Bound(("miou", "boundary_iou"), 0.005, 1e-4),
    "click": Bound(tuple(f"{name}_{k}" for name in ("miou", "boundary_iou") for k in (1, 3, 5)), 0.01, 3e-4),
    "det_box": Bound(("ap",), 0.005, 1e-4, weight=3.0),
}
"""By suite. Clicks have five rounds, and what was decided in one goes on in the next. The weight of AP is of
boxes whose masks were replaced by wrong ones (`benchmarks.determinism_rare`)."""


def bound(cell: CellResult, metric: str) -> float | None:
    """Return by how many points other settings may move a number; ``None`` where nothing is stated of it.

    Args:
        cell: where it was measured.
        metric: as results call it.
    """
    stated, objects = BOUNDS.get(cell.suite), _objects(cell, metric)
    if stated is None or not objects or not _measured(cell) or cell.metrics.get(metric) is None:
        return None
    prompts = max(objects, cell.n_instances) if cell.suite == "det_box" else objects
    few, fewest = (at_most(share * prompts) for share in (stated.further, stated.anywhere))
    return min(WHOLE, stated.weight * (SHIFT + (FURTHER * few + WHOLE * fewest) / objects))


def at_most(expected: float) -> int:
    """Return the count that a rare thing does not exceed in 99 of 100 cases (Poisson; `RARELY`)."""
    if expected > MANY:
        return math.ceil(expected + Z * math.sqrt(expected) + 1)
    count, term = 0, math.exp(-expected)
    left = 1 - term
    while left > RARELY:
        count += 1
        term *= expected / count
        left -= term
    return count


def _measured(cell: CellResult) -> bool:
    """Tell whether a cell was run as what the constants were measured on.

    Models of one's own and of other libraries never are.
    """
    plain = (cell.engine, cell.precision, cell.device) == ("eager", "fp32", "cpu")
    ours = cell.model in REGISTRY and not REGISTRY[cell.model].libraries
    return plain and ours and not cell.provenance.get("adapter")


def _objects(cell: CellResult, metric: str) -> int:
    """Return how many objects a number is of; 0 where nothing is stated of it, or they were not counted."""
    stated = BOUNDS.get(cell.suite)
    if stated is None:
        return 0
    if cell.suite == "det_box":  # a sample's objects are not counted
        annotated = (cell.provenance.get("annotations") or {}).get("count") or 0
        return int(annotated) if metric in stated.names and not cell.partial else 0
    if metric in stated.names:
        return cell.n_instances
    sizes = {sized(name, size): size for name in stated.names for size in SIZES}
    return cell.counts.get(sizes[metric], 0) if metric in sizes else 0
