"""How official checkpoints are loaded: strictly, and without running anything that is in them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sambench.evsam.errors import SambenchError


def load_checkpoint(model: nn.Module, path: Path) -> None:
    """Load an official checkpoint strictly: every key there, none too many, every shape right.

    Takes ``.pt`` / ``.pth`` (a bare state dict, or one under ``state_dict`` or ``model``) and
    ``.safetensors``. Nothing in the file is executed.

    Raises:
        SambenchError: the file is missing, damaged, holds code, or belongs to another model; the message
            names the first keys that differ.
    """
    state = read_state(path)
    for outer in ("state_dict", "model"):
        if isinstance(state.get(outer), Mapping):
            state = state[outer]
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    if missing or unexpected:
        raise SambenchError(
            f"{path}: a checkpoint of another model. {_first('missing', missing)}; "
            f"{_first('unexpected', unexpected)}. Give the file that belongs to this model."
        )
    for key, value in own.items():
        found = state[key]
        if not isinstance(found, Tensor) or found.shape != value.shape:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise SambenchError(
                f"{path}: a checkpoint of another model. {key} is {shape}, "
                f"this model has {tuple(value.shape)}."
            )
    model.load_state_dict(dict(state), strict=True)


def read_state(path: Path) -> Mapping[str, Any]:
    """Read what a checkpoint holds, without running anything that is in it.

    Raises:
        SambenchError: the file is missing, damaged or holds code.
    """
    if not path.is_file():
        raise SambenchError(
            f"{path}: no such checkpoint. Give a .pt, .pth or .safetensors file, or 'random'."
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's own text advises to load it all the same
        raise SambenchError(
            f"{path}: refused. It is not a checkpoint, is damaged, or is a pickle that would run code when "
            "opened. Get the file again from its authors, or have them save the state dict alone."
        ) from None
    except Exception as error:
        raise SambenchError(
            f"{path}: not a readable checkpoint ({_short(error)}). Get the file again."
        ) from None
    if not isinstance(state, Mapping):
        raise SambenchError(f"{path}: holds a {type(state).__name__}, not a state dict.")
    return state


def _first(kind: str, keys: list[str]) -> str:
    return f"{len(keys)} {kind} keys" + (f", first {keys[0]}" if keys else "")


def _short(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
