"""What a worker does: create one model, then evaluate shard after shard, each to the bytes of its files.

It knows nothing of who gives it the work, of other groups or of folders. What it is given and what it gives
back are plain values, so that it can be this process, another one, or another machine.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sambench.adapters.base import Embedding, Prepared, Segmenter
from sambench.adapters.spec import ModelSpec
from sambench.evsam.errors import SambenchError
from sambench.evsam.memory import keep_freed_memory
from sambench.harness.labels import Labels, model_labels
from sambench.harness.provenance import Hardware, hardware
from sambench.harness.store import encode_shard
from sambench.suites.base import Record, Setting, Stopwatch, Suite
from sambench.suites.data.coco import Entry
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.sample import Sample, load_sample
from sambench.suites.failures import Failure
from sambench.suites.protocol import Protocol
from sambench.suites.registry import suite_class

Loaded = tuple[Sample, Prepared | Exception]
"""A sample and what the model made of its image, or why it could not."""


@dataclass(frozen=True)
class SuiteSpec:
    """A suite on some data, by name."""

    name: str
    setting: Setting
    protocol: Protocol
    labels: Labels = field(default_factory=dict)
    """Columns that say of each of its records which suite it is, on what data (`harness.labels`)."""

    def open(self) -> Suite:
        """Return the suite; the first time in a process it is made, and a detector's boxes are read."""
        return self._opened

    @functools.cached_property
    def _opened(self) -> Suite:
        return suite_class(self.name).on(self.setting)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel by the fields alone, without what is open."""
        return SuiteSpec, (self.name, self.setting, self.protocol, self.labels)


@dataclass(frozen=True)
class Work:
    """What a worker is opened with."""

    model: ModelSpec
    suites: tuple[SuiteSpec, ...]
    batch_size: int
    """Images an encoder call."""


@dataclass(frozen=True)
class Task:
    """One shard."""

    shard: int
    entries: tuple[Entry, ...]
    """Its images."""
    suites: tuple[int, ...]
    """Which of the worker's suites lack it."""


@dataclass(frozen=True)
class Opened:
    """The worker is ready, or says why it is not."""

    hardware: Hardware
    refusals: dict[int, Failure] = field(default_factory=dict)
    """Suites that the model cannot take part in."""
    failure: Failure | None = None


@dataclass(frozen=True)
class Evaluated:
    """So many more images have been evaluated."""

    images: int


@dataclass(frozen=True)
class Outcome:
    """What became of a task."""

    shard: int
    images: int
    files: dict[int, bytes]
    """By suite, a Parquet file; none of a suite that failed."""
    failures: dict[int, Failure]
    seconds: dict[str, float]
    """By stage, of what the suites share."""
    own_seconds: dict[int, dict[str, float]]
    """By suite and stage."""


Message = Opened | Evaluated | Outcome


def work(given: Work, tasks: Iterable[Task]) -> Iterator[Message]:
    """Open a worker and do tasks one after the other; each one's images are read ahead of the model.

    Yields:
        `Opened` first; where that has no failure, `Evaluated` as images are done and an `Outcome` a task.
        Suites that fail or cannot take part are left out from there on; with none left, so is the rest.

    Raises:
        SambenchError: an image or annotation is damaged, which is the user's to mend.
    """
    keep_freed_memory()
    try:
        segmenter = given.model.create()
        suites = [spec.open() for spec in given.suites]
    except Exception as error:
        yield Opened(hardware(given.model.device), failure=Failure.of(error))
        return
    reasons = [_refusal(*pair, segmenter) for pair in zip(suites, given.suites, strict=True)]
    refusals = {i: reason for i, reason in enumerate(reasons) if reason is not None}
    yield Opened(hardware(given.model.device), refusals)
    yield from _Session(given, segmenter, suites, out=set(refusals)).do(tasks)


def _refusal(suite: Suite, spec: SuiteSpec, segmenter: Segmenter) -> Failure | None:
    """Say why a suite is left out, if it is; one that cannot even be asked has failed."""
    try:
        reason = suite.refusal(segmenter.capabilities, spec.protocol)
    except Exception as error:
        return Failure.of(error)
    return Failure("not_applicable", f"{segmenter.name}: {reason}") if reason else None


