"""Models by name: ours, those of installed packages, and the user's; and how one is created."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sambench.adapters import engines, plugins
from sambench.adapters.devices import check_device
from sambench.adapters.models import LIBRARIES, PHRASE_DETECTORS, REGISTRY, Entry, parts_of
from sambench.adapters.plugins import AdapterSpec
from sambench.adapters.weights.upstream import has_weights
from sambench.evsam.errors import SambenchError, did_you_mean

if TYPE_CHECKING:
    from sambench.adapters.base import Given, Segmenter


TRAINABLE = ("sam_vit", "mobile_sam", "tiny_sam", "edge_sam", "repvit_sam", "efficientvit_sam")
"""How the names of models begin that `create_module` builds."""

_added: dict[str, Entry] = {}


def known() -> Mapping[str, Entry]:
    """Return all models: those that come with sambench, those of installed packages, those added."""
    packages = {
        name: Entry(target, name, f"installed package {package}", (package,), plugin=True)
        for name, (target, package) in plugins.announced().items()
        if name not in REGISTRY  # a package cannot stand in for a model of the paper
    }
    return REGISTRY | packages | _added


def add(given: str | Mapping[str, Any] | AdapterSpec, *, check: bool = True) -> str:
    """Add a model of the user's own (see `plugins.parse_adapter`), and return its name.

    Args:
        given: its class, name and options.
        check: import it, and see that its class takes the options.

    Raises:
        SambenchError: file, class or options are wrong, or another model has that name.
    """
    spec = given if isinstance(given, AdapterSpec) else plugins.parse_adapter(given)
    added = Entry(spec.target, spec.name, spec.target.rpartition(":")[0], plugin=True, options=spec.options)
    if parts := parts_of(spec.name):
        raise SambenchError(
            f"adapter {spec.target}: {spec.name} is {' before '.join(parts)}. Name it otherwise."
        )
    if known().get(spec.name, added) != added:
        raise SambenchError(
            f"adapter {spec.target}: there is a model {spec.name!r} already. Name this one otherwise: "
            f"NAME={spec.target}."
        )
    if check:
        plugins.check_options(spec)
    _added[spec.name] = added
    return spec.name


def entry(name: str) -> Entry:
    """Return a model's entry.

    Raises:
        SambenchError: there is none of that name; the message names the nearest.
    """
    models = known()
    if name in models:
        return models[name]
    library, colon, which = name.partition(":")
    if colon and which and library in LIBRARIES:
        title = "/".join(which.rstrip("/").split("/")[-2:])
        return dataclasses.replace(LIBRARIES[library], title=title)
    if parts := parts_of(name):
        return _of_parts(*parts)
    detector, plus, _ = name.partition("+")
    if detector in PHRASE_DETECTORS:
        raise SambenchError(
            f"{detector}: is a detector of phrases, and finds boxes. Put a segmenter behind it, such as "
            f"{detector}+efficientvit_sam_l0."
        )
    if plus:
        raise SambenchError(
            f"no model {name!r}: {detector!r} is no detector of phrases."
            f"{did_you_mean(detector, PHRASE_DETECTORS)} Before the + stands one of "
            f"{', '.join(PHRASE_DETECTORS)}."
        )
    raise SambenchError(
        f"no model {name!r}.{did_you_mean(name, models)} 'sambench models' lists all {len(models)}; "
        f"{' and '.join(f'{p}:...' for p in LIBRARIES)} name those of libraries."
    )


def _of_parts(detector: str, segmenter: str) -> Entry:
    """Return the entry of a detector of phrases followed by a segmenter."""
    first, second = PHRASE_DETECTORS[detector], entry(segmenter)
    if second.plugin:
        raise SambenchError(
            f"{detector}+{segmenter}: {segmenter} comes from outside. A detector goes before a model that "
            "sambench has, or one of a library."
        )
    return Entry(
        "sambench.adapters.families.grounded:create",
        f"{first.title} + {second.title}",
        f"{first.source}; {second.source}",
        tuple(dict.fromkeys((*first.libraries, *second.libraries))),
    )


def modules_of(name: str) -> tuple[str, ...]:
    """Return the modules, or files, whose code a model is; of one of several parts those of all."""
    parts = parts_of(name)
    own = [entry(name).target]
    if parts:
        own += [PHRASE_DETECTORS[parts[0]].target, entry(parts[1]).target]
    return tuple(target.rpartition(":")[0] for target in own)


def has_parameters(name: str) -> bool:
    """Tell whether a model of ours has weights to give it; those from outside say themselves."""
    return bool(parts_of(name)) or entry(name).plugin or has_weights(name)


def create(
    name: str,
    *,
    weights: Given = None,
    device: str = "cpu",
    engine: str = "eager",
    precision: str = "fp32",
) -> Segmenter:
    """Create a segmenter by name.

    Args:
        name: of a model of `known`, or ``hf:...`` or ``ultralytics:...``, or a detector of phrases before
            one of these: ``grounding_dino_t+sam_vit_b``.
        weights: path of an official checkpoint; ``"random"`` for a seeded random initialisation, marked as
            such in every result; ``None`` for the registered file in the weights folder. Of a
            model of two parts ``"random"`` or ``None`` is said of both, and a mapping says it of each.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or another accelerator of torch (`adapters.devices`).
        engine: what runs the model, and ...
        precision: ... what it computes in (`adapters.engines.ENGINES`).

    Raises:
        SambenchError: unknown name, engine, precision or device, or weights that are missing, wrong, or
            replaced while they were loaded.
    """
    from sambench.adapters.weights.resolve import facts, places

    found = entry(name)
    where = check_device(device)
    engines.check(engine, precision, where.type)
    if weights is not None and not has_parameters(name):
        raise SambenchError(f"{name} has no parameters: leave its weights ({weights!r}) out.")
    _allow_tf32(precision == "tf32")
    read = places(name, weights)
    before = [facts(path) for path in read]
    segmenter: Segmenter = plugins.load(found.target)(name, weights=weights, device=where, **found.options)
    for path, then in zip(read, before, strict=True):
        if then != facts(path):  # the checksum is of one file, the parameters perhaps of another
            raise SambenchError(f"{path}: was replaced while it was loaded. Run the same command again.")
    return engines.attach(segmenter, engine, precision)


def create_module(name: str) -> Any:
    """Build the plain network of a model of our own code, with random weights, to be trained.

    Returns:
        An `evsam.model.Sam` with the official ``state_dict`` layout.

    Raises:
        SambenchError: there is no such model, or its code is not ours.
    """
    from sambench.evsam.model import Sam

    found = entry(name)
    family = importlib.import_module(found.target.partition(":")[0]) if not found.plugin else None
    build = getattr(family, "create_model", None)
    model = build(name) if build is not None and ":" not in name else None
    if not isinstance(model, Sam):
        own = [one for one in REGISTRY if one.startswith(TRAINABLE)]
        raise SambenchError(
            f"{name} cannot be trained here: it is not SAM with an encoder of our own code. Take one of "
            f"{', '.join(own)}."
        )
    return model


def _allow_tf32(allowed: bool) -> None:
    """Let CUDA round the factors of fp32 products to TF32, or not: torch has one switch for the process."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
