"""What ``sambench throughput`` is to measure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sambench.adapters.devices import TRIED, kind_of
from sambench.harness.config.common import Config, read_common, read_out, read_track
from sambench.harness.config.content import SEED, Content, read
from sambench.harness.config.datasets import DatasetConfig, read_datasets
from sambench.harness.config.keys import THROUGHPUT
from sambench.suites.data.locate import Match
from sambench.suites.data.named import is_known
from sambench.suites.data.pictures.settings import Masks
from sambench.suites.throughput.job import MODES, PAPER, QUICK, SCOPES, Rule, Scope, parse_scope

DEFAULT_BATCH = {"cpu": (1,), "cuda": (1, 16)}
"""Latency, and on a GPU the paper's batch."""

HEADLINE = ("E", "E2E")
"""The scopes that the protocol's headline is made of (4.3.1)."""


@dataclass(frozen=True, kw_only=True)
class ThroughputConfig(Config):
    """Everything a measurement is made of."""

    dataset: str
    """What to call the data."""
    images: Path
    annotations: Path
    match: Match
    masks: Masks | None = None
    """Pictures in place of annotations."""
    rule: Rule
    """Made of ``preset``, ``rounds``, ``seconds`` and ``min_batches``."""
    scopes: tuple[Scope, ...] = ()
    modes: tuple[str, ...] = MODES
    batch_sizes: tuple[int, ...] = (1,)
    seed: int = SEED
    audit: bool = False
    timeout: float | None = None
    """Seconds that a process may take; ``None`` for `worker_process.patience`."""
    track: tuple[str, ...] = ()
    """Trackers that get the results besides the folder."""


def load_throughput(path: Path | None, flags: Mapping[str, Any]) -> tuple[ThroughputConfig, Content]:
    """Read what to measure from a YAML file and flags (see `harness.config.content.read`).

    Raises:
        SambenchError: a key or a value is wrong, or something needed is missing.
    """
    content = read(path, flags, THROUGHPUT)
    common = read_common(content)
    kind = _kind(content, common["device"])
    data = _data(content)
    out, remote = read_out(content, [data.name])
    config = ThroughputConfig(
        **common,
        out=out,
        remote=remote,
        dataset=data.name,
        images=data.images,
        annotations=data.annotations,
        match=data.match,
        masks=data.masks,
        rule=_rule(content, kind),
        scopes=_scopes(content),
        modes=content.names("mode", MODES, MODES),
        batch_sizes=content.wholes("batch_size", DEFAULT_BATCH[kind]),
        seed=int(content.number("seed", SEED)),
        audit=content.switch("audit"),
        timeout=_timeout(content),
        track=read_track(content),
    )
    return config, content


def _kind(content: Content, device: str) -> str:
    """Return the kind of device, one that there is a clock for."""
    kind = kind_of(device)
    if kind not in TRIED:
        raise content.wrong(
            f"device {device!r}: speeds are measured on {' and '.join(TRIED)}, whose clocks were proven; "
            f"there is none for {kind}. 'sambench run' takes it, and says how many images a second it did."
        )
    return kind


def _scopes(content: Content) -> tuple[Scope, ...]:
    names = content.names("scope", default=HEADLINE)
    scopes = [parse_scope(name) for name in (SCOPES if names == ("all",) else names)]
    spelt = [scope.name for scope in scopes]
    if len(set(spelt)) < len(spelt):
        raise content.wrong(f"scopes names one twice: {', '.join(spelt)}.")
    return tuple(scopes)


def _rule(content: Content, kind: str) -> Rule:
    presets = {"quick": QUICK[kind], "paper": PAPER}
    name = content.one_of("preset", tuple(presets), "paper" if kind == "cuda" else "quick")
    rule = presets[name]
    changed = dataclasses.replace(
        rule,
        rounds=content.whole("rounds") or rule.rounds,
        min_seconds=float(content.number("seconds", rule.min_seconds)),
        min_batches=content.whole("min_batches") or rule.min_batches,
    )
    return changed if changed == rule else dataclasses.replace(changed, preset=f"{name}, changed")


def _timeout(content: Content) -> float | None:
    """Read how long a process may take; no time at all is no limit that anything could keep."""
    if not content.has("timeout"):
        return None
    if not (seconds := content.number("timeout", 0.0)):
        raise content.wrong("timeout must be a number of seconds above 0.", "timeout")
    return seconds


def _data(content: Content) -> DatasetConfig:
    """Find the real images that a speed is measured on."""
    entries = content.values.get("dataset", [])
    if len(entries) > 1:
        names = ", ".join(str(entry.get("name")) for entry in entries)
        raise content.wrong(f"a speed is measured on one data set, not on {names}. Name one with --dataset.")
    named = {"name": "images", **(entries[0] if entries else {})}
    if len(named) == 1 and not is_known(str(named["name"])):
        raise content.wrong(
            "no data. Speeds are measured on real photographs, for drawn or empty images are not what a "
            "model will see: give --images DIR and --annotations FILE.json in COCO's format, or --dataset "
            "coco with its folder in $COCO (docs/data.md)."
        )
    if named["name"] == "shapes":
        raise content.wrong(
            "data set 'shapes' is drawn and cannot stand for real images in a throughput. Give photographs: "
            "--dataset coco, or --images DIR --annotations FILE.json (docs/data.md)."
        )
    return read_datasets([named], content.where)[0]
