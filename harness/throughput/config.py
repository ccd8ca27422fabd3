"""What ``sambench throughput`` is to measure: a YAML file, flags, or a file with flags on top."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sambench.adapters.engines import ENGINES, PRECISIONS
from sambench.adapters.registry import add, entry
from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.harness.config import check_weights
from sambench.suites.data.named import find, is_known
from sambench.suites.files import expanded, read_mapping
from sambench.suites.throughput.job import MODES, PAPER, QUICK, SCOPES, Rule, Scope, parse_scope

DEFAULT_BATCH = {"cpu": (1,), "cuda": (1, 16)}
"""Latency, and on a GPU the paper's batch."""

HEADLINE = ("E", "E2E")
"""The scopes that the protocol's headline is made of (4.3.1)."""


@dataclass(frozen=True)
class ThroughputConfig:
    """Everything a measurement is made of. The fields are the keys of the YAML file, but for `rule`."""

    models: tuple[str, ...]
    dataset: str
    """What to call the data."""
    images: Path
    annotations: Path
    out: Path
    rule: Rule
    """Made of ``preset``, ``rounds``, ``seconds`` and ``min_batches``."""
    adapters: tuple[str, ...] = ()
    weights: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"
    engines: tuple[str, ...] = ("eager",)
    precisions: tuple[str, ...] = ("fp32",)
    scopes: tuple[Scope, ...] = ()
    modes: tuple[str, ...] = MODES
    batch_sizes: tuple[int, ...] = (1,)
    seed: int = 0
    audit: bool = False

    @property
    def kind(self) -> str:
        """``cpu`` or ``cuda``."""
        return self.device.partition(":")[0]


KEYS = (
    *("models", "adapters", "weights", "device", "engines", "precisions", "scopes", "modes", "batch_sizes"),
    *("preset", "rounds", "seconds", "min_batches", "dataset", "images", "annotations", "seed", "audit"),
    "out",
)


def load_config(path: Path | None, flags: Mapping[str, Any]) -> ThroughputConfig:
    """Build a configuration from a YAML file and flags; a flag that is set wins.

    Args:
        path: the file, or ``None``.
        flags: keys of `KEYS` to values as YAML would give them; ``None`` for a flag not set.

    Raises:
        SambenchError: a key or a value is wrong, or something needed is missing.
    """
    content = (
        read_mapping(path, "configuration file", "a configuration", "docs/throughput.md") if path else {}
    )
    where = str(path) if path else "command line"
    for key in content:
        if key not in KEYS:
            near = did_you_mean(str(key), KEYS)
            raise SambenchError(f"{where}: no key {key!r}.{near} There are {', '.join(KEYS)}.")
    content |= {key: value for key, value in flags.items() if value is not None}
    specs = _list(content, "adapters", where)
    models = _list(content, "models", where)
    models += [name for name in map(add, specs) if name not in models]
    for name in models:
        entry(name)
    if not models:
        raise SambenchError(
            f"{where}: no models. Name some with --models a,b ('sambench models' lists them)."
        )
    if not content.get("out"):
        raise SambenchError(f"{where}: no output folder. Give --out DIR.")
    device = str(content.get("device", "cpu"))
    if device.partition(":")[0] not in DEFAULT_BATCH:
        raise SambenchError(f"{where}: device {device!r}; say cpu, cuda or cuda:1.")
    kind = device.partition(":")[0]
    dataset, images, annotations = _data(content, where)
    return ThroughputConfig(
        models=tuple(_once(models, "models", where)),
        dataset=dataset,
        images=images,
        annotations=annotations,
        out=expanded(content["out"], "out", where),
        rule=_rule(content, kind, where),
        adapters=tuple(specs),
        weights=_weights(content.get("weights") or {}, models, where),
        device=device,
        engines=_known(content, "engines", tuple(ENGINES), ("eager",), where),
        precisions=_known(content, "precisions", PRECISIONS, ("fp32",), where),
        scopes=_scopes(content, where),
        modes=_known(content, "modes", MODES, MODES, where),
        batch_sizes=_batches(content, kind, where),
        seed=int(_number(content, "seed", 0, where, least=0)),
        audit=bool(content.get("audit", False)),
    )


