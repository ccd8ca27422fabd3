"""What a training is told: a YAML file with sections, and a few flags over it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.evsam.train.recipe import Distill, Finetune, Optimiser
from sambench.suites.data.locate import Match
from sambench.suites.data.pictures.settings import Ids
from sambench.suites.files import expanded, read_mapping

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Data:
    """Where images and masks come from. Which keys count depends on ``format``."""

    format: Literal["shapes", "coco", "sa1b", "masks"]
    """``shapes``: drawn, from ``seed``. ``coco``: ``images`` and ``annotations``. ``sa1b``: ``root``.
    ``masks``: ``images`` and ``masks``, pictures in place of annotations."""
    images: Path | None = None
    """coco, masks: the folder of the images."""
    annotations: Path | None = None
    """coco: the JSON file."""
    match: Match = "name"
    """coco: how image files are found, as in a data set's file."""
    masks: Path | None = None
    """masks: the folder of the masks, as in a data set's file (docs/data.md); the next three likewise."""
    mask_ids: Ids | None = None
    void: tuple[int, ...] | None = None
    components: bool = False
    root: Path | None = None
    """sa1b: a folder of tar files as released, or of ``sa_ID.jpg`` with ``sa_ID.json``; or the authors'
    layout, ``sa_images_ids.txt`` beside ``images/`` and ``masks/``."""
    part: Literal["all", "train", "validation"] = "all"
    """sa1b: everything; or, as the released code splits, the first 99% of the images, or the rest."""
    seed: int = 0
    """shapes: of the drawings."""
    images_drawn: int = 1000
    """shapes: how many."""
    limit: int | None = None
    """Only so many images, the first."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """How the model is scored on the way, by the suites ``gt_box`` and ``click``."""

    data: Data
    every: int = 1000
    """Steps; and after the last."""
    metric: Literal["box", "click_1", "click_3", "click_5", "embedding"] = "box"
    """What decides which checkpoint is the best."""
    least: float | None = None
    """What that metric must come to after the last step (``embedding``: at most) for the weights to be
    registered by a tracker; without it, any number will do."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What both phases are told."""

    model: str
    """The model to train, one of our own code."""
    out: Path
    data: Data
    weights: str | None = None
    """What it begins with: a checkpoint's path, ``random``, or the registered file where nothing is said."""
    optimiser: Optimiser = field(default_factory=Optimiser)
    validation: Validation | None = None
    steps: int | None = None
    """Of the optimiser; or, in their place, ..."""
    epochs: float | None = None
    """... how often each image is seen."""
    batch: int = 256
    """Images a step."""
    device_batch: int = 4
    """Images a forward pass of one process; gradients are accumulated over the parts of a step."""
    seed: int = 0
    """Of the order of the images and of all that is drawn."""
    device: str = "cpu"
    """cpu or cuda; with torchrun each process takes the card of its local rank."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """fp16 scales its loss."""
    compile: bool = False
    """Compile the encoder with torch.compile."""
    recompute: bool = False
    """Keep no activations of the encoder's stages, and compute them again on the way back."""
    shard: bool = False
    """Cut weights, gradients and the optimiser's state over the processes (FSDP2) instead of copying them."""
    workers: int = 1
    """Processes that read images, for each training process; 0 reads them between the steps."""
    save_every: int = 500
    """Steps between checkpoints; one is also written at the end and when the training is told to stop."""
    picture_every: int = 0
    """Steps between pictures of predictions; 0 for none."""
    track: str | None = None
    """Where the curves go beside the folder: ``mlflow``, ``tensorboard``, or both, comma-separated."""
    bad_steps: int = 3
    """Steps in a row without a finite loss after which the training gives up."""


@dataclass(frozen=True, kw_only=True)
class Finetuning(Training):
    """Phase 2."""

    recipe: Finetune = field(default_factory=Finetune)
    sam: str | None = None
    """A SAM checkpoint whose prompt encoder and mask decoder the model begins with."""
    tied: bool = False
    """Begin with equal queries and keys in the attention between tokens and image, so that a prompt attends
    to its place from the first step; for a model that begins at random."""


