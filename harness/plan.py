"""From a configuration to cells and shards: what there is to do, before any of it is done.

A plan is plain data. What a worker needs of it (`harness.work`) travels to any process, which then reads no
annotation file and hashes no image.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast, get_args, overload

from sambench.adapters.spec import ModelSpec
from sambench.evsam.errors import SambenchError
from sambench.harness.config.datasets import DatasetConfig
from sambench.harness.config.run import RunConfig
from sambench.harness.key import Key, digest_of, folder_name, model_key
from sambench.harness.provenance import device_name, libraries, threads_here
from sambench.harness.sources import code_digest
from sambench.harness.store import CellStore
from sambench.harness.variants import Variant, make_variants, model_spec, stands_apart
from sambench.harness.work import SuiteOn, SuiteSpec
from sambench.suites.base import Setting
from sambench.suites.concept.truth import annotator_names, sha256_of_all
from sambench.suites.data.annotations import Annotations
from sambench.suites.data.checks.kinds import BOXES
from sambench.suites.data.checks.problems import Problems
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.fingerprints import images_sha256, with_digests
from sambench.suites.data.ids import Known, TextIds
from sambench.suites.data.pictures.folder import MaskFolder
from sambench.suites.data.reading import BoxUse, Reading
from sambench.suites.data.sample import draw
from sambench.suites.protocol import Protocol, for_suite
from sambench.suites.registry import suite_class
from sambench.suites.scoring.average_precision import Evaluator
from sambench.suites.scoring.ground_truth import Style, read_whole
from sambench.suites.sginw.data import SginwData

COMPLETED = ("area_from_mask", "box_from_mask", "part_dropped")
"""Kinds of what was mended that results count, for they concern what is measured."""

WORKER = "sambench.harness.worker"
"""What makes records of what suites and models give."""

SHARD_IMAGES = 16
"""Images a shard. What an interruption costs at the most: these, or `harness.worker.SAVE_EVERY`."""

EVALUATORS = ("hotcoco", "pycocotools", "lvis", "numpy")
"""Libraries that make numbers of records."""


@dataclass(frozen=True)
class Shards(Sequence[tuple[Entry, ...]]):
    """Images cut into shards, each when it is asked for: of a million images no second list is made."""

    entries: Sequence[Entry]

    def __len__(self) -> int:
        return (len(self.entries) + SHARD_IMAGES - 1) // SHARD_IMAGES

    @overload
    def __getitem__(self, shard: int) -> tuple[Entry, ...]: ...
    @overload
    def __getitem__(self, shard: slice) -> tuple[tuple[Entry, ...], ...]: ...
    def __getitem__(self, shard: int | slice) -> tuple[Entry, ...] | tuple[tuple[Entry, ...], ...]:
        if isinstance(shard, slice):
            return tuple(self[i] for i in range(len(self))[shard])
        first = range(len(self))[shard] * SHARD_IMAGES
        return tuple(self.entries[first : first + SHARD_IMAGES])

    def images(self, shard: int) -> int:
        """Count a shard's images."""
        return min(SHARD_IMAGES, len(self.entries) - shard * SHARD_IMAGES)


@dataclass(frozen=True)
class Data:
    """A data set as one run sees it."""

    config: DatasetConfig
    style: Style
    """Whose rules average precision follows."""
    entries: Sequence[Entry]
    """The images to evaluate, by rising id."""
    available: int
    """Images of the whole data set."""
    annotations_sha256: str
    images_sha256: str
    """Over ids, names and contents of the image files."""
    reading: dict[str, str] = field(default_factory=dict)
    """The choices of reading that the data know more than one answer to."""
    contents: dict[str, Annotations] = field(default_factory=dict, compare=False)
    known: Known | None = None
    """Of these and the one above see `suites.base.Setting`."""
    ids: TextIds = field(default_factory=dict)
    """What records have for ids that are no whole numbers of 64 bits."""
    found: Problems = field(default_factory=Problems, compare=False)
    """What was odd in them, and how it was read."""
    pairs: bool = False
    """Whether they are pairs of an image and a phrase."""
    annotators: tuple[dict[str, str], ...] = ()
    """Path and SHA-256 of further annotations of these."""

    def completed(self) -> dict[str, int]:
        """Count what objects were given that their annotations lack."""
        counts = self.found.counts("mended")
        return {name: counts[name] for name in COMPLETED if name in counts}

    @functools.cached_property
    def objects(self) -> int | None:
        """Annotated objects of these images; ``None`` where masks would have to be read to know."""
        if self.config.masks is not None:
            return None
        return sum(len(entry.annotations) + len(entry.unscored) for entry in self.entries)

    def shards(self) -> Shards:
        """Cut the images into shards."""
        return Shards(self.entries)


