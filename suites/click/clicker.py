"""Where a simulated user clicks next: the pixel deepest inside the larger error.

The rule of the paper's section 4.2, in the form of its evaluation script, which takes the clicker of RITM
(arXiv 2102.06583). The error has two regions: pixels of the object that the prediction lacks, and pixels it
has in excess. Distances are Euclidean, exact, and end at the image's border too; of equally deep pixels the
first in row order is taken, and a tie between the regions goes to the excess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from sambench.suites.data.masks import WindowMask


@dataclass(frozen=True)
class Click:
    """One click, in pixel indices of the original image."""

    x: int
    y: int
    positive: bool


@dataclass
class Clicker:
    """The clicks on one object so far.

    Args:
        truth: the object's mask.
    """

    truth: WindowMask
    clicks: list[Click] = field(default_factory=list)

    def click(self, prediction: np.ndarray | None = None) -> Click:
        """Place the next click.

        Where nothing is wrong any more the script still clicks, and so does this: a negative click at pixel
        (0, 0). Whether to get that far is the caller's protocol.

        Args:
            prediction: mask (H, W) bool after the clicks so far; ``None`` before the first.
        """
        lacking = _Region(*self._lacking(prediction))
        excess = _Region(*self._excess(prediction))
        depth = lacking.deepest(self.clicks)
        # The excess need not be measured where it cannot reach as deep.
        other = excess.deepest(self.clicks) if excess.bound() >= depth[0] else (0.0, 0, 0)
        positive = depth[0] > other[0]
        _, y, x = depth if positive else other
        click = Click(int(x), int(y), positive)
        self.clicks.append(click)
        return click

    def _lacking(self, prediction: np.ndarray | None) -> tuple[np.ndarray, int, int]:
        """Pixels of the object that the prediction lacks, within the object's window."""
        truth = self.truth
        if prediction is None:
            return truth.pixels, truth.top, truth.left
        return truth.pixels & ~prediction[truth.window], truth.top, truth.left

    def _excess(self, prediction: np.ndarray | None) -> tuple[np.ndarray, int, int]:
        """Pixels of the prediction outside the object, within a window that has them all."""
        if prediction is None:
            return np.zeros((0, 0), bool), 0, 0
        excess = prediction.copy()
        excess[self.truth.window] &= ~self.truth.pixels
        left, top, width, height = cv2.boundingRect(excess.view(np.uint8))
        return excess[top : top + height, left : left + width], top, left


class _Region:
    """A region of error, cut to a window outside of which it has no pixel.

    The window loses nothing: a pixel beyond its frame has a neighbour in the frame, itself outside of the
    region, that is no farther away.
    """

    def __init__(self, pixels: np.ndarray, top: int, left: int) -> None:
        self.pixels, self.top, self.left = pixels, top, left

    def bound(self) -> float:
        """Return a depth that no pixel of the region exceeds.

        A pixel of depth d has all pixels nearer than d around it in the region, at least the area of a disc
        of radius d - 1; and d is at most half the window's shorter side, rounded up.
        """
        if not self.pixels.size:
            return 0.0
        disc = 1 + math.sqrt(np.count_nonzero(self.pixels) / math.pi)
        return min(disc, (min(self.pixels.shape) + 1) / 2)

    def deepest(self, clicks: list[Click]) -> tuple[float, int, int]:
        """Return depth, y and x of the deepest pixel not clicked yet; (0, 0, 0) where none is left."""
        if not self.pixels.size:
            return 0.0, 0, 0
        framed = cv2.copyMakeBorder(self.pixels.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        depth = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        top, left = self.top - 1, self.left - 1  # of the frame
        for click in clicks:
            y, x = click.y - top, click.x - left
            if 0 <= y < depth.shape[0] and 0 <= x < depth.shape[1]:
                depth[y, x] = 0
        _, most, _, _ = cv2.minMaxLoc(depth)
        if most == 0:
            return 0.0, 0, 0
        # Squared distances are whole numbers; OpenCV's differ from their roots by rounding on small arrays.
        near = np.flatnonzero(depth > most - 0.01)
        squared = np.rint(depth.ravel()[near].astype(np.float64) ** 2)
        best = int(np.argmax(squared))
        y, x = divmod(int(near[best]), depth.shape[1])
        return math.sqrt(squared[best]), y + top, x + left
