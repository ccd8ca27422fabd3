"""Weights that come with the package: those of models that are our own."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("ours")
MODELS = ("efficientvit_sam_nano", "efficientvit_sam_pico")
"""Trained by this very program (docs/training.md)."""


def shipped(name: str) -> Path | None:
    """Return a model's checkpoint that came with the package, or ``None`` for a model that has none."""
    return FOLDER / f"{name}.safetensors" if name in MODELS else None
