"""``--out s3://...`` against a real object store: whatever its faults, the records are the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Done, call, cells_of, metrics, shards_of
from object_store import BUCKET, Store
from tiny_coco import TinyCoco, make_tiny

from sambench.adapters.extras import missing
from sambench.harness import plan
from sambench.harness.remote.places import placed
from sambench.harness.store import CellStore
from sambench.reports import report
from sambench.reports.report import Asked
from sambench.suites.results import decode_results

pytestmark = pytest.mark.slow

OUT = f"s3://{BUCKET}/runs/tiny"


@pytest.fixture(autouse=True)
def without_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its figures take longer than all else here; one test has it."""
    monkeypatch.setattr(report, "check_extra", _lacking)


def _lacking() -> None:
    raise missing("a report", "jinja2", "report")


@pytest.fixture
def store() -> Iterator[Store]:
    """An object store with an empty bucket."""
    found = Store()
    yield found
    found.kill()


@pytest.fixture
def here(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that knows the store, and has nothing in its cache; shards are of two images."""
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(plan, "SHARD_IMAGES", 2)
    return another_machine(tmp_path / "one", monkeypatch)


def another_machine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go on as a machine with such a cache; return its mirror."""
    monkeypatch.setenv("SAMBENCH_CACHE", str(cache))
    return placed(Path(OUT))[0]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> TinyCoco:
    """Four images."""
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def alone(images: TinyCoco, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both models into a folder of this machine."""
    out = tmp_path_factory.mktemp("alone") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "SHARD_IMAGES", 2)
        patch.setattr(report, "check_extra", _lacking)
        assert call(*command(images, "box,ellipse", out)).code == 0
    return out


def command(images: TinyCoco, models: str, out: object = OUT) -> list[str]:
    return ["run", "--models", models, "--suites", "gt_box", *images.flags, "--out", str(out)]


def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Shards that are written from now on."""
    shards: list[int] = []
    write = CellStore.write

    def noted(self: CellStore, shard: int, content: bytes) -> None:
        shards.append(shard)
        write(self, shard, content)

    monkeypatch.setattr(CellStore, "write", noted)
    return shards


def assert_there(store: Store, alone: Path) -> None:
    """The bucket has the records of both models, and their results."""
    root = f"{BUCKET}/runs/tiny"
    files = store.files()
    found = {n: files.cat_file(f"{root}/{n}") for n in store.names("runs/tiny") if n.endswith(".parquet")}
    assert found == shards_of(alone)
    cells = decode_results(files.cat_file(f"{root}/results.json"), "")
    expected = {c["model"]: c["metrics"] for c in cells_of(alone)}
    assert {c.model: c.metrics for c in cells if c.status == "done"} == expected
    assert not [name for name in store.names("runs/tiny") if "/." in f"/{name}" or name.endswith(".part")]


def test_a_second_command_computes_nothing_on_this_machine_and_on_another(
    store: Store, here: Path, images: TinyCoco, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = command(images, "box,ellipse")
    assert call(*both).code == 0
    assert_there(store, alone)
    shards = computed(monkeypatch)
    assert call(*both).code == 0
    second = another_machine(tmp_path / "two", monkeypatch)
    scored = pytest.MonkeyPatch()
    scored.setattr(CellStore, "keep_scores", lambda *_: pytest.fail("scored again"))
    done = call(*both)
    scored.undo()
    assert (done.code, shards) == (0, [])
    assert metrics(second) == metrics(here) == metrics(alone)

    listed = call("runs", "list", OUT)
    assert listed.out.count("in results") == 2
    assert "ellipse" in call("compare", OUT).out
    monkeypatch.setattr(report, "check_extra", lambda: None)
    monkeypatch.setattr(report, "Asked", lambda _, *more: Asked((), *more))  # no figures for print
    assert call("report", OUT).code == 0
    page = (second / "report.html").read_bytes()
    assert store.files().cat_file(f"{BUCKET}/runs/tiny/report.html") == page


def test_two_machines_at_once_keep_each_others_cells(
    store: Store, here: Path, images: TinyCoco, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One begins and ends while the other is at work; locks that are held at once has test_lease.py."""
    write, others = CellStore.write, list[Done]()

    def meanwhile(self: CellStore, shard: int, content: bytes) -> None:
        write(self, shard, content)
        if not others:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(CellStore, "write", write)
                another_machine(tmp_path / "two", patch)
                others.append(call(*command(images, "ellipse")))

    with monkeypatch.context() as patch:
        patch.setattr(CellStore, "write", meanwhile)
        assert call(*command(images, "box")).code == 0
    assert [done.code for done in others] == [0]
    assert_there(store, alone)
    assert metrics(here) == metrics(alone)
    shards = computed(monkeypatch)
    assert call(*command(images, "box,ellipse")).code == 0
    assert shards == []


def test_another_machine_goes_on_where_one_was_lost(
    store: Store, here: Path, images: TinyCoco, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(*command(images, "box")).code == 0
    lost = next(name for name in store.names("runs/tiny") if name.endswith("1-of-00002.parquet"))
    store.files().rm_file(f"{BUCKET}/runs/tiny/{lost}")
    shutil.rmtree(here)
    another_machine(tmp_path / "two", monkeypatch)
    shards = computed(monkeypatch)
    assert call(*command(images, "box,ellipse")).code == 0
    assert shards == [1, 0, 1]
    assert_there(store, alone)


def test_a_store_that_dies_in_the_middle_costs_nothing_and_gets_the_rest_when_it_is_back(
    store: Store, here: Path, images: TinyCoco, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, both = CellStore.write, command(images, "box,ellipse")

    def deadly(self: CellStore, shard: int, content: bytes) -> None:
        write(self, shard, content)
        if store.process.poll() is None:
            store.kill()

    with monkeypatch.context() as patch:
        patch.setattr(CellStore, "write", deadly)
        done = call(*both)
    assert done.code == 2
    assert done.err.count("The run goes on") <= 1
    assert done.err.count("the same command sends the rest") == 1
    assert str(here) in done.err
    assert shards_of(here) == shards_of(alone)
    assert metrics(here) == metrics(alone)

    store.start()
    shards = computed(monkeypatch)
    assert call(*both).code == 0
    assert shards == []
    assert_there(store, alone)


def refused(done: Done) -> str:
    """What was said of a command that ended before a model was made."""
    assert done.code == 2
    assert done.out == ""
    assert "on tiny" not in done.err
    return done.err


def test_a_bucket_that_is_not_there_and_keys_that_are_wrong_are_found_before_the_work(
    store: Store, here: Path, images: TinyCoco, monkeypatch: pytest.MonkeyPatch
) -> None:
    err = refused(call(*command(images, "box", "s3://nowhere/runs")))
    assert "s3://nowhere/runs" in err
    assert "bucket does not exist" in err
    for name, value in store.close_to_all_but_a_reader().items():
        monkeypatch.setenv(name, value)
    err = refused(call(*command(images, "box")))
    assert "cannot be written" in err
    assert "Give credentials" in err
    assert call(*command(images, "box"), "--dry-run").code == 0  # which only reads
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    assert "Give credentials" in refused(call(*command(images, "box")))
    assert not here.exists() or not any(here.iterdir())