@dataclass(frozen=True, kw_only=True)
class Distilling(Training):
    """Phase 1."""

    recipe: Distill = field(default_factory=Distill)
    teacher: str = "sam_vit_h"
    """Any model of the project with an embedding."""
    teacher_weights: str | None = None
    """Of the teacher, as ``weights``."""
    teacher_precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """What the teacher computes in, whatever ``precision`` the student is trained in."""
    sam: str | None = None
    """A SAM checkpoint, as a rule the teacher's own, whose prompt encoder and mask decoder the student gets:
    they do not learn, and with them the student can be prompted, and scored by the suites, at once."""
    embeddings: Path | None = None
    """Folder of the teacher's embeddings (``sambench train embed``); else they are computed on the way."""


def read_training(kind: type[T], path: Path, flags: Mapping[str, Any]) -> T:
    """Read a file of one phase; flags that are set win.

    Raises:
        SambenchError: a key is unknown, or a value of the wrong kind or missing.
    """
    content = read_mapping(path, "configuration file", "a training", "docs/training.md")
    given = {key: value for key, value in flags.items() if value is not None}
    if "steps" in given or "epochs" in given:
        content = {key: value for key, value in content.items() if key not in ("steps", "epochs")}
    content |= given
    for key in ("weights", "sam", "teacher_weights"):
        if isinstance(content.get(key), str) and content[key] != "random":
            content[key] = str(expanded(content[key], key, str(path)))
    found = read_section(kind, content, str(path), "")
    training = typing.cast(Training, found)
    if (training.steps is None) == (training.epochs is None):
        raise SambenchError(f"{path}: say either steps or epochs, how long to train.")
    return found


def read_section(kind: type[T], content: Any, where: str, section: str) -> T:
    """Read a mapping into a dataclass by its fields' types."""
    title = f"{where}{f', {section}' if section else ''}"
    if not isinstance(content, Mapping):
        raise SambenchError(f"{title}: must be a mapping of keys to values, not {content!r}.")
    hints = get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(typing.cast(Any, kind))}
    for key in content:
        if key not in known:
            near = did_you_mean(str(key), known)
            raise SambenchError(f"{title}: no key {key!r}.{near} There are {', '.join(known)}.")
    values = {}
    for name, one in known.items():
        if name in content:
            values[name] = _value(hints[name], content[name], where, f"{section}.{name}".strip("."))
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            flag = "" if section else f", or give it with --{name.replace('_', '-')}"
            raise SambenchError(f"{title}: has no {name}. Add it{flag}.")
    return kind(**values)


def _value(hint: Any, value: Any, where: str, name: str) -> Any:
    """Read one value of a field's type."""
    origin, options = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        if value is None and type(None) in options:
            return None
        (hint,) = (option for option in options if option is not type(None))
        return _value(hint, value, where, name)
    if dataclasses.is_dataclass(hint):
        return read_section(typing.cast(Any, hint), value, where, name)
    if hint is Path and isinstance(value, str | Path):
        return expanded(value, name, where)
    if origin is tuple:
        return _several(options, value, where, name)
    if origin is Literal:
        if value in options:
            return value
        near = did_you_mean(str(value), [str(option) for option in options])
        raise SambenchError(f"{where}: {name} is {value!r}; it can be {', '.join(map(str, options))}.{near}")
    return _plain(hint, value, where, name)


def _several(options: tuple[Any, ...], value: Any, where: str, name: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, typing.Sequence):
        raise SambenchError(f"{where}: {name} must be a list, not {value!r}.")
    if options[-1] is not ... and len(value) != len(options):
        raise SambenchError(f"{where}: {name} must be {len(options)} values, not {list(value)!r}.")
    return tuple(_value(options[0], one, where, name) for one in value)


WORDS = {int: "a whole number from 0", float: "a number from 0", bool: "true or false", str: "text"}


def _plain(hint: type, value: Any, where: str, name: str) -> Any:
    if hint is float and isinstance(value, str):  # YAML takes 2e-6 for text
        with contextlib.suppress(ValueError):
            value = float(value)
    allowed = (int, float) if hint is float else (hint,)
    right = isinstance(value, allowed) and not (isinstance(value, bool) and hint is not bool)
    if not right or (hint in (int, float) and not 0 <= value < math.inf):
        raise SambenchError(f"{where}: {name} must be {WORDS[hint]}, not {value!r}.")
    return hint(value)
