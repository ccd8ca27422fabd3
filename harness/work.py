"""What a worker does: create one model, then evaluate shard after shard, each to the bytes of its files.

It knows nothing of who gives it the work, of other groups or of folders. What it is given and what it gives
back are plain values, so that it can be this process, another one, or another machine.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from sambench.adapters.base import Embedding, Prepared, Segmenter, Weights, described
from sambench.adapters.loaded import Loaded
from sambench.adapters.spec import ModelSpec
from sambench.adapters.weights.resolve import plain
from sambench.evsam.errors import SambenchError
from sambench.evsam.memory import keep_freed_memory
from sambench.harness import state
from sambench.harness.provenance import Hardware, hardware
from sambench.harness.shards import Begun, decode_begun, encode_shard
from sambench.suites.base import Setting, Stopwatch, Suite
from sambench.suites.data.coco import Entry
from sambench.suites.data.ids import TextIds
from sambench.suites.data.loading import load, loaders_for
from sambench.suites.data.sample import Sample
from sambench.suites.environment import settings
from sambench.suites.failures import Failure
from sambench.suites.protocol import Protocol
from sambench.suites.registry import suite_class

Ready = tuple[Sample, Prepared | Exception]
"""A sample and what the model made of its image, or why it could not."""

SAVE_EVERY = 60.0
"""Seconds after which what there is of a shard is handed over: what an interruption costs at the most."""


@dataclass(frozen=True)
class SuiteOn:
    """A suite on some data, by name; all models share it."""

    name: str
    setting: Setting

    def open(self) -> Suite:
        """Return the suite; the first time in a process it is made, and a detector's boxes are read."""
        return self._opened

    @functools.cached_property
    def _opened(self) -> Suite:
        return suite_class(self.name).on(self.setting)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel by the fields alone, without what is open."""
        return SuiteOn, (self.name, self.setting)


@dataclass(frozen=True)
class SuiteSpec:
    """A suite as one cell has it."""

    on: SuiteOn
    protocol: Protocol
    """Of the records: the axes that they do not depend on are as in no particular protocol."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Columns that say of each of its records which model and suite it is of, and on what data."""
    seed: str = ""
    """What random draws of its cell begin with."""
    ids: TextIds = field(default_factory=dict)
    """What its records have in place of numbers inside."""

    @property
    def name(self) -> str:
        """The suite's."""
        return self.on.name


@dataclass(frozen=True)
class Work:
    """What a worker is opened with."""

    model: ModelSpec
    suites: tuple[SuiteSpec, ...]
    batch_size: int
    """Images an encoder call."""
    weights: Weights | None = None
    """What the model must be created with, and ..."""
    loaded: Loaded = field(default_factory=Loaded)
    """... made of: what the plan found."""
    apart: bool = False
    """Whether the model needs a process that no other model shares (`harness.apart`)."""


@dataclass(frozen=True)
class Task:
    """One shard."""

    shard: int
    entries: tuple[Entry, ...]
    """Its images."""
    suites: tuple[int, ...]
    """Which of the worker's suites lack it."""
    begun: Mapping[int, bytes] = field(default_factory=dict)
    """By suite, what an earlier `Progress` has of it."""


