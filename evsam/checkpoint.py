"""How official checkpoints are loaded: strictly, and without running anything that is in them."""

from __future__ import annotations

import argparse
import pathlib
import pickle
import re
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sambench.evsam.errors import SambenchError
from sambench.evsam.unwrap import Found, Shapes, Spare, find, nearest, none_spare, shape_of


class OtherModelError(SambenchError):
    """A checkpoint of another model.

    Attributes:
        shapes: what in it comes nearest to a state dict: keys to shapes.
    """

    def __init__(self, message: str, shapes: Shapes) -> None:
        super().__init__(message)
        self.shapes = shapes


def load_checkpoint(model: nn.Module, path: Path) -> str | None:
    """Load a checkpoint strictly: every key there, none too many, every shape right.

    Takes ``.pt`` / ``.pth`` and ``.safetensors``: a bare state dict, or one that lies in the checkpoint of a
    training, under whatever names and with whatever prefix before all its keys (`evsam.unwrap`). Nothing in
    the file is executed.

    Returns:
        How the state dict lay in the file; ``None`` where it is all that the file holds.

    Raises:
        SambenchError: the file is missing, damaged, holds code, or belongs to another model; the message
            names the first keys that differ.
    """
    own = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    found = find_state(path, own)
    floating = [key for key, value in model.state_dict().items() if value.is_floating_point()]
    _refuse_quantised(path, found, floating)
    model.load_state_dict(dict(found.state), strict=True)
    return found.taken


def find_state(path: Path, wanted: Shapes, *, spare: Spare = none_spare, whole: bool = True) -> Found:
    """Read a checkpoint, and find a model's state dict in it (see `evsam.unwrap.find`).

    Raises:
        SambenchError: the file is missing, damaged, or holds code; its parameters are no numbers.
        OtherModelError: what it holds does not fit.
    """
    content = read_state(path)
    try:
        found = find(content, wanted, spare=spare, whole=whole)
    except SambenchError as error:
        raise SambenchError(f"{path}: {error}") from None
    if found is None:
        near = {key: value for key, value in nearest(content, wanted).items() if not spare(key)}
        raise OtherModelError(
            f"{path}: a checkpoint of another model. {_difference(near, wanted, whole)}",
            {key: shape for key, value in near.items() if (shape := shape_of(value)) is not None},
        )
    _refuse_quantised(path, found, [key for key in found.state if key.endswith((".weight", ".bias"))])
    return found


def _refuse_quantised(path: Path, found: Found, floating: Collection[str]) -> None:
    for key in floating:
        value = found.state[key]
        if not value.is_floating_point():
            raise SambenchError(
                f"{path}: {key} is {str(value.dtype).removeprefix('torch.')}, a quantised checkpoint. "
                "Give the one that it was made of."
            )


def _difference(found: Mapping[str, Any], wanted: Shapes, whole: bool) -> str:
    missing = [key for key in wanted if key not in found]
    unexpected = [key for key in found if key not in wanted] if whole else []
    if missing or unexpected:
        differ = f"{_first('missing', missing)}; {_first('unexpected', unexpected)}."
        return f"{differ} Give the file that belongs to this model."
    key = next(key for key, shape in wanted.items() if shape_of(found[key]) != shape)
    shape = shape_of(found[key])
    return f"{key} is {type(found[key]).__name__ if shape is None else shape}, this model has {wanted[key]}."


_SCALAR = np.float64(0).__reduce__()[0]
INERT: list[Any] = [
    argparse.Namespace,
    (pathlib.PurePosixPath, "pathlib.PosixPath"),
    (pathlib.PurePosixPath, "pathlib._local.PosixPath"),
    (pathlib.PureWindowsPath, "pathlib.WindowsPath"),
    (pathlib.PureWindowsPath, "pathlib._local.WindowsPath"),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")),
]
"""What trainings write beside their parameters and torch does not open: values that do nothing."""


def read_state(path: Path) -> Mapping[str, Any]:
    """Read what a checkpoint holds, without running anything that is in it.

    Raises:
        SambenchError: the file is missing, damaged or holds code.
    """
    if not path.is_file():
        raise SambenchError(
            f"{path}: no such checkpoint. Give a .pt, .pth or .safetensors file, or 'random'."
        )
    _refuse_by_beginning(path)
    try:
        if _is_safetensors(path):
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals(INERT), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Validating sparse tensor invariants")  # they are refused
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own text advises to load it all the same
        holds = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f" It holds a {holds[1]}." if holds else ""
        raise SambenchError(
            f"{path}: refused.{what} It is not a checkpoint, is damaged, or is a pickle that would run code "
            "when opened. Get the file again from its authors, or have them save the state dict alone."
        ) from None
    except Exception as error:
        if "TorchScript" in str(error):
            raise SambenchError(
                f"{path}: is TorchScript, a program. Give the checkpoint that it was exported from."
            ) from None
        raise SambenchError(
            f"{path}: not a readable checkpoint: it is cut short, damaged, or of another kind. "
            "Get the file again."
        ) from None
    if not isinstance(state, Mapping):
        raise SambenchError(f"{path}: holds a {type(state).__name__}, not a state dict.")
    return state


BEGINNINGS = {
    b"version https://git-lfs": "a pointer of Git LFS in place of the file. Fetch it with 'git lfs pull'",
    **dict.fromkeys(
        (b"<!doctype", b"<html", b"<?xml"),
        "a web page in place of the file. Download the checkpoint itself",
    ),
}
"""What downloads that failed leave under the name of a checkpoint. None of its formats begins so."""


def _refuse_by_beginning(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        raise SambenchError(f"{path}: cannot be read. Look at its permissions and its disk.") from None
    if not head:
        raise SambenchError(f"{path}: an empty file. Get the checkpoint again.")
    for beginning, what in BEGINNINGS.items():
        if head.lstrip().lower().startswith(beginning):
            raise SambenchError(f"{path}: {what}.")


def _is_safetensors(path: Path) -> bool:
    """Tell by name, or by how such files begin: eight bytes of length, then JSON."""
    with path.open("rb") as file:
        head = file.read(9)
    return path.suffix == ".safetensors" or (head[8:] == b"{" and not head.startswith(b"PK"))


def _first(kind: str, keys: list[str]) -> str:
    return f"{len(keys)} {kind} keys" + (f", first {keys[0]}" if keys else "")
