"""What a training leaves: weights as one file, with what made them inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from sambench.adapters.files import write_atomic
from sambench.harness.provenance import git_state, versions
from sambench.harness.train.log import read_lines


def write_curve(out: Path, title: str) -> None:
    """Draw ``curve.png`` of ``metrics.jsonl``; nothing where matplotlib is not installed.

    Raises:
        SambenchError: it cannot be written.
    """
    from sambench.reports.curve import draw_curve

    try:
        drawn = draw_curve(read_lines(out / "metrics.jsonl"), title)
    except ImportError:
        return
    write_atomic(out / "curve.png", drawn)


def write_model(out: Path, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> Path:
    """Write ``model.safetensors`` in the official layout; ``about`` and the program's state are its metadata.

    Raises:
        SambenchError: it cannot be written.
    """
    path = out / "model.safetensors"
    notes = {"sambench": json.dumps({**about, "versions": versions(), "git": git_state()})}
    write_atomic(path, save({key: value.contiguous() for key, value in state.items()}, notes))
    return path
