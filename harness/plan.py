"""From a configuration to cells and shards: what there is to do, before any of it is done."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from sambench.adapters.base import Weights
from sambench.adapters.engines import ENGINES, replaces
from sambench.adapters.engines import check as check_engine
from sambench.adapters.engines.calibrate import calibrated_on
from sambench.adapters.registry import check_device, create, entry, has_parameters
from sambench.adapters.weights.resolve import resolve, sha256_of
from sambench.evsam.errors import SambenchError
from sambench.harness.config import DatasetConfig, RunConfig
from sambench.harness.provenance import code_digest, device_name, versions
from sambench.harness.store import CellStore
from sambench.suites.base import Evaluator, Setting, Style, Suite
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.fingerprints import images_sha256
from sambench.suites.data.sample import draw
from sambench.suites.protocol import Protocol, for_suite
from sambench.suites.registry import suite_class
from sambench.suites.results import load_results
from sambench.suites.sginw.suite import SginwData

SHARD_IMAGES = 16
"""Images a shard: what an interruption costs at the most."""


@dataclass(frozen=True)
class Data:
    """A data set as one run sees it."""

    config: DatasetConfig
    style: Style
    """Whose rules average precision follows."""
    entries: tuple[Entry, ...]
    """The images to evaluate, by rising id."""
    available: int
    """Images of the whole data set."""
    annotations_sha256: str
    images_sha256: str
    """Over ids, names and contents of the image files."""

    def shards(self) -> list[tuple[Entry, ...]]:
        """Cut the images into shards."""
        return [self.entries[i : i + SHARD_IMAGES] for i in range(0, len(self.entries), SHARD_IMAGES)]


@dataclass(frozen=True)
class Cell:
    """One model x engine x precision x suite x data set x protocol."""

    suite: Suite
    protocol: Protocol
    """That the suite follows."""
    dataset: str
    """As results say it: the data set's name, with ``/detector`` where boxes of one are the prompts."""
    detections: dict[str, str] | None
    """Path and SHA-256 of the boxes."""
    key: dict[str, Any]
    """Everything that decides its records."""
    store: CellStore


@dataclass(frozen=True)
class Group:
    """The cells of one model on one data set: its images are encoded once for all their suites."""

    model: str
    data: Data
    weights: Weights | None
    """``None`` where they cannot be had."""
    cells: tuple[Cell, ...]
    reason: str | None = None
    """Why the group cannot run."""


@dataclass(frozen=True)
class Plan:
    """All there is to do."""

    config: RunConfig
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class _Task:
    """A suite on a data set, for any model (see `Cell`)."""

    suite: Suite
    dataset: str
    detections: dict[str, str] | None


def make_plan(config: RunConfig) -> Plan:
    """Open the data, find the weights, name the cells. Reads much, computes and writes nothing.

    Raises:
        SambenchError: data or weights that the user named are missing or wrong.
    """
    check_engine(config.engine, config.precision, check_device(config.device).type)
    if config.out.exists() and not config.out.is_dir():
        raise SambenchError(f"{config.out}: is a file, and --out must be a folder. Choose another.")
    if (config.out / "results.json").exists():
        load_results(config.out)  # a foreign file there must be noticed now, not after hours
    weights = {model: _weights(model, config) for model in config.models}
    data = [_open(d, config) for d in config.datasets]
    work = [[w for name in config.suites for w in _work(name, one, config.evaluator)] for one in data]
    groups = []
    for model in config.models:
        found, reason = weights[model]
        for one, tasks in zip(data, work, strict=True):
            cells = [_cell(model, found, task, one, config) for task in tasks]
            groups.append(Group(model, one, found, tuple(cells), reason))
    return Plan(config, tuple(groups))


