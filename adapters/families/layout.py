"""Checkpoints whose parameters have other names than transformers': told by a table, and loaded strictly.

A table names parts of ours and of theirs by how their keys begin; in what follows, rules replace names, one
after the other. ``#`` in a name of theirs is the number of a row, where it keeps each row of ours by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sambench.evsam.checkpoint import find_state

Shape = tuple[int, ...]
Parts = Mapping[str, tuple[str, Sequence[tuple[str, str]]]]
"""How names of ours begin, to how theirs do, and the rules for what follows: patterns and replacements. Of
those that fit the longest counts; what begins as none is named alike."""


@dataclass(frozen=True)
class Origin:
    """Where a parameter of ours lies in theirs."""

    names: tuple[str, ...]
    """One, or as many as ours has rows."""
    third: int | None = None
    """Which third of its rows, where theirs joins queries, keys and values."""
    transposed: bool = False

    def shapes(self, own: Shape) -> dict[str, Shape]:
        """Return theirs for the shape of ours."""
        if not own:
            return dict.fromkeys(self.names, own)
        rows, *rest = reversed(own) if self.transposed else own
        rows = rows // len(self.names) if self.third is None else 3 * rows
        return dict.fromkeys(self.names, (rows, *rest))

    def read(self, theirs: Mapping[str, Tensor]) -> Tensor:
        """Return the parameter."""
        first, *others = (theirs[name] for name in self.names)
        value = torch.cat([first, *others]) if others else first
        if self.third is not None:
            value = value.chunk(3)[self.third]
        return value.T if self.transposed else value


@dataclass(frozen=True)
class Layout:
    """How checkpoints of a kind name what ours has."""

    parts: Parts
    left: re.Pattern[str]
    """Finds at their beginning the names of what theirs has and ours has not."""
    joined: re.Pattern[str] | None = None
    """Finds names of theirs, as the rules leave them, of queries, keys and values that are joined in one:
    what stands before them, which of ``q``, ``k`` and ``v`` it is, and the kind of parameter."""
    transposed: str | None = None
    """How names of theirs end that are stored as columns."""

    def origin(self, key: str, shape: Shape) -> Origin:
        """Tell where a parameter of ours lies in theirs."""
        name = self._renamed(key)
        if self.joined is not None and (found := self.joined.fullmatch(name)):
            before, which, kind = found.groups()
            return Origin((f"{before}in_proj_{kind}",), third="qkv".index(which))
        if "#" in name:
            return Origin(tuple(name.replace("#", str(row)) for row in range(shape[0])))
        return Origin((name,), transposed=self.transposed is not None and name.endswith(self.transposed))

    def _renamed(self, key: str) -> str:
        start = max((one for one in self.parts if key.startswith(one)), key=len, default="")
        theirs, rules = self.parts.get(start, ("", ()))
        # rules see the dot before what follows too, for names are told apart by the dots around them
        stem, dot = (theirs[:-1], ".") if theirs.endswith(".") else (theirs, "")
        rest = dot + key[len(start) :]
        for pattern, replacement in rules:
            rest = re.sub(pattern, replacement, rest)
        return stem + rest

    def wanted(self, own: Mapping[str, Shape]) -> dict[str, Shape]:
        """Return what theirs has to have for parameters of ours: names to shapes."""
        found: dict[str, Shape] = {}
        for key, shape in own.items():
            found |= self.origin(key, shape).shapes(shape)
        return found

    def load(self, model: nn.Module, path: Path) -> str | None:
        """Load a checkpoint of theirs into a module of ours: nothing is missing, and nothing is left.

        Returns:
            How it lay in its file; ``None`` where it is all that the file holds.

        Raises:
            SambenchError: the file is damaged, holds code, or is of another model; the message names the
                first keys of theirs that are missing, or that nothing takes.
        """
        own = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        found = find_state(path, self.wanted(own), spare=lambda key: self.left.match(key) is not None)
        state = {key: self.origin(key, shape).read(found.state) for key, shape in own.items()}
        model.load_state_dict(state, strict=True)
        return found.taken
