"""What the records of a shard belong to, as constant columns of each row; they compress to nothing.

So rows of several cells can lie in one table and be told apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from sambench.adapters.base import Weights
from sambench.adapters.spec import ModelSpec
from sambench.adapters.weights.resolve import sha256_of
from sambench.suites.protocol import Protocol
from sambench.suites.registry import suite_class

Labels = Mapping[str, str]
"""Column to value."""


def model_labels(model: ModelSpec, weights: Weights) -> Labels:
    """Name a model as it was created: ``model``, ``weights``, ``engine``, ``precision``.

    Weights are the SHA-256 of their file, or where there is none ``random`` or ``none``.
    """
    loaded: str = weights.source
    if weights.source == "file" and weights.path is not None:
        loaded = weights.sha256 or sha256_of(Path(weights.path))
    return {"model": model.name, "weights": loaded, "engine": model.engine, "precision": model.precision}


def suite_labels(suite: str, dataset: str, protocol: Protocol) -> Labels:
    """Name a suite on some data: ``suite``, ``dataset``, and of the ``protocol`` what decides records."""
    every = [axis.name for axis in dataclasses.fields(protocol) if axis.name != "preset"]
    axes = getattr(suite_class(suite), "record_axes", every)
    choices = " ".join(f"{axis}={getattr(protocol, axis)}" for axis in axes)
    return {"suite": suite, "dataset": dataset, "protocol": choices}
