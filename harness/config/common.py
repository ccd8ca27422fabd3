"""What all commands that run models are told: which models, with which weights, on what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sambench.adapters.devices import kind_of
from sambench.adapters.engines import ENGINES, PRECISIONS
from sambench.adapters.plugins import AdapterSpec, parse_adapter
from sambench.adapters.registry import add, entry
from sambench.harness.config.content import Content, weights_of
from sambench.harness.remote.places import placed
from sambench.harness.tracking.trackers import check_trackers
from sambench.suites.files import expanded


@dataclass(frozen=True, kw_only=True)
class Config:
    """What every command is told."""

    models: tuple[str, ...]
    out: Path
    remote: str | None = None
    """The address of a store that ``out`` mirrors."""
    adapters: tuple[AdapterSpec, ...] = ()
    """Models of the user's own, which are among the models."""
    weights: dict[str, str] = field(default_factory=dict)
    """Model name to a checkpoint's path or ``random``."""
    device: str = "cpu"
    engines: tuple[str, ...] = ("eager",)
    precisions: tuple[str, ...] = ("fp32",)

    @property
    def kind(self) -> str:
        """``cpu``, ``cuda``, or that of another accelerator."""
        return kind_of(self.device)


def read_common(content: Content) -> dict[str, Any]:
    """Read the fields of `Config` but ``out``; models of the user's own become known, and join those named.

    Raises:
        SambenchError: a value is wrong, or models are missing.
    """
    adapters = tuple(parse_adapter(spec) for spec in content.listed("adapter"))
    own = [add(spec, check=False) for spec in adapters]  # its process imports it: `harness.variants`
    models = content.names("model")
    models += tuple(name for name in own if name not in models)
    if len(set(own)) < len(own):
        raise content.wrong(f"adapters names one twice: {', '.join(own)}. Say NAME=file.py:Class.")
    if not models:
        raise content.wrong("no models. Name some with --models a,b ('sambench models' lists them).")
    for model in models:
        entry(model)
    return {
        "models": models,
        "adapters": adapters,
        "weights": _weights(content, models),
        "device": _device(content),
        "engines": content.names("engine", tuple(ENGINES), ("eager",)),
        "precisions": content.names("precision", PRECISIONS, ("fp32",)),
    }


def read_out(content: Content, names: Sequence[str]) -> tuple[Path, str | None]:
    """Read the folder to write to; by default one in ``runs``, the same for the same command.

    Args:
        content: what file and flags say.
        names: of the data sets, which name the folder where no file does.

    Returns:
        The folder; and where it mirrors a place in a store, the address.

    Raises:
        SambenchError: a folder is given that is no path.
    """
    if content.has("out"):
        if not content.values["out"]:
            raise content.wrong("no output folder. Give it with --out.", "out")
        return placed(content.path("out"))
    return Path("runs") / (content.file.stem if content.file else "-".join(names)), None


def read_track(content: Content) -> tuple[str, ...]:
    """Read which trackers get the results besides the folder.

    Raises:
        SambenchError: one is not known, or its package is missing.
    """
    names = content.names("track")
    check_trackers(names, content.where)
    return names


def _weights(content: Content, models: tuple[str, ...]) -> dict[str, str]:
    found = weights_of(models, content.values.get("weights", {}), content.where)
    return {m: p if p == "random" else str(expanded(p, "weights", content.where)) for m, p in found.items()}


def _device(content: Content) -> str:
    device = str(content.values.get("device", "cpu"))
    if not re.fullmatch(r"[a-z]+(:\d+)?", device):  # whether there is one, torch says when it is asked
        raise content.wrong(f"device {device!r}; say cpu, cuda or cuda:1, or mps or xpu.")
    return device
