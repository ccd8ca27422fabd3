"""The numbers of two cells, of the images and objects that both have, and by how much they differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sambench.evsam.errors import SambenchError
from sambench.reports.cells import Entry, provenance
from sambench.reports.pairs import SPEED, speed_protocol
from sambench.reports.speed_pairs import paired_rounds
from sambench.suites import naming
from sambench.suites.results import CellResult
from sambench.suites.scoring.evidence import Evidence, Paired, load
from sambench.suites.scoring.objects import AVERAGED, Objects
from sambench.suites.scoring.scores import Metric

WITHIN = 0.05
"""Two IoUs of an object that differ by no more are held to be equal."""

ROUNDING = 1e-12
"""Of a difference of IoUs in double precision: 0.75 - 0.7 is a little more than 0.05 there."""

SHARES = ("miou", "boundary_iou", "ar_1000")
"""Metrics that average an IoU, or a recall, of each object: their names begin so."""

STAGES = ("encode_s", "decode_s", "upsample_s")
"""Of a run's stopwatch, those that are a prediction."""


@dataclass(frozen=True)
class Difference:
    """One number of two models, both of the images and objects that the two have in common."""

    model_a: str
    model_b: str
    label_a: str
    """The display name, with what sets the cell apart."""
    label_b: str
    run_a: str
    run_b: str
    suite: str
    dataset: str
    protocol: str
    """In a word; of a throughput its scope, mode and batch."""
    metric: str
    title: str
    unit: str
    higher_is_better: bool | None
    a: float | None
    """In the unit; ``None`` where there is nothing to make it of, such as an empty size."""
    b: float | None
    difference: float | None
    """b minus a, in the unit."""
    n_images: int
    """In both, with an object; timed ones of a throughput."""
    n_instances: int
    """In both, of those that the metric averages over; 0 of a throughput."""
    interval: list[float] | None = None
    """[low, high] of the difference's 95% interval."""
    p: float | None = None
    """How likely a difference as large is where the models do not differ; two-sided."""
    p_holm: float | None = None
    """The same, adjusted for the pairs of models of this suite, data set, protocol and metric."""
    better: int | None = None
    """Objects whose IoU in b is higher by more than `WITHIN`; ``None`` of a number that averages no IoU."""
    worse: int | None = None
    """Objects whose IoU in b is lower by more than that."""
    within: int | None = None
    """The other objects."""
    seconds_per_image_a: float | None = None
    """Of a prediction, by the run's own stopwatch: no benchmark."""
    seconds_per_image_b: float | None = None
    note: str | None = None
    """What a reader must know of the numbers, such as how many objects only one of the two has."""


class Reader:
    """Reads each cell's evidence once.

    Attributes:
        metrics: those that are wanted; ``None`` for all.
    """

    def __init__(self, metrics: Collection[str] | None) -> None:
        self.metrics = metrics
        self._read: dict[Path, Evidence] = {}

    def wanted(self, entry: Entry, there: Collection[str]) -> list[Metric]:
        """Return those of some metrics that are wanted, in the order of tables."""
        known = {metric.name: metric for metric in (entry.cell.about.metrics if entry.cell.about else ())}
        every = {**known, **{name: Metric(name, name) for name in there if name not in known}}
        return [
            metric
            for name, metric in every.items()
            if name in there and (self.metrics is None or name in self.metrics)
        ]

    def evidence(self, entry: Entry) -> Evidence:
        """Return what a cell's numbers are made of.

        Raises:
            SambenchError: there is none, or it cannot be read.
        """
        cell = entry.cell
        if not cell.records or not cell.evidence:
            raise SambenchError(
                f"what numbers of {entry.run} are made of was not kept, as in runs of before. Run the same "
                "command again; it only scores."
            )
        file = entry.folder / cell.records / cell.evidence
        if file not in self._read:
            self._read[file] = load(file)
        return self._read[file]


def differences(a: Entry, b: Entry, reader: Reader) -> Iterator[Difference]:
    """Give a row for each number that both cells have.

    Raises:
        SambenchError: the evidence of one is missing or damaged, or they have nothing in common.
    """
    about = _about(a, b)
    return _speeds(a, b, reader, about) if a.cell.suite == SPEED else _means(a, b, reader, about)


def labels(a: Entry, b: Entry) -> tuple[str, str]:
    """Name two cells so that they are told apart, by what they are run on and their runs if need be."""
    names = [_label(a), _label(b)]
    if a.cell.device != b.cell.device:
        names = [f"{name}, {entry.cell.device}" for name, entry in zip(names, (a, b), strict=True)]
    if names[0] == names[1]:
        names = [f"{name}, {entry.run}" for name, entry in zip(names, (a, b), strict=True)]
    return names[0], names[1]


def _label(entry: Entry) -> str:
    apart = naming.beside_speed if entry.cell.suite == SPEED else naming.departures
    return ", ".join([entry.name, *apart(entry.cell)])


