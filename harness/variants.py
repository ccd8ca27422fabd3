"""Which models run: each as each engine runs it in each precision, with the weights found for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sambench.adapters.base import Given, Weights
from sambench.adapters.devices import check_device
from sambench.adapters.engines import check as check_engine
from sambench.adapters.loaded import Loaded
from sambench.adapters.plugins import AdapterSpec
from sambench.adapters.registry import create, entry, has_parameters
from sambench.adapters.spec import ModelSpec
from sambench.adapters.weights.resolve import given_for, plain, resolve
from sambench.evsam.errors import SambenchError
from sambench.harness import state
from sambench.harness.config.common import Config
from sambench.harness.executors import process
from sambench.harness.probe import Probe, probe
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
    loaded: Loaded = field(default_factory=Loaded, hash=False)
    """Of a model from outside: what it was made of."""

    @property
    def note(self) -> str | None:
        """What of its checkpoint was taken, where that was not all of it as it lay there."""
        if self.weights is None or self.weights.taken is None:
            return None
        return f"{self.model}: of {self.weights.path} was taken: {self.weights.taken}"


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
    weights = given_for(variant.model, config.weights)
    if variant.weights is not None and not entry(variant.model).plugin:  # which is asked as it was tried
        weights = _again(variant.weights)
    return ModelSpec(
        variant.model,
        weights,
        config.device,
        variant.engine,
        variant.precision,
        _adapter(variant.model, config),
    )


def _again(weights: Weights) -> Given:
    """Return how to ask for the very weights that were found."""
    if weights.parts:
        each = {name: part.path or part.source for name, part in weights.parts.items()}
        return {name: own for name, own in each.items() if own != "none"}
    return weights.path or ("random" if weights.source == "random" else None)


def _check_out(out: Path) -> None:
    """Notice a file, or foreign results, now and not after hours."""
    if out.exists() and not out.is_dir():
        raise SambenchError(f"{out}: is a file, and --out must be a folder. Choose another.")
    if (out / "results.json").exists():
        try:
            load_results(out)
        except SambenchError as error:
            raise SambenchError(f"{error} Or choose another --out.") from None


def _adapter(model: str, config: Config) -> AdapterSpec | None:
    return next((spec for spec in config.adapters if spec.name == model), None)


def stands_apart(model: str, config: Config) -> bool:
    """Tell whether a model needs a process of its own: one from outside does, where others run too."""
    return entry(model).plugin and len(config.models) > 1


@dataclass(frozen=True)
class _Found:
    """A model's weights, or why there are none."""

    weights: Weights | None
    reason: str | None = None
    loaded: Loaded = field(default_factory=Loaded)


def _cross(config: Config, kind: str, try_weights: bool) -> Iterator[Variant]:
    for model in config.models:
        found = _outside(model, config) if entry(model).plugin else _ours(model, config, try_weights)
        for engine in config.engines:
            for precision in config.precisions:
                try:
                    check_engine(engine, precision, kind)
                except SambenchError as error:
                    yield Variant(model, engine, precision, found.weights, str(error), not_applicable=True)
                    continue
                yield Variant(model, engine, precision, found.weights, found.reason, loaded=found.loaded)


def _ours(model: str, config: Config, try_them: bool) -> _Found:
    """Find a model's weights; those that the user named must be right."""
    given = given_for(model, config.weights)
    if given is None and not has_parameters(model):
        return _Found(Weights(source="none"))
    try:
        if has_parameters(model) and (given in (None, "random") or not try_them):
            return _Found(resolve(model, given))
        with state.kept():
            return _Found(plain(create(model, weights=given).weights))  # on the CPU, whatever is to run it
    except SambenchError as error:
        if given is not None:
            raise
        return _Found(None, str(error))


def _outside(model: str, config: Config) -> _Found:
    """Let a model from outside say what its weights are, and see what it is made of."""
    given = config.weights.get(model)
    spec = ModelSpec(model, given, adapter=_adapter(model, config))
    try:
        found: Probe = process.call(probe, spec) if stands_apart(model, config) else probe(spec)
    except process.ProcessDiedError as error:
        return _Found(None, f"{model}: creating it failed: {error}")
    failure = found.failure
    if failure is None:
        return _Found(found.weights, loaded=found.loaded)
    if found.misnamed or (given is not None and not failure.trace):
        raise SambenchError(failure.reason)
    if failure.trace:
        print(failure.trace, file=sys.stderr)  # for its author; the other models go on
        return _Found(None, f"{model}: creating it failed. {failure.reason}")
    return _Found(None, failure.reason)
