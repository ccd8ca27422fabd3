"""Which models run: each as each engine runs it in each precision, with the weights found for it."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sambench.adapters.base import Weights
from sambench.adapters.engines import check as check_engine
from sambench.adapters.registry import check_device, create, entry, has_parameters
from sambench.adapters.spec import ModelSpec
from sambench.adapters.weights.resolve import resolve, sha256_of
from sambench.evsam.errors import SambenchError
from sambench.harness.config.common import Config
from sambench.suites.results import load_results


@dataclass(frozen=True)
class Variant:
    """One model as one engine runs it in one precision."""

    model: str
    engine: str
    precision: str
    weights: Weights | None
    """``None`` where they cannot be had, or where only the model itself knows them."""
    reason: str | None = None
    """Why it cannot be run,"""
    not_applicable: bool = False
    """because the engine does not do that here."""


def make_variants(config: Config, *, try_weights: bool) -> tuple[Variant, ...]:
    """Find the weights of all models, and cross them with engines and precisions. Writes nothing.

    Args:
        config: what is to run.
        try_weights: load weights that the user named, to see that they fit the model; else they need only be
            there, and the process that runs the model says whether they fit.

    Raises:
        SambenchError: the device or weights that the user named are not there or wrong, the output folder
            holds something else, or no model can be run by any of the engines.
    """
    kind = check_device(config.device).type
    _check_out(config.out)
    variants = tuple(_cross(config, kind, try_weights))
    if all(variant.not_applicable for variant in variants):
        raise SambenchError(str(variants[0].reason))
    return variants


def model_spec(variant: Variant, config: Config) -> ModelSpec:
    """Return how a variant is created, in whatever process."""
    weights = config.weights.get(variant.model)
    if variant.weights is not None:
        weights = variant.weights.path or ("random" if variant.weights.source == "random" else None)
    return ModelSpec(
        variant.model,
        weights,
        config.device,
        variant.engine,
        variant.precision,
        next((spec for spec in config.adapters if spec.name == variant.model), None),
    )


def _check_out(out: Path) -> None:
    """Notice a file, or foreign results, now and not after hours."""
    if out.exists() and not out.is_dir():
        raise SambenchError(f"{out}: is a file, and --out must be a folder. Choose another.")
    if (out / "results.json").exists():
        try:
            load_results(out)
        except SambenchError as error:
            raise SambenchError(f"{error} Or choose another --out.") from None


def _cross(config: Config, kind: str, try_weights: bool) -> Iterator[Variant]:
    for model in config.models:
        weights, reason = _find_weights(model, config.weights.get(model), try_weights)
        for engine in config.engines:
            for precision in config.precisions:
                try:
                    check_engine(engine, precision, kind)
                except SambenchError as error:
                    yield Variant(model, engine, precision, weights, str(error), not_applicable=True)
                    continue
                yield Variant(model, engine, precision, weights, reason)


def _find_weights(model: str, given: str | None, try_them: bool) -> tuple[Weights | None, str | None]:
    """Find a model's weights, or why there are none; those that the user named must be right."""
    plugin = entry(model).plugin
    if given is None and not has_parameters(model):
        return Weights(source="none"), None
    if plugin and not try_them:
        return None, None  # it says itself, in the process that creates it
    try:
        if not plugin and has_parameters(model) and (given in (None, "random") or not try_them):
            return resolve(model, given), None
        found = create(model, weights=given).weights  # on the CPU, whatever is to run it
    except SambenchError as error:
        if given is not None:
            raise
        return None, str(error)
    except Exception as error:
        if not plugin:
            raise
        traceback.print_exc()  # for its author; the other models go on
        return None, f"{model}: creating it failed. {type(error).__name__}: {error}"
    return _plain(found), None


def _plain(weights: Weights) -> Weights:
    """Return what a plugin says of its weights in plain values, with a checksum: two files are two cells."""
    if weights.source != "file" or weights.path is None:
        return weights
    checksum = weights.sha256 or sha256_of(Path(weights.path))
    return dataclasses.replace(weights, path=str(weights.path), sha256=checksum)
