"""A folder that mirrors a place in a store: nothing is lost on either side, whatever happens between."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from test_run_store import RECORDS, SCHEMA

from sambench.harness.remote.bucket import Bucket
from sambench.harness.remote.mirror import Mirror
from sambench.harness.results import write_results
from sambench.harness.shards import encode_shard
from sambench.harness.store import CellStore
from sambench.suites.results import CellResult, decode_results, load_results

CELL = CellResult("box", "eager", "fp32", "cpu", "gt_box", "coco", {"preset": "paper"}, {"miou": 50.0})
OTHER = dataclasses.replace(CELL, model="ellipse")
SHARD = encode_shard(RECORDS, {}, SCHEMA)


def silent(_: str) -> None:
    pass


class Machine:
    """One that shares a place with others."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        self.out = root / "run"

    @property
    def mirror(self) -> Mirror:
        """As the next command finds it."""
        return Mirror(self.out, Bucket(self.url))

    def pull(self) -> list[str]:
        """Pull; what is here then."""
        self.mirror.pull(silent)
        return self.files()

    def push(self) -> None:
        self.mirror.push_all()

    def write(self, name: str, content: bytes) -> Path:
        file = self.out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def files(self) -> list[str]:
        found = [f.relative_to(self.out).as_posix() for f in self.out.rglob("*") if f.is_file()]
        return sorted(name for name in found if not name.endswith(".lock"))


@pytest.fixture
def place() -> Iterator[str]:
    """The address of an empty place."""
    yield "memory://place/run"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def machines(tmp_path: Path, place: str) -> tuple[Machine, Machine]:
    """Two on one place."""
    return Machine(tmp_path / "a", place), Machine(tmp_path / "b", place)


def there(machine: Machine) -> dict[str, bytes | None]:
    """What is in the place."""
    bucket = Bucket(machine.url)
    return {name: bucket.read(name) for name in sorted(bucket.list())}


