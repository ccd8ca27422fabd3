"""What to run: a YAML file, the same by flags, or a file with flags on top. Strict about every key."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sambench.adapters.engines import ENGINES, PRECISIONS
from sambench.adapters.registry import add, entry
from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.suites.data.named import FORMATS, find, is_known
from sambench.suites.files import expanded, read_mapping
from sambench.suites.protocol import Protocol, make_protocol
from sambench.suites.registry import SUITES

EVALUATORS = ("hotcoco", "pycocotools", "lvis")

DEFAULT_BATCH = {"cpu": 1, "cuda": 8}
"""Images an encoder call: more gain nothing on a CPU."""


@dataclass(frozen=True)
class DatasetConfig:
    """Where a data set in COCO's format lies."""

    name: str
    """``coco`` and ``lvis`` have published numbers to compare with; any other name will do."""
    images: Path
    annotations: Path
    detections: dict[str, Path] = field(default_factory=dict)
    """Detector's name to its result file; ``vitdet``, ``yolov8`` and ``gdino`` have published numbers."""
    format: str | None = None
    """``coco`` or ``lvis``, whose rules AP follows; ``None`` to see it from the annotations."""


@dataclass(frozen=True)
class RunConfig:
    """Everything a run is made of. The fields are the keys of the YAML file."""

    models: tuple[str, ...]
    suites: tuple[str, ...]
    datasets: tuple[DatasetConfig, ...]
    out: Path
    adapters: tuple[str, ...] = ()
    """Models of one's own, ``path/to/file.py:Class``; they join the models under the class's name."""
    weights: dict[str, str] = field(default_factory=dict)
    """Model name to a checkpoint's path or ``random``."""
    protocol: Protocol = field(default_factory=Protocol)
    device: str = "cpu"
    engine: str = "eager"
    precision: str = "fp32"
    limit: int | None = None
    """Evaluate a seeded sample of so many images, and mark the result partial."""
    seed: int = 0
    """Of that sample."""
    evaluator: str = "hotcoco"
    """What computes average precision: ``hotcoco``, or the slower ``pycocotools`` or ``lvis``."""
    batch_size: int | None = None
    """Images an encoder call; ``None`` takes what the device likes."""

    @property
    def images_per_batch(self) -> int:
        """The batch size in force."""
        return self.batch_size or DEFAULT_BATCH[self.device.partition(":")[0]]


def load_config(path: Path | None, flags: Mapping[str, Any]) -> RunConfig:
    """Build a configuration from a YAML file and flags; a flag that is set wins.

    Args:
        path: the file, or ``None``.
        flags: keys of `RunConfig` to values as YAML would give them; ``None`` for a flag not set.

    Raises:
        SambenchError: a key or a value is wrong, or something needed is missing.
    """
    content = read_mapping(path, "configuration file", "a configuration", "configs/") if path else {}
    content = _override(content, {key: value for key, value in flags.items() if value is not None})
    where = str(path) if path is not None else "command line"
    _check_keys(content, RunConfig, where)
    content = _with_adapters(content, where)
    for key in ("models", "suites", "datasets", "out"):
        if not content.get(key):
            raise SambenchError(f"{where}: {_MISSING[key]}")
    datasets = tuple(_dataset(d, where) for d in _listed(content["datasets"], "datasets", where))
    names = [d.name for d in datasets]
    if len(set(names)) < len(names):
        raise SambenchError(
            f"{where}: two data sets of one name, {', '.join(names)}; results need them apart."
        )
    return RunConfig(
        models=_names(content["models"], "models", where),
        suites=_names(content["suites"], "suites", where),
        datasets=datasets,
        out=expanded(content["out"], "out", where),
        adapters=tuple(content["adapters"]),
        weights=_weights(content.get("weights", {}), _names(content["models"], "models", where), where),
        protocol=make_protocol(content.get("protocol", "strict")),
        device=_device(content.get("device", "cpu"), where),
        engine=_one_of(content.get("engine", "eager"), tuple(ENGINES), "engine", where),
        precision=_one_of(content.get("precision", "fp32"), PRECISIONS, "precision", where),
        evaluator=_one_of(content.get("evaluator", "hotcoco"), EVALUATORS, "evaluator", where),
        limit=_positive(content.get("limit"), "limit", where),
        seed=_seed(content.get("seed", 0), where),
        batch_size=_positive(content.get("batch_size"), "batch_size", where),
    )


def _with_adapters(content: dict[str, Any], where: str) -> dict[str, Any]:
    """Make the user's own models known, and let them join those named."""
    specs = _listed(content["adapters"], "adapters", where) if content.get("adapters") else []
    own = [add(os.path.expandvars(str(spec))) for spec in specs]
    models = list(_listed(content["models"], "models", where)) if content.get("models") else []
    models += [name for name in own if name not in models]
    return content | {"adapters": [str(spec) for spec in specs], "models": models}


