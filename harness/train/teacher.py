"""The frozen teacher: any segmenter of the project, asked for embeddings of whole images."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sambench.adapters.base import Segmenter
from sambench.adapters.registry import create, entry
from sambench.adapters.weights.resolve import plain, resolve
from sambench.evsam.errors import SambenchError
from sambench.harness.train.config import Distilling

THREADS = 4  # that make images ready for it


class Teacher:
    """A segmenter that makes embeddings, with its own input size and preprocessing.

    So is where its embedding shows the image: a student of SAM's geometry learns from a teacher that resizes
    by the longest side and pads at the right and the bottom, as SAM's relatives do.

    Args:
        config: names it, its weights and its precision.
        device: where it computes.

    Raises:
        SambenchError: it cannot be created, or has no weights.
    """

    def __init__(self, config: Distilling, device: torch.device) -> None:
        self.segmenter: Segmenter = create(
            config.teacher,
            weights=config.teacher_weights,
            device=str(device),
            precision=config.teacher_precision,
        )
        if self.segmenter.weights.source == "none":
            raise SambenchError(f"teacher: {config.teacher} has no parameters, and nothing to teach.")
        self._threads = ThreadPoolExecutor(THREADS)

    def __call__(self, images: Sequence[np.ndarray]) -> Tensor:
        """Embed images (H, W, 3) uint8 of any sizes: (B, C, h, w) float32 on the teacher's device.

        Raises:
            SambenchError: its embeddings are no maps.
        """
        prepared = list(self._threads.map(self.segmenter.prepare, images))
        with torch.autocast(self.segmenter.device.type, enabled=False):  # it has a precision of its own
            found = self.segmenter.embed(prepared)
        if found[0].features.ndim != 3:
            raise SambenchError(
                f"teacher: {self.segmenter.name} gives features {tuple(found[0].features.shape)}, "
                "not an embedding (C, h, w)."
            )
        # a tensor made under inference_mode cannot take part in a gradient; a stack of them outside can
        return torch.stack([one.features.float() for one in found])


def identity(config: Distilling) -> dict[str, Any]:
    """Return what decides a teacher's embeddings: name, weights, precision.

    Raises:
        SambenchError: its weights are missing.
    """
    if ":" in config.teacher or entry(config.teacher).plugin:  # only they know where theirs come from
        weights = plain(create(config.teacher, weights=config.teacher_weights).weights)
    else:
        weights = resolve(config.teacher, config.teacher_weights)
    return {
        "teacher": config.teacher,
        "teacher_weights": weights.identity,
        "teacher_precision": config.teacher_precision,
    }
