"""The one interface of detectors of phrases: images and phrases in, boxes with scores out.

They find what a segmenter then draws (`adapters.families.grounded`). A new one is a subclass of
`PhraseDetector` in a file of its own and a line in `adapters.models.PHRASE_DETECTORS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sambench.adapters.base import Weights
from sambench.adapters.weights.resolve import resolve
from sambench.evsam.errors import SambenchError
from sambench.evsam.size import Size


@dataclass(frozen=True)
class Boxes:
    """What of an image a phrase names, Q proposals in the model's order."""

    scores: Tensor
    """(Q,) from 0 to 1."""
    boxes: Tensor
    """(Q, 4) float, x0 y0 x1 y1 in pixels of the original image, not clipped to it."""


class PhraseDetector(ABC):
    """Phrases to boxes with scores; what of an image does not depend on phrases is computed once.

    All proposals are given: no threshold, no suppression.

    Attributes:
        name: in `adapters.models.PHRASE_DETECTORS`.
        weights: where its parameters come from.
        phrase_batch: how many phrases a call of `find` takes best on its device.
    """

    name: str
    weights: Weights
    phrase_batch: int

    @abstractmethod
    def prepare(self, image: np.ndarray) -> Tensor:
        """Resize and normalise an RGB image (H, W, 3) uint8: (3, h, w) float32. Called from threads."""

    @abstractmethod
    def see(self, pixels: Tensor, size: Size) -> Any:
        """Compute what all phrases share of a prepared image (3, h, w) that was of ``size``."""

    @abstractmethod
    def find(self, seen: Any, phrases: Sequence[str]) -> list[Boxes]:
        """Find each phrase, at least one, as if it were alone, in what `see` returned."""


def find_folder(name: str, weights: str | None) -> Weights:
    """Say which weights a detector of transformers takes: a folder, or ``"random"``.

    Raises:
        SambenchError: there are none, or they are a file.
    """
    found = resolve(name, weights)
    if found.path is not None and not Path(found.path).is_dir():
        raise SambenchError(
            f"{found.path}: is a file. {name} takes a folder with config.json, model.safetensors and its "
            f"tokenizer, as transformers' save_pretrained writes it: --weights {name}=FOLDER."
        )
    return found
