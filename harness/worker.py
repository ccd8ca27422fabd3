"""What a worker does: create one model, then evaluate shard after shard, each to the bytes of its files.

It knows nothing of who gives it the work, of other groups or of folders, so that it can be this process,
another one, or another machine.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from sambench.adapters.base import Embedding, Prepared, Segmenter, described
from sambench.adapters.devices import free_memory
from sambench.adapters.weights.resolve import plain
from sambench.evsam.errors import SambenchError
from sambench.evsam.memory import keep_freed_memory
from sambench.harness import state
from sambench.harness.provenance import hardware
from sambench.harness.shards import Begun, decode_begun, encode_shard
from sambench.harness.work import (
    Evaluated,
    FailedImage,
    Message,
    Noted,
    Opened,
    Outcome,
    Progress,
    SuiteSpec,
    Task,
    Work,
)
from sambench.suites.base import Stopwatch, Suite
from sambench.suites.data.loading import load, loaders_for
from sambench.suites.data.sample import Sample
from sambench.suites.environment import settings
from sambench.suites.failures import Failure

Ready = tuple[Sample, Prepared | Exception]
"""A sample and what the model made of its image, or why it could not."""

SAVE_EVERY = 60.0
"""Seconds after which what there is of a shard is handed over: what an interruption costs at the most."""


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
            state.take_threads(given.threads)
            segmenter = _create(given)
            suites = [spec.on.open() for spec in given.suites]
        except Exception as error:
            yield Opened(failure=Failure.of(error))
            return
        reasons = [_refusal(*pair, segmenter) for pair in zip(suites, given.suites, strict=True)]
        refusals = {i: reason for i, reason in enumerate(reasons) if reason is not None}
        yield Opened(hardware(given.model.device), settings(), refusals)
        yield from _Session(given, segmenter, suites, given.batch_size, set(refusals)).do(tasks)


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
    batch_size: int
    """Images an encoder call, as far as memory allows."""
    out: set[int]
    """Suites that are left out."""
    failed: Counter[int] = field(default_factory=Counter)
    """Images that the model failed on, by suite."""
    reduced: dict[str, int] = field(default_factory=dict)
    """What lack of memory has brought down."""
    notes: list[Noted] = field(default_factory=list)
    """Not handed over yet."""

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

    def embed(self, batch: Sequence[Ready]) -> list[Embedding | Failure]:
        """Encode a batch of images; where that fails, each alone, to see which of them it is.

        Where memory does not do for all at once, half of them at a time are taken from here on.
        """
        try:
            return list(self._embedded(batch))
        except Exception as error:
            failure = Failure.of(error)
        if len(batch) == 1:
            return [failure]
        if failure.kind != "out_of_memory":
            alone = [self.embed([one])[0] for one in batch]
            return alone if any(isinstance(one, Failure) for one in alone) else [failure] * len(batch)
        size = len(batch) // 2
        self.batch_size = min(self.batch_size, size)
        self.note_reduced("batch_size", len(batch), self.batch_size, "images an encoder call")
        parts = (batch[i : i + size] for i in range(0, len(batch), size))
        return [one for part in parts for one in self.embed(part)]

    def _embedded(self, batch: Sequence[Ready]) -> list[Embedding]:
        prepared = []
        for _, one in batch:
            if isinstance(one, Exception):
                raise one
            prepared.append(one)
        state.seed("encode", self.segmenter.name, *(sample.image_id for sample, _ in batch))
        found = self.segmenter.embed(prepared)
        if len(found) != len(prepared):
            raise SambenchError(
                f"{self.segmenter.name}: embed gave {len(found)} embeddings for {len(prepared)} images."
            )
        return found

    def halve_prompts(self) -> bool:
        """Take half as many prompts a decoder call from here on; tell whether there is a half."""
        batches = {"prompt_batch": "prompts a decoder call"}
        if self.segmenter.capabilities.concepts:
            batches["phrase_batch"] = "phrases a decoder call"
        sizes = {name: getattr(self.segmenter, name) for name in batches}
        for name, before in sizes.items():
            if before > 1:
                setattr(self.segmenter, name, before // 2)
                self.note_reduced(name, before, before // 2, batches[name])
        return max(sizes.values()) > 1

    def note_reduced(self, what: str, before: int, now: int, words: str) -> None:
        """Say that memory did not do."""
        free_memory(self.segmenter.device)
        self.reduced[what] = now
        self.notes.append(
            Noted(f"{self.segmenter.name}: out of memory with {before} {words}; going on with {now}")
        )


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
                batch = list(itertools.islice(loaded, self.session.batch_size))
            if not batch:
                break
            if todo := [i for i in self.live if self.found[i].images < done + len(batch)]:
                self._evaluate(batch, done, todo)
            done += len(batch)
            yield from self.session.notes
            self.session.notes.clear()
            yield Evaluated(len(batch))
            if done < len(self.task.entries) and time.monotonic() - saved > SAVE_EVERY:
                yield Progress(self.task.shard, self._files(finished=False))
                saved = time.monotonic()
        yield self._outcome()

    def _outcome(self) -> Outcome:
        files = self._files(finished=True)
        self.session.out |= self.failures.keys()
        return Outcome(
            self.task.shard,
            len(self.task.entries),
            files,
            self.failures,
            dict(self.watch.seconds),
            {i: dict(watch.seconds) for i, watch in self.own.items()},
            tuple(sorted(self.inputs)),
            {i: self.found[i].failed for i in files if self.found[i].failed},
            dict(self.session.reduced),
        )

    @property
    def live(self) -> list[int]:
        """The suites that have not failed."""
        return [i for i in self.suites if i not in self.failures]

    def _evaluate(self, batch: Sequence[Ready], first: int, suites: Sequence[int]) -> None:
        self.inputs |= {described(one.pixels) for _, one in batch if isinstance(one, Prepared)}
        with self.watch("encode", self.session.segmenter.device):
            embeddings = self.session.embed(batch)
        pairs = zip(batch, embeddings, strict=True)
        for place, ((sample, _), embedding) in enumerate(pairs, start=first):
            for i in suites:
                if i in self.failures or self.found[i].images > place:
                    continue
                if isinstance(embedding, Failure):
                    self._failed_on(i, sample, embedding)
                else:
                    self._prompt(i, embedding, sample)

    def _prompt(self, i: int, embedding: Embedding, sample: Sample) -> None:
        suite, spec, found = self.session.suites[i], self.session.given.suites[i], self.found[i]
        try:
            state.seed(spec.seed, sample.image_id)
            records = suite.evaluate(self.session.segmenter, embedding, sample, spec.protocol, self.own[i])
            left_out = suite.left_out(sample, spec.protocol)
        except Exception as error:  # a model's bug or a lack of memory must not take the others down
            failure = Failure.of(error)
        else:
            found.records.extend(records)
            found.left_out.update(left_out)
            found.images += 1
            return
        if failure.kind == "out_of_memory" and self.session.halve_prompts():
            self._prompt(i, embedding, sample)
        else:
            self._failed_on(i, sample, failure)

    def _failed_on(self, i: int, sample: Sample, failure: Failure) -> None:
        """Leave an image out of a suite, as far as that is allowed; else end the suite, naming the image."""
        found, failed = self.found[i], self.session.failed
        if failure.kind == "not_applicable":
            self.failures[i] = failure
            return
        failed[i] += 1
        image: FailedImage = {"image_id": sample.image_id, "file_name": sample.file_name}
        found.failed.append(image | {"reason": failure.reason})
        found.images += 1
        if failed[i] > self.session.given.max_failures:
            self.failures[i] = failure.on_image(sample.file_name)

    def _files(self, *, finished: bool) -> dict[int, bytes]:
        """The files of the suites that have not failed, nor have records other than their schemas say."""
        with self.watch("write"):
            encoded = {i: self._encode(i, finished) for i in self.live}
        return {i: content for i, content in encoded.items() if content is not None}

    def _encode(self, i: int, finished: bool) -> bytes | None:
        found, spec = self.found[i], self.session.given.suites[i]
        try:
            return encode_shard(
                found.records,
                found.left_out,
                self.session.suites[i].schema,
                spec.labels,
                images=None if finished else found.images,
                ids=spec.ids,
                failed=found.failed,
            )
        except Exception as error:
            self.failures[i] = Failure.of(error)
            return None
