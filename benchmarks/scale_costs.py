"""The tables of docs/scale.md: what was measured, and what data sets would take at the paper's speeds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.suites import RESULTS
from sambench.harness.plan import SHARD_IMAGES
from sambench.reports.literature.registry import claims

SOURCE, TABLE = "efficientvit_sam", "Table 1"
"""Whose speeds: images a second on one A100 with TensorRT in fp16, one box an image."""
GPUS = (1, 8, 64)
IN_MEMORY = "tmpfs"
"""A file system without a disk."""
IN_THE_WORKER = ("encode",)
"""Stages of `benchmarks.scale` that go wherever the model is, for each object."""
MEANWHILE = ("write shards", "keep account")
"""Those of the process that gives out the work while others compute, for each file of records."""
AFTERWARDS = ("check shards", "read records", "means", "bootstrap", "pack evidence", "report")
"""Those that follow, for each object."""


@dataclass(frozen=True)
class Size:
    """How much there is of a data set."""

    name: str
    images: int
    objects: int


SIZES = (
    Size("LVIS v1 val", 19_809, 244_707),
    Size("SA-1B", 11_000_000, 1_100_000_000),
)
"""As they are published: lvisdataset.org; "Segment Anything", arXiv 2304.02643."""


@dataclass(frozen=True)
class Costs:
    """Seconds of the harness, of one measurement."""

    an_object: float
    """In the worker."""
    a_file: float
    """Meanwhile."""
    an_object_after: float

    @classmethod
    def of(cls, measured: Sequence[Mapping[str, Any]]) -> Costs:
        """Take them from the largest sizes that were measured: of what computes the processor's seconds, of
        what waits for a disk those of a clock, where there was a disk."""
        largest, on_disk = measured[-1], [one for one in measured if one["file_system"] != IN_MEMORY][-1]
        return cls(
            sum(largest["cpu_s"][stage] for stage in IN_THE_WORKER) / largest["objects"],
            sum(on_disk["seconds"][stage] for stage in MEANWHILE) / on_disk["files"],
            sum(largest["cpu_s"][stage] for stage in AFTERWARDS) / largest["objects"],
        )

    def parts(self, size: Size, images_s: float, prompt: float, gpus: int) -> tuple[float, float, float]:
        """Return the seconds of the workers, of writing beside them, and of scoring after both."""
        further = size.objects - size.images  # the published speed has one prompt an image in it
        models = size.images / images_s + further * prompt + size.objects * self.an_object
        writing = size.images / SHARD_IMAGES * self.a_file
        return models / gpus, writing, size.objects * self.an_object_after


def table(measured: Mapping[str, Any]) -> str:
    """Return the table of costs: how long, and which part is the longest."""
    costs, prompt = Costs.of(measured["gt_box"]), _seconds_a_prompt()
    heads = [f"{size.name}, {n} GPU{'s' if n > 1 else ''}" for size in SIZES for n in GPUS]
    lines = [["model", "published images/s", *heads]]
    for model, images_s in _speeds():
        parts = [costs.parts(size, images_s, prompt, n) for size in SIZES for n in GPUS]
        lines.append([model, f"{images_s:g}", *map(_told, parts)])
    return _drawn(lines)


def tables(measured: Mapping[str, Any]) -> list[str]:
    """Return all of them that there are measurements for."""
    suites = [suite for suite in ("gt_box", "click", "det_box") if suite in measured]
    found = [stages_table(measured, suite) for suite in suites]
    found += [annotations_table(measured)] if "annotations" in measured else []
    return found + ([table(measured)] if "gt_box" in measured else [])


def with_tables(page: str, measured: Mapping[str, Any]) -> str:
    """Return a page with these tables in place of those that it has.

    Raises:
        ValueError: it has not as many.
    """
    blocks = re.split(r"(?m)((?:^\|.*\n)+)", page)  # text and tables, in turn
    blocks[1::2] = [f"{one}\n" for one in tables(measured)]  # of another number of them Python says so
    return "".join(blocks)


def stages_table(measured: Mapping[str, Any], suite: str) -> str:
    """Return the table of one suite's sizes: by stage wall and processor seconds, and the memory held."""
    sizes = measured[suite]
    heads = [f"{one['images']:,} images: s, CPU s, MB" for one in sizes]
    stages = sizes[-1]["seconds"]
    lines = [["stage", *heads]]
    for stage in stages:
        lines.append([stage, *(_of_stage(one, stage) for one in sizes)])
    totals = [
        f"{sum(one['seconds'].values()):,.0f}, {sum(one['cpu_s'].values()):,.0f}, {one['mb_peak']:,}"
        for one in sizes
    ]
    written = [f"{one['files']:,} files, {one['mb_written']:,} MB, {one['file_system']}" for one in sizes]
    return _drawn([*lines, ["all", *totals], ["written", *written]])


def annotations_table(measured: Mapping[str, Any]) -> str:
    """Return the table of files of annotations that were read."""
    lines = [["objects", "file, MB", "s", "peak, MB", "bytes an object"]]
    for one in measured["annotations"]:
        held = (one["mb_peak"] - one["mb_before"]) * 2**20 / one["objects"]
        sizes = (f"{one['mb_file']:,.0f}", f"{one['seconds']:.1f}", f"{one['mb_peak']:,.0f}", f"{held:,.0f}")
        lines.append([f"{one['objects']:,}", *sizes])
    return _drawn(lines)


def _of_stage(one: Mapping[str, Any], stage: str) -> str:
    seconds, cpu = (one[key].get(stage, 0) for key in ("seconds", "cpu_s"))
    held = f"{one['mb'][stage]:,}" if stage in one["mb"] else ""
    return f"{seconds:,.1f}, {cpu:,.1f}, {held}".rstrip(", ")


def _drawn(lines: list[list[str]]) -> str:
    rule = f"|{'-|' * len(lines[0])}"
    head, *rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, rule, *rows])


def _told(parts: tuple[float, float, float]) -> str:
    """Say how long it takes: workers and writing go on at once, the longer of them counts."""
    models, writing, after = parts
    minutes = (max(models, writing) + after) / 60
    most = "model" if models > max(writing, after) else "writing" if writing > after else "scoring"
    return f"{minutes / 60:,.0f} h, {most}" if minutes >= 120 else f"{minutes:.2g} min, {most}"


def _speeds() -> Iterator[tuple[str, float]]:
    """Return the models of the paper and their published speeds, the slowest first."""
    found = [c for c in claims(suite="throughput") if (c.source, c.table) == (SOURCE, TABLE)]
    speeds = {c.model: c.value for c in found if c.metric == "img_s"}
    yield from sorted(speeds.items(), key=lambda one: one[1])


def _seconds_a_prompt() -> float:
    """Return what a prompt takes the decoder among 64, as it was measured on a GPU in fp32."""
    entries = json.loads((RESULTS / "gpu-h200" / "gpu.json").read_text())["entries"]
    (seconds,) = (
        float(one["batch_ms"]) / int(one["prompts"]) / 1000
        for one in entries
        if one.get("step") == "speed" and one.get("scope") == "D64" and one["status"] == "done"
    )
    return seconds