def _list(content: Mapping[str, Any], key: str, where: str) -> list[str]:
    """Read a list, or text with commas."""
    value = content.get(key)
    if value is None:
        return []
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, Sequence) or not value:
        raise SambenchError(f"{where}: {key} must be a list, not {value!r}.")
    return [str(one) for one in value]


def _once(values: list[str], key: str, where: str) -> list[str]:
    if len(set(values)) < len(values):
        raise SambenchError(f"{where}: {key} names one twice: {', '.join(values)}.")
    return values


def _known(
    content: Mapping[str, Any], key: str, choices: Sequence[str], default: tuple[str, ...], where: str
) -> tuple[str, ...]:
    values = _once(_list(content, key, where), key, where) or list(default)
    for value in values:
        if value not in choices:
            near = did_you_mean(value, choices)
            raise SambenchError(f"{where}: {key} {value!r}; there is {', '.join(choices)}.{near}")
    return tuple(values)


def _scopes(content: Mapping[str, Any], where: str) -> tuple[Scope, ...]:
    names = _list(content, "scopes", where) or list(HEADLINE)
    if names == ["all"]:
        names = list(SCOPES)
    scopes = [parse_scope(name) for name in names]
    _once([scope.name for scope in scopes], "scopes", where)
    return tuple(scopes)


def _batches(content: Mapping[str, Any], kind: str, where: str) -> tuple[int, ...]:
    given = _list(content, "batch_sizes", where)
    for one in given:
        if not one.isdigit() or int(one) < 1:
            raise SambenchError(f"{where}: batch size {one!r} must be a whole number from 1.")
    return tuple(sorted({int(one) for one in given})) or DEFAULT_BATCH[kind]


def _rule(content: Mapping[str, Any], kind: str, where: str) -> Rule:
    presets = {"quick": QUICK[kind], "paper": PAPER}
    name = str(content.get("preset", "paper" if kind == "cuda" else "quick"))
    if name not in presets:
        raise SambenchError(f"{where}: preset {name!r}; there is {' and '.join(presets)}.")
    rule = presets[name]
    changed = dataclasses.replace(
        rule,
        rounds=int(_number(content, "rounds", rule.rounds, where, least=1)),
        min_seconds=float(_number(content, "seconds", rule.min_seconds, where, least=0, kind=float)),
        min_batches=int(_number(content, "min_batches", rule.min_batches, where, least=1)),
    )
    return changed if changed == rule else dataclasses.replace(changed, preset=f"{name}, changed")


def _number(
    content: Mapping[str, Any],
    key: str,
    default: float,
    where: str,
    *,
    least: int,
    kind: Callable[[Any], float] = int,
) -> float:
    value = content.get(key, default)
    right = isinstance(value, int | float) and not isinstance(value, bool) and value >= least
    if not right or kind(value) != value:
        what = "a whole number" if kind is int else "a number"
        raise SambenchError(f"{where}: {key} must be {what} from {least}, not {value!r}.")
    return kind(value)


def _weights(value: Any, models: Sequence[str], where: str) -> dict[str, str]:
    return {
        str(model): given if given == "random" else str(expanded(given, "weights", where))
        for model, given in check_weights(value, models, where).items()
    }


def _data(content: Mapping[str, Any], where: str) -> tuple[str, Path, Path]:
    """Find the real images that a speed is measured on."""
    name = str(content.get("dataset") or "images")
    images, annotations = content.get("images"), content.get("annotations")
    if not images and not annotations and is_known(name):
        file = find(name)
        _refuse_drawn(file.name)
        return (file.name, *file.paths())
    if not images or not annotations:
        raise SambenchError(
            f"{where}: no data. Speeds are measured on real photographs, for drawn or empty images are not "
            "what a model will see: give --images DIR and --annotations FILE.json in COCO's format, or "
            "--dataset coco with its folder in $COCO (docs/data.md)."
        )
    _refuse_drawn(name)
    return name, expanded(images, "images", where), expanded(annotations, "annotations", where)


def _refuse_drawn(name: str) -> None:
    if name == "shapes":
        raise SambenchError(
            "data set 'shapes' is drawn and cannot stand for real images in a throughput. Give photographs: "
            "--dataset coco, or --images DIR --annotations FILE.json (docs/data.md)."
        )