@dataclass(frozen=True)
class Cell:
    """One model x engine x precision x suite x data set x protocol."""

    suite: SuiteSpec
    protocol: Protocol
    """Of its scores; that of the suite's specification is what of it decides records."""
    dataset: str
    """As results say it: the data set's name, with ``/detector`` where boxes of one are the prompts."""
    detections: dict[str, str] | None
    """Path and SHA-256 of the boxes."""
    key: Key
    """Everything that decides its records."""
    score_key: Key
    """Everything else that decides its scores."""
    store: CellStore
    max_failures: int = 0
    """Images that the model may fail on."""

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing left to do: it is scored, or known not to apply."""
        if self.store.refusal() is not None:
            return True
        scores = self.store.scores(digest_of(self.score_key)) if self.store.is_whole else None
        return scores is not None and len(scores.get("failed_images", ())) <= self.max_failures


@dataclass(frozen=True)
class Group:
    """The cells of one variant on one data set: its images are encoded once for all their suites."""

    variant: Variant
    model: ModelSpec
    data: Data
    cells: tuple[Cell, ...]
    apart: bool = False
    """Whether it needs a process of its own."""

    @property
    def title(self) -> str:
        """The group in a few words."""
        variant = self.variant
        run_by = [w for w in (variant.engine, variant.precision) if w not in ("eager", "fp32")]
        return f"{', '.join([variant.model, *run_by])} on {self.data.config.name}"


@dataclass(frozen=True)
class Plan:
    """All there is to do."""

    config: RunConfig
    groups: tuple[Group, ...]
    warnings: tuple[str, ...] = ()
    """What users should know of their data before they wait for numbers."""
    threads: int = 1
    """Into how many torch cuts its work on the CPU, here and wherever the work is done."""


@dataclass(frozen=True)
class _Asked:
    """A suite on a data set, for any model (see `Cell`)."""

    on: SuiteOn
    protocol: Protocol
    dataset: str
    detections: dict[str, str] | None


def make_plan(config: RunConfig, open_data: Callable[[DatasetConfig, RunConfig], Data] | None = None) -> Plan:
    """Open the data, find the weights, name the cells. Reads much, computes and writes nothing.

    Args:
        config: what is asked for.
        open_data: what reads a data set; by default its files are read and hashed.

    Raises:
        SambenchError: data or weights that the user named are missing or wrong.
    """
    variants = make_variants(config, try_weights=True)
    data = [(open_data or _open)(d, config) for d in config.datasets]
    asked = [[q for name in config.suites for q in _ask(name, one, config)] for one in data]
    groups = []
    for variant in variants:
        for one, its in zip(data, asked, strict=True):
            cells = tuple(_cell(variant, q, one, config) for q in its)
            apart = stands_apart(variant.model, config)
            groups.append(Group(variant, model_spec(variant, config), one, cells, apart))
    found = [f"{one.config.name}: {text}" for one in data for text in one.found.sentences()]
    checked = _check([cell for group in groups for cell in group.cells])
    return Plan(config, tuple(groups), (*found, *checked), threads_here())


def _check(cells: list[Cell]) -> list[str]:
    """See that the data can be scored, where they are not yet, and return what users should know of them."""
    todo = {id(cell.suite.on): cell for cell in cells if not cell.is_settled}.values()
    return [f"{cell.dataset}: {text}" for cell in todo for text in cell.suite.on.open().check()]


def _open(dataset: DatasetConfig, config: RunConfig) -> Data:
    reading = Reading.of(config.protocol)
    uses = {suite_class(name).boxes for name in config.suites}
    tolerated = reading.tolerated(next(use for use in get_args(BoxUse) if use in uses))
    coco: CocoDataset | SginwData | MaskFolder
    if dataset.name == "sginw":
        coco = SginwData(dataset.images, reading, tolerated)
    elif dataset.masks is not None:
        coco = MaskFolder(dataset.images, dataset.masks, reading)
    else:
        coco = CocoDataset(
            dataset.images,
            dataset.annotations,
            reading=reading,
            match=dataset.match,
            tolerated=tolerated,
            lenient=True,
        )
    pairs = isinstance(coco, CocoDataset) and coco.content.pairs is not None
    others = _annotators(dataset, pairs)
    if pairs and "prompts" not in uses:
        coco.problems.tolerate(BOXES)
    entries = coco.checked(draw(coco.entries, config.limit, config.seed))
    coco.refuse()
    entries = with_digests(entries)
    return Data(
        dataset,
        "coco" if pairs else cast(Style, dataset.format or coco.style),
        tuple(entries),
        len(coco),
        _sha256(coco, entries, others),
        images_sha256(entries),
        _deciding(reading, coco.problems),
        coco.contents(entries) | others,
        coco.known(),
        coco.texts(),
        coco.problems,
        pairs=pairs,
        annotators=tuple({"path": one.path.as_posix(), "sha256": one.sha256} for one in others.values()),
    )


def _annotators(dataset: DatasetConfig, pairs: bool) -> dict[str, Annotations]:
    """Read what further annotators have of a data set's pairs."""
    if not pairs and (dataset.annotators or dataset.format == "saco"):
        why = "the format is saco" if dataset.format == "saco" else "there are annotators"
        raise SambenchError(
            f"{dataset.annotations}: {why}, and its images have neither text_input nor "
            "is_instance_exhaustive. Such a file has pairs of an image and a phrase (docs/concepts.md)."
        )
    names = annotator_names(dataset.annotations, dataset.annotators)
    return {name: read_whole(path) for name, path in names.items() if name}


