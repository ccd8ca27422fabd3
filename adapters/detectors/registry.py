"""Which detectors there are. Nothing heavy is imported until one of them is created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sambench.adapters import plugins
from sambench.adapters.devices import check_device
from sambench.evsam.errors import SambenchError, did_you_mean

if TYPE_CHECKING:
    from sambench.adapters.detectors.base import Category, Detector


@dataclass(frozen=True)
class Option:
    """A choice that a detector offers."""

    kind: type[int] | type[str]
    text: str
    """What it decides, and its default."""


@dataclass(frozen=True)
class Entry:
    """One detector by name."""

    target: str
    """``module:function``, called with the name and the keywords of `create`."""
    title: str
    weights: str
    """What it takes as weights."""
    licence: str
    """Of its code and its authors' weights."""
    source: str
    options: Mapping[str, Option] = field(default_factory=dict)


_CAPTIONS = {
    "implementation": Option(str, "whose code: transformers (default) or groundingdino-py"),
    "chunk_size": Option(int, "most names a caption; by default all where they fit 256 tokens, else 40"),
    "names": Option(
        str, "cleaned (default; LVIS's underscores and parentheses go) or as_given (SGinW's script)"
    ),
    "top_k": Option(int, "boxes kept of an image, 300 by default"),
    "tokenizer": Option(str, "folder of BERT's uncased vocabulary; that of the weights by default"),
}


def _yolov8(size: str) -> Entry:
    return Entry(
        "sambench.adapters.detectors.yolov8:create",
        f"YOLOv8{size}",
        f"yolov8{size}.pt of ultralytics, or such a model as .onnx",
        "AGPL-3.0",
        "github.com/ultralytics/ultralytics",
    )


def _grounding_dino(size: str, title: str, file: str) -> Entry:
    return Entry(
        "sambench.adapters.detectors.grounding_dino:create",
        f"GroundingDINO-{title}",
        f"folder of IDEA-Research/grounding-dino-{size}; for groundingdino-py {file}",
        "Apache-2.0",
        "github.com/IDEA-Research/GroundingDINO, arXiv 2303.05499",
        _CAPTIONS,
    )


DETECTORS: dict[str, Entry] = {
    **{f"yolov8{size}": _yolov8(size) for size in "nsmlx"},
    "grounding_dino_t": _grounding_dino("tiny", "T", "groundingdino_swint_ogc.pth"),
    "grounding_dino_b": _grounding_dino("base", "B", "groundingdino_swinb_cogcoor.pth"),
    "vitdet": Entry(
        "sambench.adapters.detectors.vitdet:create",
        "ViTDet-H",
        "none: its authors' result file, with --detections vitdet=FILE",
        "Apache-2.0",
        "github.com/facebookresearch/detectron2, arXiv 2203.16527",
    ),
}
"""In the order of tables."""


def entry(name: str) -> Entry:
    """Return a detector's entry.

    Raises:
        SambenchError: there is none of that name; the message names the nearest.
    """
    if name not in DETECTORS:
        raise SambenchError(
            f"no detector {name!r}.{did_you_mean(name, DETECTORS)} 'sambench detectors' lists them."
        )
    return DETECTORS[name]


def parse_options(name: str, given: Sequence[str]) -> dict[str, int | str]:
    """Read a detector's options from ``NAME=VALUE``.

    Raises:
        SambenchError: the detector has no such option, or the value is of the wrong kind.
    """
    known = entry(name).options
    options: dict[str, int | str] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if key not in known or not equals or not value:
            offered = "; ".join(f"{k}={o.kind.__name__}: {o.text}" for k, o in known.items())
            offered = f"It has {offered}." if offered else "It has none."
            raise SambenchError(f"{name}: no option {one!r}.{did_you_mean(key, known)} {offered}")
        try:
            options[key] = known[key].kind(value)
        except ValueError:
            raise SambenchError(f"{name}: option {key} is a whole number, not {value!r}.") from None
    return options


def create(
    name: str,
    *,
    categories: Sequence[Category],
    weights: str | None = None,
    device: str = "cpu",
    **options: Any,
) -> Detector:
    """Create a detector by name.

    Args:
        name: of a detector of `DETECTORS`.
        categories: of the data set; every box is of one of them.
        weights: path of a checkpoint; ``"random"`` for a seeded random initialisation, marked as such beside
            every result; ``None`` for the file in the weights folder.
        device: as of `adapters.registry.create`.
        options: of the detector (`Entry.options`).

    Raises:
        SambenchError: unknown name, option or device, no categories, or weights that are missing, wrong, or
            replaced while they were loaded.
    """
    from sambench.adapters.weights.resolve import sha256_of

    found = entry(name)
    unknown = [key for key in options if key not in found.options]
    if unknown:
        raise SambenchError(f"{name}: no option {unknown[0]!r}.{did_you_mean(unknown[0], found.options)}")
    if not categories:
        raise SambenchError(f"{name}: no categories to look for. The annotations must list 'categories'.")
    build = plugins.load(found.target)
    detector: Detector = build(
        name, categories=categories, weights=weights, device=check_device(device), **options
    )
    its = detector.weights
    if its.path is not None and sha256_of(Path(its.path)) != its.sha256:
        raise SambenchError(f"{its.path}: was replaced while it was loaded. Run the same command again.")
    return detector