@dataclass(frozen=True)
class Opened:
    """The worker is ready, or says why it is not."""

    hardware: Hardware | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the process, once the model is created."""
    refusals: dict[int, Failure] = field(default_factory=dict)
    """Suites that the model cannot take part in."""
    failure: Failure | None = None


@dataclass(frozen=True)
class Evaluated:
    """So many more images have been evaluated."""

    images: int


@dataclass(frozen=True)
class Progress:
    """What there is of a task that takes long."""

    shard: int
    files: dict[int, bytes]
    """By suite, for `Task.begun`."""


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
    inputs: tuple[str, ...] = ()
    """Types and shapes that images were prepared to, such as ``float32 [3, 1024, 1024]``, in order."""


Message = Opened | Evaluated | Progress | Outcome


def work(given: Work, tasks: Iterable[Task]) -> Iterator[Message]:
    """Open a worker and do tasks one after the other; each one's images are read ahead of the model.

    Yields:
        `Opened` first; where that has no failure, `Evaluated` as images are done, and an `Outcome` a task,
        after a `Progress` a minute. Suites that fail or cannot take part are left out from there on; with
        none left, so is the rest.

    Raises:
        SambenchError: an image or annotation is damaged, which is the user's to mend.
    """
    keep_freed_memory()
    with state.kept():
        try:
            segmenter = _create(given)
            suites = [spec.on.open() for spec in given.suites]
        except Exception as error:
            yield Opened(failure=Failure.of(error))
            return
        reasons = [_refusal(*pair, segmenter) for pair in zip(suites, given.suites, strict=True)]
        refusals = {i: reason for i, reason in enumerate(reasons) if reason is not None}
        yield Opened(hardware(given.model.device), settings(), refusals)
        yield from _Session(given, segmenter, suites, out=set(refusals)).do(tasks)


def _create(given: Work) -> Segmenter:
    """Create the model that was planned.

    Raises:
        SambenchError: it cannot be created, or is another one by now.
    """
    state.seed("create", given.model.name)
    segmenter = given.model.create()
    planned, found = given.weights, plain(segmenter.weights)
    if planned is not None and planned.identity != found.identity:
        raise SambenchError(
            f"{given.model.name}: its weights changed since this run was planned, from {planned.identity} to "
            f"{found.identity} ({found.path}). Run the same command again."
        )
    given.loaded.check()
    return segmenter


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

    def do(self, tasks: Iterable[Task]) -> Iterator[Message]:
        ahead, todo = itertools.tee(tasks)
        entries = (entry for task in ahead for entry in task.entries)
        with closing(load(entries, self._prepare, loaders_for(self.given.model.device))) as loaded:
            for task in todo:
                if len(self.out) == len(self.suites):
                    return
                images = itertools.islice(loaded, len(task.entries))
                yield from _Shard(self, task, [i for i in task.suites if i not in self.out]).do(images)

    def _prepare(self, sample: Sample) -> Ready:
        try:
            return sample, self.segmenter.prepare(sample.image)
        except Exception as error:  # the model's fault, not the data's: it ends the cells, not the run
            return sample, error

    def embed(self, batch: Sequence[Ready]) -> list[Embedding]:
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
    found: dict[int, Begun] = field(default_factory=dict)
    """By suite, the records so far."""
    failures: dict[int, Failure] = field(default_factory=dict)
    watch: Stopwatch = field(default_factory=Stopwatch)
    own: dict[int, Stopwatch] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)

    def do(self, loaded: Iterator[Ready]) -> Iterator[Message]:
        """Encode the images, a batch at a time, and let every suite evaluate them."""
        for i in self.suites:
            schema, ids = self.session.suites[i].schema, self.session.given.suites[i].ids
            self.found[i] = decode_begun(self.task.begun.get(i), schema, ids)
            self.own[i] = Stopwatch()
        done, saved = 0, time.monotonic()
        while True:
            with self.watch("wait"):
                batch = list(itertools.islice(loaded, self.session.given.batch_size))
            if not batch:
                break
            if todo := [i for i in self.live if self.found[i].images < done + len(batch)]:
                self._evaluate(batch, done, todo)
            done += len(batch)
            yield Evaluated(len(batch))
            if done < len(self.task.entries) and time.monotonic() - saved > SAVE_EVERY:
                yield Progress(self.task.shard, self._files(finished=False))
                saved = time.monotonic()
        files = self._files(finished=True)
        self.session.out |= self.failures.keys()
        own = {i: dict(watch.seconds) for i, watch in self.own.items()}
        seconds = dict(self.watch.seconds)
        inputs = tuple(sorted(self.inputs))
        yield Outcome(self.task.shard, len(self.task.entries), files, self.failures, seconds, own, inputs)

    @property
    def live(self) -> list[int]:
        """The suites that have not failed."""
        return [i for i in self.suites if i not in self.failures]

    def _evaluate(self, batch: Sequence[Ready], first: int, suites: Sequence[int]) -> None:
        ids = [sample.image_id for sample, _ in batch]
        self.inputs |= {described(one.pixels) for _, one in batch if isinstance(one, Prepared)}
        with self.watch("encode", self.session.segmenter.device):
            state.seed("encode", self.session.segmenter.name, *ids)
            embeddings = self._guarded(functools.partial(self.session.embed, batch), suites)
        if embeddings is not None:
            pairs = zip(batch, embeddings, strict=True)
            for place, ((sample, _), embedding) in enumerate(pairs, start=first):
                for i in suites:
                    if i not in self.failures and self.found[i].images <= place:
                        self._prompt(i, embedding, sample)

    def _prompt(self, i: int, embedding: Embedding, sample: Sample) -> None:
        suite, spec, found = self.session.suites[i], self.session.given.suites[i], self.found[i]

        def evaluate() -> None:
            segmenter, watch = self.session.segmenter, self.own[i]
            state.seed(spec.seed, sample.image_id)
            found.records.extend(suite.evaluate(segmenter, embedding, sample, spec.protocol, watch))
            found.left_out.update(suite.left_out(sample, spec.protocol))
            found.images += 1

        self._guarded(evaluate, [i])

    def _files(self, *, finished: bool) -> dict[int, bytes]:
        """The files of the suites that have not failed, nor have records other than their schemas say."""
        with self.watch("write"):
            encoded = {i: self._encode(i, finished) for i in self.live}
        return {i: content for i, content in encoded.items() if content is not None}

    def _encode(self, i: int, finished: bool) -> bytes | None:
        found, schema = self.found[i], self.session.suites[i].schema
        spec, images = self.session.given.suites[i], None if finished else found.images

        def encode() -> bytes:
            return encode_shard(
                found.records, found.left_out, schema, spec.labels, images=images, ids=spec.ids
            )

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
