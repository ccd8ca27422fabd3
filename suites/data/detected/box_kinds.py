"""Boxes of another kind than COCO's: what they look like, told from images' sizes and annotated boxes.

COCO's are x, y, width, height in pixels. Detectors also return corners, or centre and size, in shares or
percent of the image, or in pixels of the input that the image was scaled to. Read as COCO's they find next to
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sambench.evsam.size import Size

MEETS = 0.5
"""IoU from which a box is an annotated one's, as in PASCAL VOC."""
FIRST = 10
"""Boxes of an image, beyond one an object, among which the objects are looked for."""
FEWEST = 3
"""Objects that have to be met before anything is said."""
ENOUGH, TIMES = 0.4, 2.0
"""Share of the objects that another kind has to meet, and how many times as many as COCO's kind."""
SURE = 0.8
"""Share met from which the kind is named as a fact; below, as the best of those tried."""
MARGIN = 0.05
"""Of the image's side, by which a box may stick out: detectors that do not clip go as far."""
MOST, MANY, FEW = 0.5, 0.2, 0.02
"""Shares of boxes that stick out: strange in any case; strange if they do not as another kind; ordinary."""
LARGEST_SHARE = 1.5
"""No coordinate of boxes in shares of the image is beyond; of boxes in pixels, nearly all are."""
INPUTS = (320, 416, 512, 640, 800, 1024, 1280)
"""Sides in pixels of the square inputs that detectors have."""
SHORT, LONG = 800, 1333
"""Pixels to which detectron2 and mmdetection bring the sides of an image, one at most."""


@dataclass(frozen=True)
class Seen:
    """One image, with what was found in it and what is annotated."""

    size: Size
    boxes: np.ndarray
    """(N, 4) four numbers a box as the file has them, the best first."""
    objects: np.ndarray
    """(K, 4) annotated boxes: x, y, width, height in pixels."""


Layout = Callable[[np.ndarray], np.ndarray]
"""From the four numbers of boxes (N, 4) to corners x0, y0, x1, y1."""
Scale = Callable[[np.ndarray, Size], np.ndarray]
"""From corners in another unit to pixels of an image."""