def _about(a: Entry, b: Entry) -> dict[str, Any]:
    """Return what all rows of two cells say."""
    label_a, label_b = labels(a, b)
    protocols = dict.fromkeys([a.protocol, b.protocol])
    return {
        "model_a": a.cell.model,
        "model_b": b.cell.model,
        "label_a": label_a,
        "label_b": label_b,
        "run_a": a.run,
        "run_b": b.run,
        "suite": a.cell.suite,
        "dataset": a.cell.dataset,
        "protocol": speed_protocol(a.cell) if a.cell.suite == SPEED else " / ".join(protocols),
        "seconds_per_image_a": _seconds(a.cell),
        "seconds_per_image_b": _seconds(b.cell),
    }


def _seconds(cell: CellResult) -> float | None:
    """Return the seconds of a prediction an image, where the run noted them."""
    images = cell.timing.get("images")
    if not images or STAGES[0] not in cell.timing:
        return None
    return sum(cell.timing.get(stage, 0.0) for stage in STAGES) / images


def _values(metric: Metric, a: float | None, b: float | None) -> dict[str, Any]:
    """Return what a row says of a number."""
    return {
        "metric": metric.name,
        "title": metric.full_title,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "a": a,
        "b": b,
        "difference": None if a is None or b is None else b - a,
    }


def _means(a: Entry, b: Entry, reader: Reader, about: dict[str, Any]) -> Iterator[Difference]:
    """Compare on the objects that both have, by shared resamples of their images."""
    whole = reader.evidence(a), reader.evidence(b)
    paired = Paired.of(*whole)
    own, its = paired.a.numbers(), paired.b.numbers()
    intervals, p_values = paired.intervals(), paired.p_values()
    about |= {"n_images": len(paired.a.image_ids), "note": _note(a, b, whole, paired)}
    for metric in reader.wanted(a, paired.names):
        name = metric.name
        yield Difference(
            **about,
            **_values(metric, own[name], its[name]),
            **_counts(paired, name),
            interval=intervals.get(name),
            p=p_values.get(name),
            n_instances=_instances(paired.a, name),
        )


def _counts(paired: Paired, name: str) -> dict[str, Any]:
    """Count the objects by whether b is better, worse or within `WITHIN`; nothing of what is no share."""
    a, b = paired.a, paired.b
    if not (isinstance(a, Objects) and isinstance(b, Objects) and name.startswith(SHARES)):
        return {}
    if name not in a.counts():  # a mean of means
        return {}
    (own, ours), (its, theirs) = a.of(name), b.of(name)
    gained = (its - own)[ours & theirs]
    better, worse = (int(np.count_nonzero(sign * gained > WITHIN + ROUNDING)) for sign in (1, -1))
    return {"better": better, "worse": worse, "within": len(gained) - better - worse}


def _instances(evidence: Evidence, name: str) -> int:
    """Return how many objects a number is an average of."""
    if not isinstance(evidence, Objects):
        return evidence.instances
    counts = evidence.counts()
    base = (name.removesuffix(f"_per_{what}") for what in AVERAGED)  # of a mean of means
    return next(counts[one] for one in (name, *base) if one in counts)


def _note(a: Entry, b: Entry, whole: tuple[Evidence, Evidence], paired: Paired) -> str | None:
    """Say how much of each the other has not, and that their images are not the same files."""
    found = []
    for label, evidence in zip(labels(a, b), whole, strict=True):
        images = len(evidence.image_ids) - len(paired.a.image_ids)
        objects = evidence.instances - paired.a.instances
        if images or objects:
            found.append(f"left out of {label}: {_many(objects, 'object')} and {_many(images, 'image')}")
    if not found and a.cell.partial == b.cell.partial and _images(a) != _images(b):
        found.append("the files of the images differ")
    failed = dict.fromkeys(
        f"{label}: {naming.failures_named(entry.cell)}".rstrip(".")
        for label, entry in zip(labels(a, b), (a, b), strict=True)
        if entry.cell.n_failed_images
    )
    return "; ".join([*failed, *found]) or None


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _images(entry: Entry) -> Any:
    return provenance(entry.cell, "images").get("sha256")


def _speeds(a: Entry, b: Entry, reader: Reader, about: dict[str, Any]) -> Iterator[Difference]:
    """Compare speeds; by the rounds that both ran, where they ran in turns."""
    surely = paired_rounds(a, b)
    about |= {"n_images": min(a.cell.n_images, b.cell.n_images), "n_instances": 0}
    doubts = _doubts(a, b)
    for metric in reader.wanted(a, [name for name in a.cell.metrics if name in b.cell.metrics]):
        values = _values(metric, a.cell.metrics[metric.name], b.cell.metrics[metric.name])
        found, difference = surely.get(metric.name), values["difference"]
        if found is None or difference is None:
            yield Difference(**about, **values, note="; ".join(doubts) or None)
            continue
        interval = [difference - found.reach, difference + found.reach]
        note = "; ".join([f"interval and p by {found.rounds} rounds that both ran", *doubts])
        yield Difference(**about, **values, interval=interval, p=found.p, note=note)


def _doubts(a: Entry, b: Entry) -> list[str]:
    """Say in a word which marks the measurements have; the report says of each what it means."""
    found = []
    for label, entry in zip(labels(a, b), (a, b), strict=True):
        if marks := [mark.split(":")[0] for mark in entry.cell.provenance.get("marks") or []]:
            found.append(f"{label} is {', '.join(marks)}")
    return found
