"""Doing what is planned, shard by shard, never one twice; where one cell fails, the others go on."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sambench.adapters.base import Embedding, Prepared, Segmenter
from sambench.adapters.registry import create
from sambench.evsam.errors import SambenchError
from sambench.evsam.memory import keep_freed_memory
from sambench.harness.cli.progress import RunProgress
from sambench.harness.plan import Cell, Group, Plan, records_folder
from sambench.harness.provenance import device_name, git_state, versions
from sambench.harness.store import write_results
from sambench.suites.base import Record, Stopwatch
from sambench.suites.data.coco import Entry
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.sample import Sample, load_sample
from sambench.suites.results import CellResult, Status

Loaded = tuple[Sample, Prepared | Exception]
"""A sample and what the model made of its image, or why it could not."""


@dataclass
class _Running:
    """A cell while its group runs."""

    cell: Cell
    watch: Stopwatch = field(default_factory=Stopwatch)
    images: int = 0
    """Computed by this command."""
    status: Status = "done"
    reason: str | None = None
    rows: list[Record] = field(default_factory=list)
    """Records of the shard at hand."""
    left_out: Counter[str] = field(default_factory=Counter)

    def stop(self, status: Status, reason: str) -> None:
        self.status, self.reason = status, reason


def run(plan: Plan, progress: RunProgress, command: str) -> list[CellResult]:
    """Run all groups; after each, ``results.json`` says what there is so far.

    Returns:
        The cells' results in the order of the plan.

    Raises:
        SambenchError: the data cannot be read or the disk cannot be written; finished shards are kept.
    """
    keep_freed_memory()
    finished = {id(group): _so_far(group, plan, command) for group in plan.groups}
    write_results(plan.config.out, [cell for cells in finished.values() for cell in cells])
    for group in plan.groups:
        work = _GroupRun(group, plan, progress, [_Running(cell) for cell in group.cells])
        work.run()
        if all(cell.status != "unfinished" for cell in finished[id(group)]):
            continue  # all was there already, and has been scored
        finished[id(group)] = [_result(r, group, plan, command, work.watch) for r in work.running]
        write_results(plan.config.out, [cell for cells in finished.values() for cell in cells])
    return [cell for cells in finished.values() for cell in cells]


def _so_far(group: Group, plan: Plan, command: str) -> list[CellResult]:
    """What to say of a group before its turn: cells that an earlier command finished are done."""
    cells = [_Running(cell) for cell in group.cells]
    for r in cells:
        if r.cell.store.finished() < r.cell.store.shards:
            r.stop("unfinished", "not run yet")
    return [_result(r, group, plan, command, Stopwatch()) for r in cells]


@dataclass
class _GroupRun:
    """A group at work: one model on one data set, for all suites at once."""

    group: Group
    plan: Plan
    progress: RunProgress
    running: list[_Running]
    watch: Stopwatch = field(default_factory=Stopwatch)
    """Stages that the suites share: waiting for data, encoding, writing."""

    def run(self) -> None:
        """Evaluate what is not done yet; every cell ends with a status."""
        shards = self.group.data.shards()
        done = [i for i in range(len(shards)) if all(r.cell.store.has(i) for r in self.running)]
        title = f"{self.group.model} on {self.group.data.config.name}"
        self.progress.start(title, len(self.group.data.entries), sum(len(shards[i]) for i in done))
        if len(done) == len(shards):
            return
        segmenter = self._create()
        if segmenter is None:
            return
        for r in self.running:
            if reason := r.cell.suite.refusal(segmenter.capabilities, r.cell.protocol):
                r.stop("not_applicable", f"{self.group.model}: {reason}")
            else:
                r.cell.store.describe(r.cell.key)
        self._run_shards(segmenter, shards)

    def _create(self) -> Segmenter | None:
        """Create the model, or let the cells fail with the reason."""
        config, weights = self.plan.config, self.group.weights
        if weights is None:
            for r in self.running:
                r.stop("failed", self.group.reason or "no weights")
            return None
        work = functools.partial(
            create,
            self.group.model,
            weights=weights.path or ("random" if weights.source == "random" else None),
            device=config.device,
            engine=config.engine,
            precision=config.precision,
        )
        made: Segmenter | None = _guarded(work, self.running)
        return made

    def _run_shards(self, segmenter: Segmenter, shards: Sequence[Sequence[Entry]]) -> None:
        """Compute the shards that some live cell lacks; workers read images and prepare pixels ahead."""

        def lacking(shard: int) -> list[_Running]:
            return [r for r in self.running if r.status == "done" and not r.cell.store.has(shard)]

        def load(entry: Entry) -> Loaded:
            sample = load_sample(entry)
            try:
                return sample, segmenter.prepare(sample.image)
            except Exception as error:  # the model's fault, not the data's: it ends the cells, not the run
                return sample, error

        todo = [i for i in range(len(shards)) if lacking(i)]
        loaded = prefetch(load, (entry for i in todo for entry in shards[i]))
        for shard in todo:
            if all(r.status != "done" for r in self.running):
                break
            images = itertools.islice(loaded, len(shards[shard]))
            cells = lacking(shard)
            if not cells:  # those that lacked it have failed meanwhile
                collections.deque(images, maxlen=0)
                continue
            self._run_shard(segmenter, cells, images)
            with self.watch("write"):
                for r in cells:
                    if r.status == "done":
                        r.cell.store.write(shard, r.rows, r.left_out, r.cell.suite.schema)
                    r.rows, r.left_out = [], Counter()

    def _run_shard(self, segmenter: Segmenter, cells: Sequence[_Running], loaded: Iterator[Loaded]) -> None:
        """Encode the images of a shard, a batch at a time, and let every cell evaluate them."""
        while True:
            with self.watch("wait"):
                batch = list(itertools.islice(loaded, self.plan.config.images_per_batch))
            if not batch:
                return
            live = [r for r in cells if r.status == "done"]
            if live:
                with self.watch("encode", segmenter.device):
                    embeddings = _guarded(functools.partial(_embed, segmenter, batch), live)
                for (sample, _), embedding in zip(batch, embeddings or [], strict=False):
                    for r in live:
                        if r.status == "done":
                            self._evaluate(r, segmenter, embedding, sample)
            self.progress.advance(len(batch))

    def _evaluate(self, r: _Running, segmenter: Segmenter, embedding: Embedding, sample: Sample) -> None:
        protocol = r.cell.protocol
        work = functools.partial(r.cell.suite.evaluate, segmenter, embedding, sample, protocol, r.watch)
        r.rows.extend(_guarded(work, [r]) or [])
        r.left_out.update(r.cell.suite.left_out(sample, protocol))
        r.images += 1


def _embed(segmenter: Segmenter, batch: Sequence[Loaded]) -> list[Embedding]:
    prepared = []
    for _, one in batch:
        if isinstance(one, Exception):
            raise one
        prepared.append(one)
    return segmenter.embed(prepared)


def _guarded(work: Callable[[], Any], cells: Sequence[_Running]) -> Any:
    """Do some work for some cells; an error ends them with its reason, and nothing else."""
    try:
        return work()
    except SambenchError as error:
        reason = str(error)
    except Exception as error:  # a model's bug or a lack of memory must not take the other models down
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
    for r in cells:
        r.stop("failed", reason)
    return None


def _result(r: _Running, group: Group, plan: Plan, command: str, shared: Stopwatch) -> CellResult:
    config, data = plan.config, group.data
    limited = len(data.entries) < data.available
    result = CellResult(
        model=group.model,
        engine=config.engine,
        precision=config.precision,
        device=config.device,
        suite=r.cell.suite.name,
        dataset=r.cell.dataset,
        protocol=r.cell.protocol.to_json(),
        n_images=len(data.entries),
        status=r.status,
        reason=r.reason,
        partial={"limit": len(data.entries), "of": data.available, "seed": config.seed} if limited else None,
        provenance=_provenance(r.cell, group, plan, command),
    )
    if r.status != "done":
        return result
    read = _guarded(r.cell.store.read, [r])
    scores = read and _guarded(functools.partial(r.cell.suite.score, read[0], r.cell.protocol), [r])
    if scores is None:
        return dataclasses.replace(result, status=r.status, reason=r.reason)
    records, counted = read
    r.cell.suite.export(records, r.cell.store.folder)
    return dataclasses.replace(
        result,
        metrics=scores.metrics,
        intervals=scores.intervals,
        counts=scores.counts | dict(sorted(counted.items())),
        n_instances=scores.counts.get("all", records.num_rows),
        records=records_folder(r.cell, config.out),
        timing=_timing(r, shared),
    )


def _timing(r: _Running, shared: Stopwatch) -> dict[str, float]:
    """Seconds by stage; waiting for data and encoding are shared with the model's other suites."""
    if not r.images:
        return {}
    stages = {f"{name}_s": seconds for name, seconds in (shared.seconds | r.watch.seconds).items()}
    total = sum(stages.values())
    return {"images": r.images, "seconds": total, "images_per_s": r.images / total, **stages}


def _provenance(cell: Cell, group: Group, plan: Plan, command: str) -> dict[str, Any]:
    data = group.data
    return {
        "weights": asdict(group.weights) if group.weights else {},
        "annotations": {"path": data.config.annotations.as_posix(), "sha256": data.annotations_sha256},
        "detections": cell.detections,
        "images": {"path": data.config.images.as_posix(), "sha256": data.images_sha256},
        "git": git_state(),
        "code_sha256": cell.key["code_sha256"],
        "versions": cell.key["versions"] | (versions("hotcoco") if cell.detections else {}),
        "evaluator": plan.config.evaluator if cell.detections else None,
        "device": device_name(plan.config.device),
        "batch_size": plan.config.images_per_batch,
        "tf32": plan.config.precision == "tf32",
        "command": command,
    }