class Kind(NamedTuple):
    """A way of writing boxes."""

    what: str
    layout: Layout
    scale: Scale

    def corners(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        """Return corners in pixels, (N, 4)."""
        return self.scale(self.layout(boxes), size)


def from_size(boxes: np.ndarray) -> np.ndarray:
    """Read x, y, width, height."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _from_centre(boxes: np.ndarray) -> np.ndarray:
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


LAYOUTS: dict[str, Layout] = {
    "x, y, width, height": from_size,
    "corners x0, y0, x1, y1": lambda boxes: boxes,
    "centre and size": _from_centre,
    "corners y0, x0, y1, x1": lambda boxes: boxes[:, [1, 0, 3, 2]],
}


def _pixels(corners: np.ndarray, size: Size) -> np.ndarray:
    del size
    return corners


def _parts(whole: float) -> Scale:
    """Read parts of the image's sides, the side being so many parts."""
    return lambda corners, size: corners * (np.array([size[1], size[0]] * 2) / whole)


def _boxed(side: int, *, centred: bool) -> Scale:
    """Read pixels of a square into which the image was fitted whole."""

    def scale(corners: np.ndarray, size: Size) -> np.ndarray:
        by = side / max(size)
        pad = (side - by * np.array([size[1], size[0]] * 2)) / 2 if centred else 0.0
        return (corners - pad) / by

    return scale


def _short_side(corners: np.ndarray, size: Size) -> np.ndarray:
    return corners / min(SHORT / min(size), LONG / max(size))


SCALES: dict[str, Scale] = {
    "": _pixels,
    " in shares of the image, 0 to 1": _parts(1),
    " in percent of the image": _parts(100),
    **{f" in pixels of the image scaled to {side} x {side}": _parts(side) for side in INPUTS},
    **{
        f" in pixels of the image fitted into {where} of {side} x {side}": _boxed(side, centred=centred)
        for side in INPUTS
        for where, centred in (("the middle", True), ("a corner", False))
    },
    f" in pixels of the image scaled to {SHORT} at its short side": _short_side,
}

OTHERS = tuple(
    Kind(layout + scale, LAYOUTS[layout], SCALES[scale])
    for scale in SCALES
    for layout in LAYOUTS
    if (layout, scale) != ("x, y, width, height", "")
)
"""All kinds but COCO's, the common ones first."""
COCOS = Kind("x, y, width, height", from_size, _pixels)


def looks_like(seen: Sequence[Seen]) -> str | None:
    """Say what boxes look like that are hardly COCO's; ``None`` where nothing speaks against it."""
    seen = [one for one in seen if len(one.boxes)]
    if not seen:
        return None
    own, most = count_met(seen, COCOS), most_met(seen)
    outside = _outside(seen, COCOS)
    leave = f"{outside:.0%} of the boxes leave their image"
    start = f"{leave}; they fit" if outside else "the boxes fit"
    if TIMES * max(own, FEWEST / TIMES) <= most:  # else no other can be so much better
        best, met = _best(seen, TIMES * own)
        if best is not None and met >= max(FEWEST, ENOUGH * most):
            fit = "" if met >= SURE * most else " best"
            return (
                f"{start}{fit} as {best.what}: so they meet {met / most:.0%} of the annotated boxes, as "
                f"{COCOS.what} in pixels {own / most:.0%}"
            )
    if _are_shares(seen):
        return "no box is larger than a pixel or two; they fit as shares of the image, 0 to 1"
    if outside < MANY or own >= ENOUGH * most > 0:
        return None
    fitting = next((k for k in OTHERS if k.scale is _pixels and _is_within(seen, k)), None)
    if fitting is None:
        if outside < MOST:
            return None
        return f"{leave}, by more than {MARGIN:.0%} of its side; are they of images of another size"
    return f"{leave}; they fit as {fitting.what}"


def _best(seen: Sequence[Seen], least: float) -> tuple[Kind | None, int]:
    """Return the kind as which boxes meet most objects, where there are more than so many."""
    best, most = None, int(least)
    for kind in OTHERS:
        met = count_met(seen, kind)
        if met > most:
            best, most = kind, met
    return best, most


def count_met(seen: Sequence[Seen], kind: Kind) -> int:
    """Count the objects that boxes of a kind meet, each box one at most."""
    total = 0
    for one in seen:
        first = one.boxes[: len(one.objects) + FIRST]
        meets = iou(kind.corners(first, one.size), from_size(one.objects)) >= MEETS
        total += min(int(meets.any(axis=0).sum()), int(meets.any(axis=1).sum()))
    return total


def most_met(seen: Sequence[Seen]) -> int:
    """Count the objects that could be met, each box being one at most."""
    return sum(min(len(one.boxes), len(one.objects)) for one in seen)


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the IoU of corners (N, 4) with corners (M, 4), (N, M); boxes turned inside out meet nothing."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=1) for b in (boxes, others)]
    union = areas[0][:, None] + areas[1][None, :] - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)


def _corners(seen: Sequence[Seen], kind: Kind) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for one in seen:
        yield kind.corners(one.boxes, one.size), np.array([one.size[1], one.size[0]] * 2, np.float64)


def _outside(seen: Sequence[Seen], kind: Kind) -> float:
    """Return the share of boxes that stick out of their image."""
    out = [
        ((c < -MARGIN * sides) | (c > (1 + MARGIN) * sides)).any(axis=1) for c, sides in _corners(seen, kind)
    ]
    return float(np.concatenate(out).mean())


def _is_within(seen: Sequence[Seen], kind: Kind) -> bool:
    """Whether hardly a box of a kind sticks out, and none is turned inside out."""
    turned = [(c[:, 2:] < c[:, :2]).any(axis=1) for c, _ in _corners(seen, kind)]
    return not np.concatenate(turned).any() and _outside(seen, kind) <= FEW


def _are_shares(seen: Sequence[Seen]) -> bool:
    small = all(np.abs(one.boxes).max() <= LARGEST_SHARE for one in seen)
    return small and sum(len(one.boxes) for one in seen) >= FEWEST
