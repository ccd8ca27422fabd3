"""PyTorch operation by operation, in lower precision."""

from __future__ import annotations

import torch

from sambench.adapters.engines.parts import Parts, TorchParts
from sambench.adapters.families.sam import SamSegmenter

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""``tf32`` is fp32 whose matrix products may round their factors; `adapters.registry.create` allows it."""


def parts(segmenter: SamSegmenter, precision: str) -> Parts:
    """Cast encoder and decoder. Norms sum in float32 whatever they are given; so does linear attention."""
    return TorchParts(segmenter.model, segmenter.position, DTYPES[precision])
