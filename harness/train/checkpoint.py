"""Checkpoints: written whole or not at all, the last three and the best kept, read without running anything.

One file has all that the training needs to go on, on any number of processes: weights, the optimiser's state,
the loss scale, the average, the step, and what was asked for. Learning rate, order and random draws are
functions of seed and step, so they need no state.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sambench.adapters.files import remove_leftovers, writing
from sambench.evsam.errors import SambenchError

KEPT = 3
PARTS = {"decides", "totals", "model", "optimiser", "scaler", "average"}
"""Of a checkpoint."""
_NAME = re.compile(r"step-(\d+)\.pt")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training."""

    folder: Path

    def steps(self) -> list[int]:
        """Return the steps that there is a checkpoint of, ascending."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(int(match[1]) for file in found if (match := _NAME.fullmatch(file.name)))

    def path(self, step: int) -> Path:
        """Return where the checkpoint after so many steps is."""
        return self.folder / f"step-{step:08d}.pt"

    def save(self, step: int, state: Mapping[str, Any], best: int | None) -> None:
        """Write a checkpoint, then remove those that are neither among the last nor the best.

        Raises:
            SambenchError: the disk is full; earlier ones are still there.
        """
        remove_leftovers(self.folder)
        with writing(self.path(step)) as file:
            torch.save(dict(state), file)
        for old in self.steps()[:-KEPT]:
            if old != best:
                self.path(old).unlink(missing_ok=True)

    def load(self, step: int) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            SambenchError: it is damaged, or is something else.
        """
        path = self.path(step)
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if not isinstance(state, dict) or not state.keys() >= PARTS:
                raise ValueError("not of a training")
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise SambenchError(
                f"{path}: a damaged checkpoint ({reason}). Remove it; the one before is then taken."
            ) from None
        return dict(state)


def refuse_other(asked: Mapping[str, Any], found: Mapping[str, Any], path: Path) -> None:
    """See that a checkpoint is of the training that is asked for.

    Raises:
        SambenchError: it is of another; the message names the key.
    """
    for key, now, before in differences(asked, found):
        raise SambenchError(
            f"{path}: a checkpoint of another training: {key} was {before!r}, now it is {now!r}. "
            "Choose another --out, or ask for the same."
        )


def differences(asked: Any, found: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two settings differ: the dotted key and both values, ``None`` for one that is missing."""
    if isinstance(asked, Mapping) and isinstance(found, Mapping):
        for name in {**asked, **found}:
            yield from differences(asked.get(name), found.get(name), f"{key}.{name}".strip("."))
    elif asked != found:
        yield key, asked, found


def whole(value: Any, kept: bool = True) -> Any:
    """Return a state with every tensor on the CPU and in one piece; all processes must call it.

    Args:
        value: tensors, in mappings and lists, beside plain values.
        kept: whether this process needs the tensors. One that does not, only helps the others, and has
            ``None`` in their place.
    """
    if isinstance(value, Tensor):
        full = value.full_tensor() if hasattr(value, "full_tensor") else value
        return full.detach().cpu().clone() if kept else None
    if isinstance(value, Mapping):
        return {key: whole(one, kept) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [whole(one, kept) for one in value]
    return value


def load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Give an optimiser its state back, cut over the processes where its parameters are."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    cut = {}
    for index, values in state["state"].items():
        like = parameters[int(index)]
        cut[int(index)] = {
            name: distribute_tensor(one.to(like.device), like.device_mesh, like.placements)
            if isinstance(like, DTensor) and isinstance(one, Tensor) and one.ndim
            else one
            for name, one in values.items()
        }
    optimiser.load_state_dict({"state": cut, "param_groups": state["param_groups"]})
