"""How sure the difference of two speeds is: by the rounds of one run, in which the models took turns."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sambench.reports.cells import Entry, provenance
from sambench.suites.throughput.statistics import rate, reach


@dataclass(frozen=True)
class Sureness:
    """What paired rounds say of a difference."""

    reach: float
    """Half the width of its 95% interval, Student's, in the unit of the metric."""
    p: float
    """By Student's t test of the rounds' differences, two-sided."""
    rounds: int


def paired_rounds(a: Entry, b: Entry) -> dict[str, Sureness]:
    """Return for each metric how sure its difference is.

    Nothing where the two are not of one run or were fed other images, where fewer than two rounds are shared,
    or where their samples are missing or damaged: a table does without an interval.
    """
    if a.folder.resolve() != b.folder.resolve() or not a.cell.records or not b.cell.records:
        return {}
    if provenance(a.cell, "inputs").get("sha256") != provenance(b.cell, "inputs").get("sha256"):
        return {}
    try:
        own, its = dict(_rounds(a)), dict(_rounds(b))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return {}
    shared = sorted(own.keys() & its.keys())
    if len(shared) < 2:
        return {}
    off = np.array([its[r] for r in shared]) - np.array([own[r] for r in shared])
    return {name: _sureness(off[:, k]) for k, name in enumerate(("img_s", "latency_ms_p50"))}


def two_sided(t: float, freedom: int) -> float:
    """Return how likely Student's t is as far from 0 (Abramowitz and Stegun 26.7.3 and 26.7.4).

    Args:
        t: the statistic; may be infinite.
        freedom: degrees of freedom, at least 1.
    """
    angle = math.atan(abs(t) / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1, freedom // 2 + 1):
        total += term
        term *= math.cos(angle) ** 2 * ((2 * k) / (2 * k + 1) if odd else (2 * k - 1) / (2 * k))
    inside = math.sin(angle) * total
    return max(0.0, 1 - (2 / math.pi * (angle + inside) if odd else inside))


def _sureness(off: np.ndarray) -> Sureness:
    """Judge the rounds' differences (n,)."""
    spread = float(off.std(ddof=1)) / math.sqrt(len(off))
    mean = float(off.mean())
    t = mean / spread if spread else math.copysign(math.inf, mean) if mean else 0.0
    return Sureness(reach(off), two_sided(t, len(off) - 1), len(off))


def _rounds(entry: Entry) -> Iterator[tuple[int, tuple[float, float]]]:
    """Give of each round that was timed its images per second and its median batch in milliseconds."""
    assert entry.cell.records is not None
    mode = str(entry.cell.protocol["mode"])
    for file in sorted((entry.folder / entry.cell.records).glob("round-*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        if result["status"] != "done" or result["modes"][mode]["status"] != "done":
            continue
        seconds = _seconds(file.with_suffix(".parquet"), mode)
        speed = rate(seconds, result["facts"]["images_per_batch"])
        yield int(file.stem.removeprefix("round-")), (speed, 1000 * float(np.median(seconds)))


def _seconds(file: Path, mode: str) -> list[float]:
    rows = pq.read_table(file, columns=["mode", "audit", "seconds"])
    mine = rows.filter(pc.and_(pc.equal(rows["mode"], mode), pc.invert(rows["audit"])))
    found: list[float] = mine["seconds"].to_pylist()
    return found
