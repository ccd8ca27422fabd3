"""Which models there are. Nothing heavy is imported until one of them is created."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evsam.errors import SambenchError, did_you_mean

if TYPE_CHECKING:
    import torch

    from adapters.base import Segmenter


@dataclass(frozen=True)
class Entry:
    """One model by name."""

    target: str
    """``module:function``, called with the model's name and the keywords of `adapters.create`."""
    title: str
    """As the paper's tables print it."""
    weights_file: str | None
    """Name of the official checkpoint in the weights folder; ``None`` for models without parameters."""
    source: str
    """Where model and weights come from."""
    licence: str


_EFFICIENTVIT = "github.com/mit-han-lab/efficientvit, arXiv 2402.05008"


def _efficientvit_sam(variant: str) -> Entry:
    return Entry(
        target="adapters.efficientvit_sam:create",
        title=f"EfficientViT-SAM-{variant.upper()}",
        weights_file=f"efficientvit_sam_{variant}.pt",
        source=_EFFICIENTVIT,
        licence="Apache-2.0",
    )


def _baseline(kind: str, title: str, source: str) -> Entry:
    return Entry(f"adapters.baselines:{kind}", f"{title} (baseline)", None, source, "Apache-2.0")


REGISTRY: dict[str, Entry] = {
    **{f"efficientvit_sam_{v}": _efficientvit_sam(v) for v in ("l0", "l1", "l2", "xl0", "xl1")},
    "box": _baseline("Box", "Box", "the filled box; discs at points"),
    "ellipse": _baseline("Ellipse", "Ellipse", "the ellipse in the box; the ellipse of the points' spread"),
    "grabcut": _baseline("GrabCut", "GrabCut", "OpenCV; Rother et al., SIGGRAPH 2004"),
}


def entry(name: str) -> Entry:
    """Return a model's entry.

    Raises:
        SambenchError: there is none of that name; the message names the nearest.
    """
    if name not in REGISTRY:
        raise SambenchError(
            f"no model {name!r}.{did_you_mean(name, REGISTRY)} 'sambench models' lists all {len(REGISTRY)}."
        )
    return REGISTRY[name]


ENGINES = ("eager",)
PRECISIONS = ("fp32",)


def create(
    name: str,
    *,
    weights: str | None = None,
    device: str = "cpu",
    engine: str = "eager",
    precision: str = "fp32",
) -> Segmenter:
    """Create a segmenter by name.

    Args:
        name: a key of `REGISTRY`.
        weights: path of an official checkpoint; ``"random"`` for a seeded random initialisation, marked as
            such in every result; ``None`` for the registered file in the weights folder.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        engine: what runs the model.
        precision: what it computes in.

    Raises:
        SambenchError: unknown name, engine, precision or device, or weights that are missing or wrong.
    """
    found = entry(name)
    for kind, value, known in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise SambenchError(
                f"no {kind} {value!r}; there is {', '.join(known)}.{did_you_mean(value, known)}"
            )
    if found.weights_file is None and weights is not None:
        raise SambenchError(f"{name} has no parameters: leave its weights ({weights!r}) out.")
    module, _, attribute = found.target.partition(":")
    build = getattr(importlib.import_module(module), attribute)
    segmenter: Segmenter = build(name, weights=weights, device=check_device(device))
    return segmenter


def check_device(name: str) -> torch.device:
    """Return a device that this machine has.

    Raises:
        SambenchError: it has not.
    """
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        raise SambenchError(f"no device {name!r}; say cpu, cuda or cuda:1.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SambenchError(
            f"device {name!r}: this machine has no CUDA device that torch can use. Say --device cpu."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SambenchError(f"device {name!r}: this machine has {torch.cuda.device_count()} CUDA devices.")
    if device.type not in ("cpu", "cuda"):
        raise SambenchError(f"device {name!r} is not supported; say cpu or cuda.")
    return device