def parse_weights(given: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=PATH`` or ``NAME=random`` of the command line.

    Raises:
        SambenchError: one of them is neither.
    """
    pairs = {}
    for one in given:
        model, equals, path = one.partition("=")
        if not equals or not path:
            raise SambenchError(f"--weights {one}: say NAME=PATH or NAME=random.")
        pairs[model] = path
    return pairs


def _override(content: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """Put flags over a file: part of its one data set can be changed, and weights follow the models."""
    if isinstance(content.get("datasets"), list):
        content["datasets"] = [{"name": d} if isinstance(d, str) else d for d in content["datasets"]]
    match content.get("datasets"), flags.get("datasets"):
        case [dict(only)], [changed] if not _is_another(only, changed):
            flags["datasets"] = [only | changed]
    if "models" in flags and isinstance(content.get("weights"), dict):
        kept = str(flags["models"]).replace(" ", "").split(",")
        content = content | {"weights": {m: w for m, w in content["weights"].items() if m in kept}}
    if isinstance(content.get("weights"), dict) and "weights" in flags:
        flags["weights"] = content["weights"] | flags["weights"]
    return content | flags


def _is_another(dataset: dict[str, Any], changed: dict[str, Any]) -> bool:
    """Tell whether ``--dataset`` alone names a data set of a YAML file, and not the one at hand anew."""
    name = str(changed.get("name", ""))
    return not {"images", "annotations"} & set(changed) and is_known(name) and name != dataset.get("name")


_MISSING = {
    "models": "no models. Name some with --models a,b ('sambench models' lists them).",
    "suites": "no suites. Name some with --suites a,b ('sambench suites' lists them).",
    "datasets": "no data set. Give --dataset NAME --images DIR --annotations FILE.",
    "out": "no output folder. Give --out DIR.",
}


def _check_keys(content: Mapping[str, Any], kind: type, where: str) -> None:
    known = [f.name for f in dataclasses.fields(kind)]
    for key in content:
        if key not in known:
            raise SambenchError(
                f"{where}: no key {key!r}.{did_you_mean(str(key), known)} There are {', '.join(known)}."
            )


def _names(value: Any, key: str, where: str) -> tuple[str, ...]:
    """Model or suite names, each known and named once."""
    names = tuple(str(v) for v in _listed(value, key, where))
    for name in names:
        if key == "models":
            entry(name)
        elif name not in SUITES:
            raise SambenchError(
                f"{where}: no suite {name!r}; there are {', '.join(SUITES)}.{did_you_mean(name, SUITES)}"
            )
    if len(set(names)) < len(names):
        raise SambenchError(f"{where}: {key} names one twice: {', '.join(names)}.")
    return names


def _listed(value: Any, key: str, where: str) -> Sequence[Any]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list) or not value:
        raise SambenchError(f"{where}: {key} must be a list, not {value!r}.")
    return value


def _dataset(value: Any, where: str) -> DatasetConfig:
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict):
        raise SambenchError(f"{where}: a data set has name, images and annotations; {value!r} has not.")
    _check_keys(value, DatasetConfig, f"{where}, datasets")
    if value.get("name") and not value.get("images") and not value.get("annotations"):
        file = find(str(value["name"]))
        images, annotations = file.paths()
        value = {"format": file.format, **value}
        value |= {"name": file.name, "images": images, "annotations": annotations}
    if value.get("name") == "sginw" and value.get("images"):
        value = {"annotations": value["images"], **value}  # its 25 data sets have them beside their images
    for key in ("name", "images", "annotations"):
        if not value.get(key):
            flag = "--dataset" if key == "name" else f"--{key}"
            raise SambenchError(f"{where}: the data set has no {key}. Give it with {flag}.")
    name = str(value["name"])
    if not name.replace("_", "").replace("-", "").isalnum():
        raise SambenchError(f"{where}: data set name {name!r}: use letters, digits, - and _.")
    return DatasetConfig(
        name,
        expanded(value["images"], "images", where),
        expanded(value["annotations"], "annotations", where),
        _detections(value.get("detections") or {}, where),
        _one_of(value["format"], FORMATS, "format", where) if value.get("format") else None,
    )


def _detections(value: Any, where: str) -> dict[str, Path]:
    if not isinstance(value, dict):
        raise SambenchError(f"{where}: detections map a detector's name to its result file, not {value!r}.")
    for name in value:
        if not str(name).replace("_", "").replace("-", "").replace(".", "").isalnum():
            raise SambenchError(f"{where}: detector name {name!r}: use letters, digits, -, . and _.")
    return {str(name): expanded(file, "detections", where) for name, file in value.items()}


def check_weights(value: Any, models: Sequence[str], where: str) -> dict[Any, Any]:
    """Return the weights of a configuration, where they map some of its models.

    Raises:
        SambenchError: they do not.
    """
    if not isinstance(value, dict):
        raise SambenchError(f"{where}: weights map a model to a file or to random, not {value!r}.")
    for model in value:
        if model not in models:
            raise SambenchError(
                f"{where}: weights for {model!r}, which is not among the models."
                + did_you_mean(str(model), models)
            )
    return value


def _weights(value: Any, models: Sequence[str], where: str) -> dict[str, str]:
    given = check_weights(value, models, where)
    return {str(model): os.path.expandvars(str(one)) for model, one in given.items()}


def _device(value: Any, where: str) -> str:
    if str(value).partition(":")[0] not in DEFAULT_BATCH:
        raise SambenchError(f"{where}: device {value!r}; say cpu, cuda or cuda:1.")
    return str(value)


def _one_of(value: Any, known: Sequence[str], key: str, where: str) -> str:
    if value not in known:
        raise SambenchError(
            f"{where}: {key} {value!r}; there is {', '.join(known)}.{did_you_mean(str(value), known)}"
        )
    return str(value)


def _positive(value: Any, key: str, where: str) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise SambenchError(f"{where}: {key} must be a whole number from 1, not {value!r}.")
    return value


def _seed(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SambenchError(f"{where}: seed must be a whole number from 0, not {value!r}.")
    return value
