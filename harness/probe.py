"""Trying a model from outside before the plan is made: whether it can be created, and what of."""

from __future__ import annotations

from dataclasses import dataclass, field

from sambench.adapters.base import Weights
from sambench.adapters.loaded import Loaded, watched
from sambench.adapters.registry import add
from sambench.adapters.spec import ModelSpec
from sambench.adapters.weights.resolve import plain
from sambench.harness import state
from sambench.suites.failures import Failure


@dataclass(frozen=True)
class Probe:
    """What a model says of itself once it is created."""

    weights: Weights | None = None
    loaded: Loaded = field(default_factory=Loaded)
    failure: Failure | None = None
    misnamed: bool = False
    """Whether there is no such class, or it has not the options: the command is wrong, not the model."""


def probe(spec: ModelSpec) -> Probe:
    """Create a model, look at it, and let it go; what it sets in the process is put back."""
    target = spec.adapter.target if spec.adapter else spec.name
    with state.kept(), watched(target) as watch:
        if spec.adapter is not None:
            try:
                add(spec.adapter, check=True)
            except Exception as error:
                return Probe(failure=Failure.of(error), misnamed=True)
        try:
            state.seed("create", spec.name)
            segmenter = spec.create()
            weights = plain(segmenter.weights)
            loaded = watch.loaded(segmenter.files, apart=weights.path)
        except Exception as error:
            return Probe(failure=Failure.of(error))
    return Probe(weights, loaded)