@dataclass
class _Session:
    """A worker that is open."""

    given: Work
    segmenter: Segmenter
    suites: Sequence[Suite]
    out: set[int]
    """Suites that are left out."""

    @functools.cached_property
    def labels(self) -> Labels:
        """What says of each record which model it is of."""
        return model_labels(self.given.model, self.segmenter.weights)

    def do(self, tasks: Iterable[Task]) -> Iterator[Message]:
        ahead, todo = itertools.tee(tasks)
        loaded = prefetch(self._load, (entry for task in ahead for entry in task.entries))
        for task in todo:
            if len(self.out) == len(self.suites):
                return
            images = itertools.islice(loaded, len(task.entries))
            yield from _Shard(self, task, [i for i in task.suites if i not in self.out]).do(images)

    def _load(self, entry: Entry) -> Loaded:
        sample = load_sample(entry)
        try:
            return sample, self.segmenter.prepare(sample.image)
        except Exception as error:  # the model's fault, not the data's: it ends the cells, not the run
            return sample, error

    def embed(self, batch: Sequence[Loaded]) -> list[Embedding]:
        """Encode a batch of images."""
        prepared = []
        for _, one in batch:
            if isinstance(one, Exception):
                raise one
            prepared.append(one)
        found = self.segmenter.embed(prepared)
        if len(found) != len(prepared):
            raise SambenchError(
                f"{self.segmenter.name}: embed gave {len(found)} embeddings for {len(prepared)} images."
            )
        return found


@dataclass
class _Shard:
    """A shard at work."""

    session: _Session
    task: Task
    suites: list[int]
    rows: dict[int, list[Record]] = field(default_factory=dict)
    left_out: dict[int, Counter[str]] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    watch: Stopwatch = field(default_factory=Stopwatch)
    own: dict[int, Stopwatch] = field(default_factory=dict)

    def do(self, loaded: Iterator[Loaded]) -> Iterator[Message]:
        """Encode the images, a batch at a time, and let every suite evaluate them."""
        for i in self.suites:
            self.rows[i], self.left_out[i], self.own[i] = [], Counter(), Stopwatch()
        while True:
            with self.watch("wait"):
                batch = list(itertools.islice(loaded, self.session.given.batch_size))
            if not batch:
                break
            if self.live:
                self._evaluate(batch)
            yield Evaluated(len(batch))
        with self.watch("write"):
            encoded = {i: self._encode(i) for i in self.live}
        files = {i: content for i, content in encoded.items() if content is not None}
        self.session.out |= self.failures.keys()
        own = {i: dict(watch.seconds) for i, watch in self.own.items()}
        seconds = dict(self.watch.seconds)
        yield Outcome(self.task.shard, len(self.task.entries), files, self.failures, seconds, own)

    @property
    def live(self) -> list[int]:
        """The suites that have not failed."""
        return [i for i in self.suites if i not in self.failures]

    def _evaluate(self, batch: Sequence[Loaded]) -> None:
        with self.watch("encode", self.session.segmenter.device):
            embeddings = self._guarded(functools.partial(self.session.embed, batch), self.live)
        if embeddings is not None:
            for (sample, _), embedding in zip(batch, embeddings, strict=True):
                for i in self.live:
                    self._prompt(i, embedding, sample)

    def _prompt(self, i: int, embedding: Embedding, sample: Sample) -> None:
        suite, protocol = self.session.suites[i], self.session.given.suites[i].protocol

        def evaluate() -> None:
            segmenter, watch = self.session.segmenter, self.own[i]
            self.rows[i].extend(suite.evaluate(segmenter, embedding, sample, protocol, watch))
            self.left_out[i].update(suite.left_out(sample, protocol))

        self._guarded(evaluate, [i])

    def _encode(self, i: int) -> bytes | None:
        """The file of a suite, or ``None`` where its records are not as its schema says."""

        def encode() -> bytes:
            labels = {**self.session.labels, **self.session.given.suites[i].labels}
            return encode_shard(self.rows[i], self.left_out[i], self.session.suites[i].schema, labels)

        content: bytes | None = self._guarded(encode, [i])
        return content

    def _guarded(self, do: Callable[[], Any], suites: Sequence[int]) -> Any:
        """Do something for some suites; an error ends them with its reason, and nothing else."""
        try:
            return do()
        except Exception as error:  # a model's bug or a lack of memory must not take the others down
            failure = Failure.of(error)
        self.failures |= dict.fromkeys(suites, failure)
        return None
