"""A model in training as a segmenter, as it will be afterwards: through a file of its weights."""

from __future__ import annotations

from collections.abc import Mapping

from safetensors.torch import save_file
from torch import Tensor

from sambench.adapters.base import Segmenter
from sambench.adapters.files import scratch
from sambench.adapters.registry import create
from sambench.harness.train.config import Training


def as_segmenter(config: Training, state: Mapping[str, Tensor]) -> Segmenter:
    """Create the segmenter of a training's model with some weights.

    Raises:
        SambenchError: the folder cannot be written to.
    """
    with scratch(config.out / "scored") as folder:
        file = folder / "model.safetensors"
        save_file({key: value.contiguous() for key, value in state.items()}, file)
        return create(config.model, weights=str(file), device=config.device)
