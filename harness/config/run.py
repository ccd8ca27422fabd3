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
        batch_size=content.whole("batch_size") or by_kind(DEFAULT_BATCH, kind_of(common["device"])),
    )
    return config, content
