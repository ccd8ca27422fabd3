"""Sending what a tracker does not have yet. Everything has a name of its own, so nothing is there twice."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sambench.adapters.files import locked
from sambench.evsam.errors import SambenchError
from sambench.harness.secrets import redacted
from sambench.harness.tracking.cells import entries_of_cells
from sambench.harness.tracking.content import Entry, Point
from sambench.harness.tracking.ledger import Ledger, Place, Sent, path_of
from sambench.harness.tracking.tracker import Tracker
from sambench.harness.tracking.trainings import entries_of_training
from sambench.harness.train.result import ABOUT
from sambench.reports.pieces import pieces

RESULTS = "results.json"

BATCH = 1000
"""Numbers a call: what MLflow takes at most (mlflow.utils.validation)."""

Say = Callable[[str, int], None]
"""Is told what is being sent, and how many bytes it has."""


class UnreachableError(Exception):
    """A tracker's place does not answer, or refuses."""


def entries_of(out: Path, running: str | None = None) -> list[Entry]:
    """Return all that a folder has to say.

    Args:
        out: the folder of a run, a throughput or a training.
        running: the command that is at work on it, if one is.

    Raises:
        SambenchError: it cannot be read.
    """
    found = []
    if (out / ABOUT).is_file():
        found += entries_of_training(out, running is not None)
    if (out / RESULTS).is_file():
        made = pieces([out]) if running is None else {}
        found += entries_of_cells(out, running, made)
    return found


def _has_something(out: Path, running: str | None) -> bool:
    """Tell whether there is anything to send yet; of a folder that nobody works on there must be."""
    found = (out / ABOUT).is_file() or (out / RESULTS).is_file()
    if not found and running is None:
        raise SambenchError(
            f"{out}: no {RESULTS} and no {ABOUT} in it. Name the --out folder of a run or a training."
        )
    return found


def push(out: Path, tracker: Tracker, say: Say, running: str | None = None) -> int:
    """Send what a tracker lacks of a folder; return how many things that were.

    Args:
        out: the folder.
        tracker: where to.
        say: is told what is sent.
        running: the command that is at work on the folder, if one is.

    Raises:
        SambenchError: it is no such folder, or it or the ledger cannot be read or written.
        UnreachableError: the place does not answer; what was sent until then stays sent.
    """
    if not _has_something(out, running):
        return 0
    with locked(path_of(out, tracker.name)):
        entries = entries_of(out, running)  # as it is now, for another command may have sent it meanwhile
        ledger = Ledger.open(out, tracker.name)
        place = ledger.places.setdefault(tracker.where, Place())
        sender = _Sender(tracker, ledger, place, say)
        try:
            sender.see_what_is_there(entries)
            for entry in entries:
                sender.send(entry)
            tracker.close()
        except SambenchError:
            raise
        except Exception as error:  # of whatever kind a tracker's library has
            said = redacted(" ".join(str(error).split()))[:300] or type(error).__name__
            raise UnreachableError(f"{tracker.where}: {said}") from None
    return sender.count