def _weights(model: str, config: RunConfig) -> tuple[Weights | None, str | None]:
    """Find a model's weights. A named file must fit now, not hours later; a default one may be missing."""
    given = config.weights.get(model)
    plugin = entry(model).plugin
    if given is None and not has_parameters(model):
        return Weights(source="none"), None
    try:
        if not plugin and has_parameters(model) and given in (None, "random"):
            return resolve(model, given), None
        segmenter = create(model, weights=given)  # on the CPU, whatever is to run it
    except SambenchError as error:
        if given is not None:
            raise
        return None, str(error)
    except Exception as error:
        if not plugin:
            raise
        traceback.print_exc()  # for its author; the other models go on
        return None, f"{model}: creating it failed. {type(error).__name__}: {error}"
    found = segmenter.weights
    if found.source == "file" and found.path and not found.sha256:  # a plugin's; two files are two cells
        found = dataclasses.replace(found, sha256=sha256_of(Path(found.path)))
    return found, None


def _open(dataset: DatasetConfig, config: RunConfig) -> Data:
    coco: CocoDataset | SginwData
    if dataset.name == "sginw":
        coco = SginwData(dataset.images)
    else:
        coco = CocoDataset(dataset.images, dataset.annotations)
    if not len(coco):
        raise SambenchError(f"{dataset.annotations}: lists no image.")
    entries = draw(coco.entries, config.limit, config.seed)
    coco.check_files(entries)
    return Data(
        dataset,
        cast(Style, dataset.format or coco.style),
        tuple(entries),
        len(coco),
        coco.annotations_sha256,
        images_sha256(entries),
    )


def _work(name: str, data: Data, evaluator: str) -> list[_Task]:
    """A suite on a data set: once, or once for each detector whose boxes are there."""
    suite, config = suite_class(name), data.config
    if suite.needs_detections and (name == "sginw") != (config.name == "sginw"):
        raise SambenchError(
            f"suite {name} on data set {config.name}: the suite sginw goes with --dataset sginw, det_box "
            "with any other."
        )
    ids = tuple(e.record.id for e in data.entries)
    setting = Setting(config.annotations, ids, style=data.style, evaluator=cast(Evaluator, evaluator))
    if not suite.needs_detections:
        suite.check(setting)
        return [_Task(suite.on(setting), config.name, None)]
    if not config.detections:
        raise SambenchError(
            f"{name} prompts with a detector's boxes, and data set {config.name} has none. "
            "Give its result file in COCO's format with --detections NAME=FILE."
        )
    for file in config.detections.values():
        suite.check(dataclasses.replace(setting, detections=file))
    return [
        _Task(
            suite.on(dataclasses.replace(setting, detections=file)),
            f"{config.name}/{detector}",
            {"path": file.as_posix(), "sha256": sha256_of(file)},
        )
        for detector, file in config.detections.items()
    ]


def _cell(model: str, weights: Weights | None, task: _Task, data: Data, config: RunConfig) -> Cell:
    suite = task.suite
    protocol = for_suite(config.protocol, suite.name)
    modules = [entry(model).target.rpartition(":")[0], type(suite).__module__]
    libraries = entry(model).libraries
    if replaces(config.engine, config.precision):
        modules.append(ENGINES[config.engine].target)
        libraries += ENGINES[config.engine].libraries
    key = {
        "model": model,
        "weights": {k: v for k, v in asdict(weights).items() if k != "path"} if weights else None,
        "engine": config.engine,
        "precision": config.precision,
        "device": device_name(config.device),
        "suite": suite.name,
        "dataset": task.dataset,
        "annotations_sha256": data.annotations_sha256,
        "images_sha256": data.images_sha256,
        "detections_sha256": task.detections and task.detections["sha256"],
        "protocol": protocol.to_json(),
        "batch_size": config.images_per_batch,
        "shard_images": SHARD_IMAGES,
        "code_sha256": code_digest(*modules),
        "calibrated_on": calibrated_on(config.precision),
        "versions": versions(*libraries),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    safe = re.sub(r"[^\w.-]+", "_", model)  # hf:owner/name
    where = task.dataset.replace("/", "-")
    name = f"{safe}-{suite.name}-{where}-{config.protocol.preset}-{digest}"
    store = CellStore(config.out / "records" / name, len(data.shards()))
    return Cell(suite, protocol, task.dataset, task.detections, key, store)


def records_folder(cell: Cell, out: Path) -> str:
    """Return the folder of a cell's records, relative to the run's."""
    return cell.store.folder.relative_to(out).as_posix()
