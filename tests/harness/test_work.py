"""The worker's side: plain values in, the bytes of files out, in this process or in another."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import call, flags, shards_of
from tiny_coco import TinyCoco

from sambench.adapters.engines import processor
from sambench.adapters.plugins import AdapterSpec
from sambench.adapters.spec import ModelSpec
from sambench.evsam.errors import SambenchError
from sambench.harness.config.run import load_run
from sambench.harness.plan import Plan, make_plan
from sambench.harness.work import Evaluated, Message, Opened, Outcome, Task, Work
from sambench.harness.worker import work

ELSEWHERE = """
import pickle, sys
from sambench.harness.worker import work
given, tasks = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write(pickle.dumps(list(work(given, tasks))))
"""

MODELS = '''
from sambench.adapters.families.baselines import Box

class Fails(Box):
    """Ends at the image that is as wide as it is told."""
    def __init__(self, name, *, weights, device, width):
        super().__init__(name, weights=weights, device=device)
        self.width = width
    def embed(self, prepared):
        if any(p.size[1] == self.width for p in prepared):
            raise self.error()
        return super().embed(prepared)
    def error(self):
        return ZeroDivisionError("of\\nits own")

class Hungry(Fails):
    def error(self):
        return MemoryError("too much")
'''


@pytest.fixture
def plan(tiny: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Two suites on four tiny images, a shard an image."""
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 1)
    content = {"models": "box", "suites": "gt_box,click", "out": tmp_path / "planned", "dataset": "tiny"}
    paths = {"images": tiny.images, "annotations": tiny.annotations}
    return make_plan(load_run(None, content | paths)[0])


def given(plan: Plan, model: ModelSpec | None = None) -> Work:
    (group,) = plan.groups
    return Work(model or group.model, tuple(cell.suite for cell in group.cells), batch_size=1)


def tasks(plan: Plan) -> list[Task]:
    (group,) = plan.groups
    return [Task(i, entries, (0, 1)) for i, entries in enumerate(group.data.shards())]


def outcomes(messages: list[Message]) -> list[Outcome]:
    return [m for m in messages if isinstance(m, Outcome)]


@pytest.mark.slow
def test_another_process_gives_the_bytes_that_this_one_gives_and_those_of_a_run(
    plan: Plan, tiny: TinyCoco, tmp_path: Path
) -> None:
    here = list(work(given(plan), tasks(plan)))
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=pickle.dumps((given(plan), tasks(plan))),
        stdout=subprocess.PIPE,
        check=True,
        cwd=tmp_path,
    )
    there = pickle.loads(done.stdout)
    assert [type(m) for m in there] == [Opened, *([Evaluated, Outcome] * 4)]
    assert [o.files for o in outcomes(there)] == [o.files for o in outcomes(here)]
    assert call(*flags(tiny, tmp_path / "run", "box")).code == 0
    by_a_run = shards_of(tmp_path / "run").values()
    assert sorted(content for o in outcomes(here) for content in o.files.values()) == sorted(by_a_run)


def test_a_whole_plan_travels(plan: Plan) -> None:
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_a_suite_is_opened_once_a_process_and_does_not_travel_open(plan: Plan) -> None:
    spec = plan.groups[0].cells[0].suite.on
    before = pickle.dumps(spec)
    assert spec.open() is spec.open()
    assert pickle.dumps(spec) == before
    assert pickle.loads(before).open() is not spec.open()


def test_tasks_may_come_in_any_order_and_to_several_workers(plan: Plan) -> None:
    all_at_once = {o.shard: o.files for o in outcomes(list(work(given(plan), tasks(plan))))}
    parted: dict[int, dict[int, bytes]] = {}
    for mine in (tasks(plan)[3::-2], tasks(plan)[2::-2]):
        parted |= {o.shard: o.files for o in outcomes(list(work(given(plan), iter(mine))))}
    assert parted == all_at_once


def test_a_worker_takes_a_task_when_it_needs_one_and_not_all_of_them(plan: Plan) -> None:
    """A queue serves several workers: one must not empty it. Images are read four ahead, as ever."""
    taken: list[int] = []

    def queue() -> Iterator[Task]:
        for shard in range(40):
            taken.append(shard)
            yield replace(tasks(plan)[0], shard=shard)

    messages = work(given(plan), queue())
    while not isinstance(next(messages), Outcome):
        pass
    assert 1 <= len(taken) <= 6
    messages.close()  # type: ignore[attr-defined]


def test_a_suite_that_has_a_shard_is_not_asked_for_it(plan: Plan) -> None:
    only = [replace(task, suites=(1,)) for task in tasks(plan)[:1]]
    (outcome,) = outcomes(list(work(given(plan), only)))
    assert outcome.files.keys() == outcome.own_seconds.keys() == {1}
    assert "points" in pq.read_table(io.BytesIO(outcome.files[1])).column_names


def test_the_worker_says_what_it_computes_on(plan: Plan) -> None:
    opened, *_ = work(given(plan), [])
    assert isinstance(opened, Opened)
    assert opened.hardware.threads >= 1
    assert opened.hardware.cpu_capability
    assert opened.hardware.cpu_features == processor.features()
    assert opened.hardware.host


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    file = tmp_path / "models.py"
    file.write_text(MODELS)
    return file


def failing(file: Path, name: str, width: int) -> ModelSpec:
    return ModelSpec("mine", adapter=AdapterSpec(f"{file}:{name}", "mine", {"width": width}))


@pytest.mark.parametrize(("name", "kind"), [("Fails", "bug"), ("Hungry", "out_of_memory")])
def test_a_failure_travels_with_its_kind_and_what_was_finished_stays(
    plan: Plan, adapter: Path, name: str, kind: str
) -> None:
    sizes = [task.entries[0].record.width for task in tasks(plan)]
    width = sizes[2]
    assert width is not None
    first = sizes.index(width)
    messages = pickle.loads(pickle.dumps(list(work(given(plan, failing(adapter, name, width)), tasks(plan)))))
    *whole, last = outcomes(messages)
    assert all(o.files.keys() == {0, 1} for o in whole)
    assert len(whole) == first
    assert last.files == {}
    failure = last.failures[0]
    assert failure == last.failures[1]
    assert failure.kind == kind
    assert "\n" not in failure.reason
    assert ("Traceback" in failure.trace) == (kind == "bug")


def test_a_model_that_cannot_be_made_is_a_failure_of_the_opening(plan: Plan) -> None:
    (opened,) = work(given(plan, ModelSpec("efficientvit_sam_l0", "/nowhere.pt")), tasks(plan))
    assert isinstance(opened, Opened)
    assert opened.failure is not None
    assert (opened.failure.kind, opened.failure.trace) == ("refused", "")
    assert "/nowhere.pt" in opened.failure.reason


def test_damaged_data_is_the_users_to_mend_and_ends_the_work(plan: Plan) -> None:
    (group,) = plan.groups
    group.data.entries[1].file.write_bytes(b"no image")
    with pytest.raises(SambenchError, match=r"not an image|damaged"):
        list(work(given(plan), tasks(plan)))
