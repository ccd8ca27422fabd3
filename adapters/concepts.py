"""Text as a prompt: what all models that take phrases share.

A phrase is answered as if it were the only one: which others are asked beside it changes nothing but speed.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from sambench.evsam.errors import SambenchError

T = TypeVar("T")

MOST_KEPT = 4096
"""Encoded phrases that are kept. LVIS has 1,203; SAM 3's take 32 kB each."""


@dataclass(frozen=True)
class Instances:
    """What of an image a phrase names: K instances, the best first, equals in the model's order."""

    logits: Tensor
    """(K, h, w), finite, at the model's own resolution. A mask is ``> 0`` after `Segmenter.upsample`."""
    scores: Tensor
    """(K,) from 0 to 1."""
    boxes: Tensor
    """(K, 4) float, x0 y0 x1 y1 in pixels of the original image, as the model gives them: not clipped."""

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Wanted:
    """Which instances of a phrase are wanted; no mask of any other need be made."""

    above: float = 0.0
    """Those of a score above this."""
    most: int | None = None
    """So many of the highest scores; ``None`` for all."""
    sure: float = math.inf
    """And those from this score on, however many they are."""

    def best(self, scores: Tensor) -> Tensor:
        """Return the places (K,) of the wanted among scores (Q,), the best first, equals in their order.

        Raises:
            SambenchError: a score is not finite.
        """
        if not bool(torch.isfinite(scores).all()):
            raise SambenchError("scores of a phrase's instances are not finite (NaN or infinite)")
        order = scores.sort(descending=True, stable=True).indices
        order = order[scores[order] > self.above]
        if self.most is None:
            return order
        return order[: max(self.most, int((scores[order] >= self.sure).sum()))]


class Texts(Generic[T]):
    """Phrases encoded once for all images; the `MOST_KEPT` used last are kept.

    Args:
        encode: phrases, none twice, to as many encodings.
        most: how many are kept.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Sequence[T]], most: int = MOST_KEPT) -> None:
        self._encode = encode
        self._most = most
        self._kept: OrderedDict[str, T] = OrderedDict()

    def __call__(self, phrases: Sequence[str]) -> list[T]:
        """Return the encoding of each phrase."""
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._kept]
        if new:
            with torch.inference_mode():
                self._kept.update(zip(new, self._encode(new), strict=True))
        found = [self._kept[phrase] for phrase in phrases]
        for phrase in dict.fromkeys(phrases):
            self._kept.move_to_end(phrase)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return found


def cleaned(name: str) -> str:
    """Return a category's name as plain words: "Bow_(weapon)" becomes "bow".

    What LVIS adds to its names goes, underscores and parentheses, as in mmdetection's ``clean_label_name``.
    """
    return " ".join(re.sub(r"\(.*\)", " ", name.lower()).replace("_", " ").split())
