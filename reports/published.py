"""The numbers of the paper, from ``published.yaml``, to stand beside the measured ones."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SCRIPT_DECIMALS = 3  # of the numbers that the authors' scripts print


@dataclass(frozen=True)
class Published:
    """What the paper says of one model on one dataset."""

    printed: dict[str, float]
    """Metric to the number in the paper."""
    exact: dict[str, float]
    """Metric to the number that the authors' evaluation script prints, with three decimals."""
    source: str
    """Paper and table."""

    @property
    def values(self) -> dict[str, float]:
        """Metric to the number to compare with: the paper's, or the script's where it prints none."""
        return {**self.exact, **self.printed}


@dataclass(frozen=True)
class Dataset:
    """The data that the published numbers were computed on."""

    name: str
    images: int
    annotations: int
    """Of all images, crowd regions included."""
    sha256: str | None = None
    """Of the annotation file, where known."""


def lookup(suite: str, dataset: str, model: str) -> Published | None:
    """Return the published numbers of a model, or ``None`` where the paper prints none.

    With boxes of a detector, ``dataset`` is written ``dataset/detector`` (``coco/vitdet``).
    """
    return _index().get((suite, dataset, model))


def footnote(suite: str, dataset: str, model: str) -> str | None:
    """Return what must be known of a published number beside the measured one."""
    for block in _content()["blocks"]:
        if (block["suite"], block["dataset"]) == (suite, dataset):
            return block.get("footnotes", {}).get(model)
    return None


def models_of(suite: str, dataset: str) -> list[str]:
    """Return the models with published numbers, in the paper's order."""
    return [model for s, d, model in _index() if (s, d) == (suite, dataset)]


def detectors() -> set[str]:
    """Return the detectors whose boxes the paper has numbers for."""
    return {dataset.partition("/")[2] for _, dataset, _ in _index()} - {""}


def printed_by(suite: str, dataset: str, metric: str) -> str:
    """Return who prints a metric for any model: ``paper``, ``script`` (the authors'), or nobody."""
    found = [paper for (s, d, _), paper in _index().items() if (s, d) == (suite, dataset)]
    if any(metric in paper.printed for paper in found):
        return "paper"
    return "script" if any(metric in paper.exact for paper in found) else ""


def decimals(suite: str, dataset: str, metric: str) -> int:
    """Return with how many decimals a metric is printed: the most that one of its models has."""
    found = [
        str(paper.printed[metric]).partition(".")[2]
        for (s, d, _), paper in _index().items()
        if (s, d) == (suite, dataset) and metric in paper.printed
    ]
    return max(map(len, found), default=SCRIPT_DECIMALS)


def full_set(dataset: str) -> Dataset | None:
    """Return what the paper means by a dataset, or ``None`` for one that it does not use.

    A detector's name after a slash (``coco/vitdet``) does not matter here.
    """
    found = _content()["datasets"].get(dataset.partition("/")[0])
    return Dataset(**found) if found else None


@functools.cache
def _content() -> dict[str, Any]:
    file = Path(__file__).with_name("published.yaml")
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


@functools.cache
def _index() -> dict[tuple[str, str, str], Published]:
    content = _content()
    exact = _rows(content["scripts"])
    tables = {(block["suite"], block["dataset"]): block["table"] for block in content["blocks"]}
    index = {}
    for key, values in _rows(content["blocks"]).items():
        table = tables[key[:2]]
        title = f"Table {table}" if isinstance(table, int) else table
        index[key] = Published(values, exact.get(key, {}), f"{content['paper']}, {title}")
    return index


def _rows(blocks: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, float]]:
    rows: dict[tuple[str, str, str], dict[str, float]] = {}
    for block in blocks:
        for model, row in block["rows"].items():
            found = rows.setdefault((block["suite"], block["dataset"], model), {})
            found |= dict(zip(block["metrics"], row, strict=True))
    return rows
