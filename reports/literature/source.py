"""One source: a YAML file, read strictly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sambench.adapters.models import REGISTRY
from sambench.evsam.errors import SambenchError, did_you_mean
from sambench.reports import published
from sambench.reports.literature.claim import Claim, base
from sambench.reports.literature.vocabulary import AXES, DATASETS, DETECTORS, MACHINE, SUITES, unit

HEAD = ("title", "authors", "year", "url", "read", "models", "tables")
CONDITIONS = ("prompt", "protocol", "not_stated", "hardware", "engine", "precision", "batch", "note", "url")
TABLE = ("table", "suite", "dataset", "metrics", "rows", "scale", "published", *CONDITIONS)
NO_DATA = "throughput"


@dataclass(frozen=True)
class Source:
    """A paper or a repository."""

    name: str
    title: str
    authors: str
    year: int
    url: str
    read: str
    """What was read: which text, which file at which commit."""
    claims: tuple[Claim, ...]


def read(file: Path) -> Source:
    """Read a source.

    Raises:
        SambenchError: a key, suite, data set, metric, axis or model's name that is unknown, a row of another
            length than the metrics, a table without numbers, or a number that stands there twice.
    """
    content = yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    _check_keys(content, HEAD, HEAD, str(file))
    if not str(content["url"]).startswith("https://"):
        raise SambenchError(
            f"{file}: url {content['url']!r} is no address. Give that of the paper or repository."
        )
    claims: list[Claim] = []
    for table in content["tables"]:
        where = f"{file}: {table.get('table', 'a table without a name')}"
        claims += _claims(table, content, file.stem, where)
    _check_doubles(claims, file)
    head = {key: content[key] for key in HEAD[:5]}
    return Source(file.stem, **head, claims=tuple(claims))


def _claims(table: Mapping[str, Any], content: Mapping[str, Any], name: str, where: str) -> list[Claim]:
    _check_table(table, where)
    conditions = _conditions(table, content["url"])
    numbers = list(_taken(table) if "published" in table else _rows(table, content["models"], where))
    if not numbers:
        raise SambenchError(f"{where}: has no numbers. Take the table out.")
    found = []
    for model, called, metric, value in numbers:
        of = unit(metric)
        if of is None:
            raise SambenchError(f"{where}: no metric {metric!r}. Add it to reports/literature/vocabulary.py.")
        found.append(
            Claim(
                source=name,
                table=table["table"],
                model=model,
                called=called,
                suite=table["suite"],
                dataset=table.get("dataset", ""),
                metric=metric,
                value=value,
                unit=of,
                **conditions,
            )
        )
    return found


def _conditions(table: Mapping[str, Any], url: str) -> dict[str, Any]:
    return {
        "prompt": table.get("prompt", ""),
        "protocol": {axis: str(value) for axis, value in table.get("protocol", {}).items()},
        "not_stated": tuple(table.get("not_stated", ())),
        **{key: table.get(key) for key in ("hardware", "engine", "precision", "batch")},
        "url": table.get("url", url),
        "note": table.get("note", ""),
    }


def _rows(
    table: Mapping[str, Any], models: Mapping[str, str], where: str
) -> Iterator[tuple[str, str, str, float]]:
    """Yield model, its name in the source, metric and value of a table's rows. A ``null`` was not printed."""
    for called, row in table["rows"].items():
        if called not in models:
            raise SambenchError(f"{where}: {called!r} is not among `models`.{did_you_mean(called, models)}")
        if len(row) != len(table["metrics"]):
            raise SambenchError(
                f"{where}: {called} has {len(row)} numbers for {len(table['metrics'])} metrics. "
                "Write null for what the source leaves open."
            )
        for metric, value in zip(table["metrics"], row, strict=True):
            if value is not None:
                yield models[called], called, metric, round(float(value) * table.get("scale", 1), 6)


def _taken(table: Mapping[str, Any]) -> Iterator[tuple[str, str, str, float]]:
    """Yield the same from `reports.published`: of some models, and some metrics under other names."""
    taken = table["published"]
    suite = taken.get("suite", table["suite"])
    dataset = taken.get("dataset", table.get("dataset", ""))
    names: dict[str, str] | None = taken.get("metrics")
    for model in taken.get("models", published.models_of(suite, dataset)):
        found = published.lookup(suite, dataset, model)
        for metric, value in (found.printed if found else {}).items():
            if names is None or metric in names:
                yield model, REGISTRY[model].title, names[metric] if names else metric, value


def _check_table(table: Mapping[str, Any], where: str) -> None:
    needed = ("table", "suite", *(("published",) if "published" in table else ("metrics", "rows")))
    _check_keys(table, TABLE, needed, where)
    _check_word(table["suite"], SUITES, "suite", where)
    dataset = table.get("dataset", "")
    if (not dataset) != (table["suite"] == NO_DATA):
        raise SambenchError(f"{where}: dataset {dataset!r}. Each suite but {NO_DATA} has one.")
    if dataset:
        _check_word(base(dataset), DATASETS, "data set", where)
    if "/" in dataset:
        _check_word(dataset.partition("/")[2], DETECTORS, "detector", where)
    for axis in table.get("protocol", {}):
        _check_word(axis, AXES, "axis", where)
    for axis in table.get("not_stated", ()):
        _check_word(axis, AXES | MACHINE, "axis", where)
        if axis in table.get("protocol", {}) or axis in table:
            raise SambenchError(f"{where}: {axis} is stated and not stated. Take it out of one of the two.")


def _check_keys(content: Any, known: tuple[str, ...], needed: tuple[str, ...], where: str) -> None:
    if not isinstance(content, dict):
        raise SambenchError(f"{where}: is no mapping. Write `key: value`.")
    for key in content:
        _check_word(key, known, "key", where)
    if missing := [key for key in needed if not content.get(key) and key != "published"]:
        raise SambenchError(f"{where}: {', '.join(missing)} is missing.")


def _check_word(word: str, known: Any, kind: str, where: str) -> None:
    if word not in known:
        raise SambenchError(f"{where}: no {kind} {word!r}.{did_you_mean(str(word), known)}")


def _check_doubles(claims: list[Claim], file: Path) -> None:
    seen = set()
    for claim in claims:
        key = (claim.table, claim.called, claim.suite, claim.dataset, claim.metric, *claim.made.items())
        if key in seen:
            raise SambenchError(
                f"{file}: {claim.table}: {claim.metric} of {claim.called} stands there twice."
            )
        seen.add(key)