def _sha256(
    coco: CocoDataset | SginwData | MaskFolder, entries: Sequence[Entry], others: Mapping[str, Annotations]
) -> str:
    """Digest over all annotation files that are evaluated."""
    if isinstance(coco, SginwData):
        return coco.evaluated_sha256(entries)
    if not others:
        return coco.annotations_sha256
    return sha256_of_all([coco.annotations_sha256, *(one.sha256 for one in others.values())])


def _deciding(reading: Reading, found: Problems) -> dict[str, str]:
    """Return the choices of reading that decide something here: where no image is turned, none is of that."""
    axes: dict[str, str] = {}
    if "turned" in found:
        axes["orientation"] = reading.orientation
    if reading.box_source == "mask":
        axes["box_source"] = reading.box_source
    return axes


def _ask(name: str, data: Data, config: RunConfig) -> Iterator[_Asked]:
    """A suite on a data set: once, or once for each detector whose boxes are there."""
    suite, where = suite_class(name), data.config
    if suite.needs_detections and (name == "sginw") != (where.name == "sginw"):
        raise SambenchError(
            f"suite {name} on data set {where.name}: the suite sginw goes with --dataset sginw, det_box "
            "with any other."
        )
    if (suite.needs_detections or suite.needs_categories) and where.masks is not None:
        raise SambenchError(
            f"{name} on data set {where.name}: masks as pictures have no categories, which it goes by. Write "
            "a COCO file of them with 'sambench data verify --fix', give its objects their categories, and "
            "run on that; or take gt_box, click and everything."
        )
    if suite.needs_detections and not where.detections:
        raise SambenchError(
            f"{name} prompts with a detector's boxes, and data set {where.name} has none. "
            "Give its result file in COCO's format with --detections NAME=FILE."
        )
    ids = tuple(e.record.id for e in data.entries)
    setting = Setting(
        where.annotations,
        ids,
        style=data.style,
        evaluator=cast(Evaluator, config.evaluator),
        annotations_sha256=data.annotations_sha256,
        contents=data.contents,
        annotators=where.annotators,
        pairs=data.pairs,
        known=data.known,
    )
    protocol = for_suite(config.protocol, name, pairs=data.pairs)
    if not suite.needs_detections:
        yield _Asked(SuiteOn(name, setting), protocol, where.name, None)
        return
    for detector, file in where.detections.items():
        own = dataclasses.replace(setting, detections=file)
        digest = suite.detections_sha256(own)
        assert digest is not None
        on = SuiteOn(name, dataclasses.replace(own, detections_sha256=digest))
        boxes = {"path": file.as_posix(), "sha256": digest}
        yield _Asked(on, protocol, f"{where.name}/{detector}", boxes)


def _cell(variant: Variant, asked: _Asked, data: Data, config: RunConfig) -> Cell:
    setting, suite = asked.on.setting, suite_class(asked.on.name)
    recorded = suite.recorded(asked.protocol)
    key = {
        **model_key(variant, device_name(config.device), suite.__module__, WORKER),
        "suite": suite.name,
        "dataset": asked.dataset,
        "annotations_sha256": data.annotations_sha256,
        "images_sha256": data.images_sha256,
        "reading": data.reading,
        "detections_sha256": asked.detections and asked.detections["sha256"],
        "protocol": {axis: getattr(recorded, axis) for axis in suite.record_axes},
        "batch_size": config.batch_size,
        "shard_images": SHARD_IMAGES,
    }
    axes = asked.protocol.to_json()
    del axes["preset"]  # a name, which decides nothing
    score_key = {
        "protocol": axes,
        "style": setting.style,
        "evaluator": setting.evaluator,
        "code_sha256": code_digest(suite.__module__, scoring=True),
        "versions": libraries(*EVALUATORS),
    }
    run_by = [w for w in (variant.engine, variant.precision) if w not in ("eager", "fp32")]
    name = folder_name(key, variant.model, *run_by, suite.name, asked.dataset)
    labels = _labels(variant, asked, key["protocol"])
    spec = SuiteSpec(asked.on, recorded, labels, seed=digest_of(key), ids=data.ids)
    store = CellStore(config.out / "records" / name, len(data.shards()))
    return Cell(
        spec,
        asked.protocol,
        asked.dataset,
        asked.detections,
        key,
        score_key,
        store,
        config.max_failures,
    )


def _labels(variant: Variant, asked: _Asked, axes: Mapping[str, str]) -> dict[str, str]:
    """Name what the records of a cell belong to, so that rows of several can lie in one table."""
    weights = variant.weights
    return {
        "model": variant.model,
        "weights": "unknown" if weights is None else weights.sha256 or weights.source,
        "engine": variant.engine,
        "precision": variant.precision,
        "suite": asked.on.name,
        "dataset": asked.dataset,
        "protocol": " ".join(f"{axis}={choice}" for axis, choice in axes.items()),
    }
