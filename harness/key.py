"""What decides a number, and the short digest of it that names the folder of its records."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sambench.adapters.engines import ENGINES, replaces
from sambench.adapters.engines.calibrate import calibrated_on
from sambench.adapters.engines.processor import features
from sambench.adapters.registry import entry, modules_of
from sambench.harness.provenance import cpu_capability, libraries
from sambench.harness.sources import code_digest
from sambench.harness.variants import Variant
from sambench.suites.environment import environment

Key = dict[str, Any]


def model_key(variant: Variant, device: str, *modules: str) -> Key:
    """Return what of a model decides its numbers.

    Args:
        variant: the model as it is run.
        device: the hardware's name.
        modules: whose sources decide too, beside the model's own and its engine's.
    """
    model, weights = entry(variant.model), variant.weights
    own, needed = [*modules_of(variant.model)], model.libraries
    if replaces(variant.engine, variant.precision):
        own.append(ENGINES[variant.engine].target)
        needed += ENGINES[variant.engine].libraries
    return {
        "model": variant.model,
        "options": dict(model.options),
        "weights": {k: v for k, v in asdict(weights).items() if k not in ("path", "taken", "parts")}
        if weights
        else None,
        "engine": variant.engine,
        "precision": variant.precision,
        "device": device,
        "cpu_capability": cpu_capability(),
        "cpu_features": list(features()),
        "code_sha256": code_digest(*own, *modules),
        "loaded": variant.loaded.key(),
        "environment": environment(),
        "calibrated_on": None if variant.not_applicable else calibrated_on(variant.precision),
        "versions": libraries(*needed),
    }


def digest_of(key: Mapping[str, Any]) -> str:
    """Return a short digest of a key."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]


def folder_name(key: Mapping[str, Any], *words: str) -> str:
    """Return the name of a folder: words for people, and the digest of a key."""
    return "-".join([*(re.sub(r"[^\w.-]+", "_", word.replace("/", "-")) for word in words), digest_of(key)])