def test_files_go_there_and_come_to_another_machine(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    a.write("records/cell/00000-of-00002.parquet", SHARD)
    a.write("report.html", b"<html>")
    a.push()
    assert b.pull() == ["records/cell/00000-of-00002.parquet", "report.html"]
    assert (b.out / "records/cell/00000-of-00002.parquet").read_bytes() == SHARD


def test_locks_temporary_files_and_parts_of_shards_stay_here(machines: tuple[Machine, Machine]) -> None:
    a, _ = machines
    part, temporary = "records/c/_begun-00000-of-00001.part", "records/c/.a.0123.tmp"
    for name in (".results.json.lock", part, temporary, ".x/y"):
        a.write(name, b"")
    a.write("records/c/_cell.json", b"{}")
    a.push()
    assert list(there(a)) == ["records/c/_cell.json"]


def test_what_is_there_already_is_neither_sent_nor_fetched_again(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = machines
    a.write("records/cell/_cell.json", b"{}")
    a.push()
    b.pull()
    moved = []
    put, read = Bucket.put, Bucket.read
    monkeypatch.setattr(
        Bucket, "put", lambda self, name, file: (moved.append(name), put(self, name, file))[1]
    )
    monkeypatch.setattr(Bucket, "read", lambda self, name: (moved.append(name), read(self, name))[1])
    for machine in (a, b, a, b):
        machine.pull()
        machine.push()
    assert moved == []


def test_what_was_changed_here_wins_and_else_what_was_changed_there(
    machines: tuple[Machine, Machine],
) -> None:
    a, b = machines
    a.write("report.md", b"first")
    a.push()
    b.pull()
    b.write("report.md", b"other")
    b.push()
    a.pull()
    assert (a.out / "report.md").read_bytes() == b"other"
    a.write("report.md", b"of a, not sent")
    b.write("report.md", b"of b")
    b.push()
    a.pull()
    assert (a.out / "report.md").read_bytes() == b"of a, not sent"
    a.push()
    assert there(a)["report.md"] == b"of a, not sent"


def test_a_place_that_was_emptied_gets_everything_again(machines: tuple[Machine, Machine]) -> None:
    a, _ = machines
    a.write("records/cell/_cell.json", b"{}")
    write_results(a.out, [CELL])
    a.push()
    a.mirror.share_results()
    before = there(a)
    fsspec.filesystem("memory").store.clear()
    a.pull()
    a.push()
    a.mirror.share_results()
    assert there(a) == before
    assert list(before) == ["records/cell/_cell.json", "results.json"]


def test_a_machine_that_lost_its_mirror_goes_on_from_the_place(machines: tuple[Machine, Machine]) -> None:
    a, _ = machines
    file = a.write("records/cell/_cell.json", b"{}")
    a.push()
    file.unlink()
    assert a.pull() == ["records/cell/_cell.json"]


def test_a_crash_within_the_journal_costs_the_last_file(machines: tuple[Machine, Machine]) -> None:
    a, _ = machines
    for number in range(3):
        a.write(f"records/cell/{number}.json", b"{}")
    a.push()
    journal = a.root / "same.jsonl"
    journal.write_bytes(journal.read_bytes()[:-8])
    assert len(list(a.mirror._unsent())) == 1
    a.pull()
    a.push()
    assert list(a.mirror._unsent()) == []


def test_results_of_two_machines_are_put_together(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    write_results(a.out, [CELL])
    write_results(b.out, [OTHER])
    for machine in (a, b, a):
        machine.mirror.share_results()
    for machine in (a, b):
        assert sorted(cell.model for cell in load_results(machine.out)) == ["box", "ellipse"]
    content = there(a)["results.json"]
    assert content is not None
    assert sorted(cell.model for cell in decode_results(content, "")) == ["box", "ellipse"]


def test_a_stale_copy_of_anothers_cell_replaces_nothing(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    write_results(a.out, [CELL])
    a.mirror.share_results()
    b.pull()  # has the cell of a now, as it was
    write_results(a.out, [dataclasses.replace(CELL, metrics={"miou": 60.0})])
    a.mirror.share_results()
    write_results(b.out, [OTHER])
    b.mirror.share_results()
    a.pull()
    for machine in (a, b):
        values = {cell.model: cell.metrics["miou"] for cell in load_results(machine.out)}
        assert values == {"box": 60.0, "ellipse": 50.0}


def test_results_that_could_not_be_sent_are_kept_beside_newer_ones(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    write_results(a.out, [CELL])  # and its machine crashes
    write_results(b.out, [OTHER])
    b.mirror.share_results()
    a.pull()
    assert sorted(cell.model for cell in load_results(a.out)) == ["box", "ellipse"]
    a.mirror.share_results()
    b.pull()
    assert sorted(cell.model for cell in load_results(b.out)) == ["box", "ellipse"]


def _scored(machine: Machine) -> CellStore:
    store = CellStore(machine.out / "records" / "cell", 2)
    for shard in range(2):
        store.write(shard, SHARD)
        os.utime(store.path(shard), ns=(10**18 + shard, 10**18 + shard))
    store.keep_scores("0123", {"metrics": {"miou": 1.0}})
    return store


def test_scores_stay_those_of_the_shards_on_every_machine(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    here = _scored(a)
    a.push()
    b.pull()
    copy = CellStore(b.out / "records" / "cell", 2)
    assert copy.scores("0123") == here.scores("0123") == {"metrics": {"miou": 1.0}}
    assert list(b.mirror._unsent()) == []


def test_a_shard_that_is_damaged_there_is_scored_anew_and_so_found(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    _scored(a)
    a.push()
    damaged = SHARD[:400] + bytes([SHARD[400] ^ 1]) + SHARD[401:]
    Bucket(a.url).write("records/cell/00001-of-00002.parquet", damaged)
    b.pull()
    copy = CellStore(b.out / "records" / "cell", 2)
    assert copy.scores("0123") is None
    assert copy.damaged() == [1]
    copy.write(1, SHARD)  # as a run does that finds it
    b.push()
    assert there(b)["records/cell/00001-of-00002.parquet"] == SHARD


def test_what_is_removed_there_is_removed_with_all_that_is_below_it(
    machines: tuple[Machine, Machine],
) -> None:
    a, _ = machines
    for name in ("old/_cell.json", "old/00000-of-00001.parquet", "older/_cell.json"):
        a.write(f"records/{name}", b"{}")
    a.push()
    a.mirror.remove(["records/old"])
    assert list(there(a)) == ["records/older/_cell.json"]


def test_the_probe_leaves_nothing(machines: tuple[Machine, Machine]) -> None:
    a, _ = machines
    a.mirror.probe()
    assert there(a) == {}


def test_the_journal_is_a_line_a_file(machines: tuple[Machine, Machine]) -> None:
    a, _ = machines
    a.write("records/cell/_cell.json", b"{}")
    a.push()
    (line,) = (a.root / "same.jsonl").read_text().splitlines()
    assert json.loads(line)[:2] == ["records/cell/_cell.json", 2]
