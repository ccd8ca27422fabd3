"""What ``sambench export`` is to write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sambench.harness.config.common import Config, read_common
from sambench.harness.config.content import Content, read
from sambench.harness.config.keys import EXPORT
from sambench.harness.remote.places import address

MOST_IMAGES = 64
"""A call: exported encoders are tried up to here."""

MASKS = ("best", "three", "single")
PARTS = {"both": ("encoder", "decoder"), "encoder": ("encoder",), "decoder": ("decoder",)}


@dataclass(frozen=True, kw_only=True)
class ExportConfig(Config):
    """Everything an export is made of."""

    format: str
    """A key of `adapters.engines.files.FORMATS`, which are looked at when they are needed."""
    batch_size: int | None
    """Of the encoder; ``None`` leaves it free where the format can."""
    masks: str
    parts: tuple[str, ...]
    force: bool


def load_export(path: Path | None, flags: Mapping[str, Any]) -> tuple[ExportConfig, Content]:
    """Read what to export from a YAML file and flags (see `harness.config.content.read`).

    Raises:
        SambenchError: a key or a value is wrong, or something needed is missing.
    """
    content = read(path, flags, EXPORT)
    if (batch := content.whole("batch_size") or 1) > MOST_IMAGES:
        raise content.wrong(f"batch_size must be at most {MOST_IMAGES}, not {batch}.", "batch_size")
    common = read_common(content)
    if not content.values.get("out"):
        raise content.wrong("no output folder. Give it with --out.")
    if address(content.path("out")):
        raise content.wrong(
            f"out is {content.values['out']}; a graph goes to a folder of this machine.", "out"
        )
    config = ExportConfig(
        **common,
        out=content.path("out"),
        format=str(content.values.get("format", "onnx")),
        batch_size=content.whole("batch_size"),
        masks=content.one_of("masks", MASKS, "best"),
        parts=PARTS[content.one_of("parts", tuple(PARTS), "both")],
        force=content.switch("force"),
    )
    return config, content
