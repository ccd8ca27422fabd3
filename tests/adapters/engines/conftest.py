"""Segmenters in engines, and what to ask them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sambench.adapters import registry
from sambench.adapters.families.sam import SamSegmenter

SMALL = "efficientvit_sam_nano"
"""Its decoder has SAM's layers, in a quarter of the channels."""
DIM, SIDE = 64, 256
"""Channels of its embeddings, and the side of its input."""


@pytest.fixture(scope="module")
def created(engine_cache: Path) -> Callable[..., SamSegmenter]:
    """Segmenters with random weights by name, engine and precision, each created once a file."""
    del engine_cache
    made: dict[tuple[str, str, str], SamSegmenter] = {}

    def create(name: str = SMALL, engine: str = "eager", precision: str = "fp32") -> SamSegmenter:
        key = (name, engine, precision)
        if key not in made:
            segmenter = registry.create(name, weights="random", engine=engine, precision=precision)
            assert isinstance(segmenter, SamSegmenter)
            made[key] = segmenter
        return made[key]

    return create


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def prompts(n: int, t: int) -> tuple[torch.Tensor, torch.Tensor]:
    """N prompts of T points each, of all kinds."""
    generator = np.random.default_rng(n * 100 + t)
    xy = torch.from_numpy(generator.uniform(0, SIDE, (n, t, 2)).astype(np.float32))
    return xy, torch.from_numpy(generator.integers(-1, 4, (n, t)))
