"""What a training says of itself, and what it leaves: weights as one file, with what made them inside."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from sambench.adapters.files import write_atomic
from sambench.evsam.errors import SambenchError
from sambench.harness.provenance import command_line, git_state, hardware, versions
from sambench.harness.secrets import without_secrets
from sambench.harness.train.config import Distilling, Training
from sambench.harness.train.log import read_lines

ABOUT, MODEL = "training.json", "model.safetensors"


def write_about(config: Training, decides: Mapping[str, Any], device: str) -> str:
    """Write ``training.json``: what is trained on what, by which command, where; return the training's name.

    Args:
        config: what is asked for.
        decides: what its checkpoints must agree with.
        device: that it computes on.

    Raises:
        SambenchError: it cannot be written.
    """
    path, known = config.out / ABOUT, {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(path.read_text(encoding="utf-8"))
    if known.get("decides") != without_secrets(decides):  # else it is the one that an earlier command began
        if known:  # whose steps are not this one's
            (config.out / "metrics.jsonl").unlink(missing_ok=True)
        known = {}
    about = {
        "schema": 1,
        "id": known.get("id") or uuid.uuid4().hex,
        "kind": "distill" if isinstance(config, Distilling) else "finetune",
        "began": known.get("began") or round(time.time(), 3),
        "command": command_line(),
        "decides": decides,
        "validation": config.validation and json.loads(json.dumps(asdict(config.validation), default=str)),
        "hardware": asdict(hardware(device)),
        "versions": versions(),
        "git": git_state(),
    }
    write_atomic(path, (json.dumps(without_secrets(about), indent=1) + "\n").encode())
    return str(about["id"])


def passed(about: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether the weights after the last step passed their validation.

    They did if there was one, all its scores are numbers, and the deciding one reaches ``validation.least``
    where that is said; a distance to the teacher's embeddings must not be above it.
    """
    validation = about.get("validation")
    last = next((line for line in reversed(lines) if "validation" in line), None)
    if not validation or last is None or last["step"] != about["decides"]["steps"]:
        return False
    scores: dict[str, float | None] = last["validation"]
    value, least = scores.get(validation["metric"]), validation.get("least")
    if value is None or None in scores.values():
        return False
    if least is None:
        return True
    return bool(value <= least if validation["metric"] == "embedding" else value >= least)


def notes_of(path: Path) -> dict[str, Any]:
    """Return what `write_model` wrote into a file beside the weights; nothing of another program's.

    Raises:
        SambenchError: it cannot be read.
    """
    try:
        with safe_open(path, "pt") as file:
            found: dict[str, Any] = json.loads((file.metadata() or {}).get("sambench", "{}"))
    except Exception as error:  # safetensors' own class is not exported by all its versions
        raise SambenchError(f"{path}: cannot be read as weights ({error}).") from None
    return found


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
    path = out / MODEL
    said = without_secrets({**about, "versions": versions(), "git": git_state()})
    notes = {"sambench": json.dumps(said)}
    write_atomic(path, save({key: value.contiguous() for key, value in state.items()}, notes))
    return path
