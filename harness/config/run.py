"""What ``sambench run`` is to evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from sambench.adapters.devices import by_kind, kind_of
from sambench.harness.config.common import Config, read_common, read_out, read_track
from sambench.harness.config.content import SEED, Content, read
from sambench.harness.config.datasets import DatasetConfig, read_datasets
from sambench.harness.config.keys import RUN
from sambench.harness.executors.launch import is_started
from sambench.harness.executors.names import ALONE, EXECUTORS, SEVERAL
from sambench.suites.protocol import Protocol, make_protocol
from sambench.suites.registry import SUITES
from sambench.suites.scoring.average_precision import Evaluator

EVALUATORS: tuple[str, ...] = get_args(Evaluator)

DEFAULT_BATCH = {"cpu": 1, "cuda": 8}
"""Images an encoder call: more gain nothing on a CPU."""


@dataclass(frozen=True, kw_only=True)
class RunConfig(Config):
    """Everything a run is made of."""

    suites: tuple[str, ...]
    datasets: tuple[DatasetConfig, ...]
    protocol: Protocol = field(default_factory=Protocol)
    limit: int | None = None
    """Evaluate a seeded sample of so many images, and mark the result partial."""
    seed: int = SEED
    """Of that sample."""
    evaluator: str = "hotcoco"
    """What computes average precision: ``hotcoco``, or the slower ``pycocotools`` or ``lvis``."""
    batch_size: int
    """Images an encoder call."""
    track: tuple[str, ...] = ()
    """Trackers that get the results besides the folder."""
    executor: str = "inline"
    """Who does the work: a name of `executors.names.EXECUTORS`."""
    workers: int = 1
    """How many of them."""
    threads: int | None = None
    """Into how many torch cuts the work of each on the CPU; as many as it takes alone, where not said."""
    max_failures: int = 0
    """Images of a cell that a model may fail on."""
    address: str | None = None
    """Of a Ray cluster."""


def load_run(path: Path | None, flags: Mapping[str, Any]) -> tuple[RunConfig, Content]:
    """Read what to evaluate from a YAML file and flags (see `content.read`).

    Raises:
        SambenchError: a key or a value is wrong, or something needed is missing.
    """
    content = read(path, flags, RUN)
    common = read_common(content)
    suites = content.names("suite", tuple(SUITES))
    if not suites:
        raise content.wrong("no suites. Name some with --suites a,b ('sambench suites' lists them).")
    if not content.values.get("dataset"):
        raise content.wrong("no data set. Give --dataset NAME --images DIR --annotations FILE.")
    datasets = read_datasets(content.values["dataset"], content.where)
    out, remote = read_out(content, [dataset.name for dataset in datasets])
    config = RunConfig(
        **common,
        out=out,
        remote=remote,
        suites=suites,
        datasets=datasets,
        protocol=make_protocol(content.values.get("protocol", "strict")),
        evaluator=content.one_of("evaluator", EVALUATORS, "hotcoco"),
        limit=content.whole("limit"),
        seed=int(content.number("seed", SEED)),
        track=read_track(content),
        **_workers(content),
        threads=content.whole("threads"),
        max_failures=int(content.number("max_failures", 0)),
        batch_size=content.whole("batch_size") or by_kind(DEFAULT_BATCH, kind_of(common["device"])),
    )
    return config, content


def _workers(content: Content) -> dict[str, Any]:
    """Read who does the work."""
    several = content.whole("workers") or 1
    default = "torchrun" if is_started() else ALONE if several == 1 else SEVERAL
    executor = content.one_of("executor", tuple(EXECUTORS), default)
    if is_started() and executor != "torchrun":
        raise content.wrong(f"torchrun started this, and executor is {executor}. Say torchrun.", "executor")
    if executor == ALONE and several > 1:
        raise content.wrong(
            f"executor {ALONE} has one worker, not {several}. Say --executor processes.", "workers"
        )
    if content.has("address") and executor != "ray":
        raise content.wrong(f"address is of a Ray cluster, and the executor is {executor}.", "address")
    address = str(content.values["address"]) if content.has("address") else None
    return {"executor": executor, "workers": several, "address": address}