class _Sender:
    """One push."""

    def __init__(self, tracker: Tracker, ledger: Ledger, place: Place, say: Say) -> None:
        self.tracker, self.ledger, self.sent, self.say = tracker, ledger, place.entries, say
        self.count = 0

    def see_what_is_there(self, entries: Sequence[Entry]) -> None:
        """Forget the commands and trainings that a place has not any more, and what went with them."""
        self.say("looking for it", 0)
        self.tracker.reach()
        gone = {e.key for e in entries if e.parent is None and self._is_gone(e.key)}
        gone |= {e.key for e in entries if e.parent in gone and self._is_gone(e.key)}
        for key in gone:
            del self.sent[key]

    def _is_gone(self, key: str) -> bool:
        run = self.sent[key].run if key in self.sent else None
        return run is not None and not self.tracker.exists(run)

    def _lacking(self, entry: Entry) -> bool:
        sent = self.sent[entry.key]
        return (
            sent.run is None
            or bool(_new_points(entry, sent))
            or sent.tags != _digest(entry.tags)
            or any(sent.files.get(place) != mark for place, mark in _marks(entry).items())
            or sent.status != entry.status
            or (entry.model is not None and not sent.version)
        )

    def send(self, entry: Entry) -> None:
        """Send what is lacking of an entry, a step at a time."""
        if entry.key in self.sent and not self._lacking(entry):
            return
        if entry.parent is not None and self._is_gone(entry.key):  # somebody removed this one cell
            del self.sent[entry.key]
        sent = self.sent.setdefault(entry.key, Sent(began=round(time.time(), 3)))
        self.ledger.save()
        if sent.run is None:
            self._create(entry, sent)
        assert sent.run is not None
        self._log(entry, sent, sent.run)
        if sent.tags != (digest := _digest(entry.tags)):
            self.say(f"{entry.name}: tags", 0)
            self.tracker.tag(sent.run, entry.tags)
            sent.tags = digest
            self._keep()
        self._upload(entry, sent, sent.run)
        if entry.model is not None and not sent.version:
            self.say(f"{entry.name}: model", 0)
            sent.version = self.tracker.register(sent.run, entry.model)
            self._keep()
        if sent.status != entry.status:
            self.tracker.end(sent.run, entry.status, entry.ended or time.time())
            sent.status = entry.status
            self._keep()

    def _create(self, entry: Entry, sent: Sent) -> None:
        """Begin its run, or find the one whose creation was not answered to."""
        identity = self.ledger.identity(entry.key)
        parent = self.sent[entry.parent].run if entry.parent else None
        self.say(entry.name, 0)
        began = entry.began or sent.began
        run = self.tracker.find(identity) or self.tracker.create(entry, identity, began, parent)
        self.tracker.describe(run, entry.params)
        sent.run = run
        self._keep()

    def _log(self, entry: Entry, sent: Sent, run: str) -> None:
        points = _new_points(entry, sent)
        if not points:
            return
        for start in range(0, len(points), BATCH):
            part = points[start : start + BATCH]
            if sent.logging != (digest := _digest([(p.name, p.value, p.step) for p in part])):
                sent.logging, sent.logged = digest, round(time.time(), 3)
                self.ledger.save()
            self.say(f"{entry.name}: {len(part)} numbers", 0)
            self.tracker.log(run, [p if p.time else replace(p, time=sent.logged) for p in part])
            sent.points |= {p.name: (p.step, p.value) for p in part}
            self._keep()

    def _upload(self, entry: Entry, sent: Sent, run: str) -> None:
        for place, mark in _marks(entry).items():
            if sent.files.get(place) == mark:
                continue
            if place in entry.texts:
                with tempfile.TemporaryDirectory() as folder:
                    source = Path(folder) / Path(place).name
                    source.write_text(entry.texts[place], encoding="utf-8")
                    self._one_file(run, entry, source, place)
            else:
                self._one_file(run, entry, entry.files[place], place)
            sent.files[place] = mark
            self._keep()

    def _one_file(self, run: str, entry: Entry, source: Path, place: str) -> None:
        self.say(f"{entry.name}: {place}", source.stat().st_size)
        self.tracker.upload(run, source, place)

    def _keep(self) -> None:
        self.count += 1
        self.ledger.save()


def _new_points(entry: Entry, sent: Sent) -> Sequence[Point]:
    """The numbers that a place does not have: of later steps than those that it has, or changed.

    A training that goes on repeats steps behind its checkpoint; of these the first numbers stay.
    """

    def new(point: Point) -> bool:
        step, value = sent.points.get(point.name, (-1, math.nan))
        return point.step > step or (not entry.grows and point.value != value)

    return [point for point in entry.points if new(point)]


def _marks(entry: Entry) -> dict[str, str]:
    """Say what tells each file's present content from an earlier one."""
    texts = {place: _digest(text) for place, text in entry.texts.items()}
    facts = {place: path.stat() for place, path in entry.files.items() if path.is_file()}
    return texts | {place: f"{fact.st_size} {fact.st_mtime_ns}" for place, fact in facts.items()}


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
