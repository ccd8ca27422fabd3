"""Ray's actors give the records of one process, to the byte, whoever dies meanwhile."""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest
from command import call, cell_of, shards_of
from test_same_bytes import IMAGES, command, dying, killed_once, make_world, plain
from tiny_coco import TinyCoco

from sambench.evsam.errors import SambenchError
from sambench.harness import plan as planning
from sambench.harness.config.run import load_run
from sambench.harness.events import Events
from sambench.harness.executors import ray_cluster
from sambench.harness.executors.on_ray import Actors
from sambench.harness.executors.queue import TRIES
from sambench.harness.executors.ray_cluster import check, joined, share
from sambench.harness.executors.ray_worker import differs, installed
from sambench.harness.run import run
from sambench.harness.sources import code_digest
from sambench.harness.work import Work

RAY = ("--executor", "ray", "--workers")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One Ray for all of them, on this machine; no token of it stays."""
    pytest.importorskip("ray")
    with mock.patch.dict(os.environ), joined(None, 3, cards=False) as own:
        assert own
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TinyCoco:
    return make_world(tmp_path_factory.mktemp("world"))


def computed(out: Path, cell: str) -> int:
    """Images that went into what was written, each as often as it did."""
    return sum(json.loads(f.read_text())["images"] for f in out.glob(f"records/{cell}*/_session-*.json"))


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_records_and_results_are_those_of_one_process(world: TinyCoco, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    assert call(*command(world, alone)).code == 0
    done = call(*command(world, tmp_path / "out", *RAY, 3))
    assert done.code == 0, done.err
    assert shards_of(tmp_path / "out") == shards_of(alone)
    assert plain(tmp_path / "out") == plain(alone)
    assert computed(tmp_path / "out", "box-gt") == IMAGES


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_shards_may_be_smaller_than_what_is_read_ahead(
    world: TinyCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SHARD_IMAGES", 1)
    actor = call(*command(world, tmp_path / "actor", *RAY, 1, "--limit", 9, models="box"))
    assert actor.code == 0, actor.err
    assert call(*command(world, tmp_path / "one", "--limit", 9, models="box")).code == 0
    assert len(shards_of(tmp_path / "one")) == 3 * 9
    assert shards_of(tmp_path / "actor") == shards_of(tmp_path / "one")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_an_actor_that_is_killed_is_replaced_and_nothing_is_done_twice(
    world: TinyCoco, tmp_path: Path
) -> None:
    said = killed_once(world, tmp_path, *RAY, 2)
    assert "Ray replaced it, and its shard is done again" in said
    assert computed(tmp_path / "killed", "dies-") == IMAGES


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_what_kills_every_actor_fails_with_its_shard_and_takes_nothing_else(
    world: TinyCoco, tmp_path: Path
) -> None:
    config, out = dying(world, tmp_path, times=99), tmp_path / "out"
    done = call("run", config, *RAY, 1, "--out", out)
    assert done.code == 1
    assert len(list((tmp_path / "marks").iterdir())) == TRIES
    cell = cell_of(out, model="dies")
    assert cell["status"] == "failed"
    assert cell["reason"].startswith(f"image 033.jpg: its worker died {TRIES} times")
    assert f"as far as {IMAGES:03d}.jpg" in cell["reason"]
    assert len(shards_of(out)) == 2  # of three


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_an_image_that_changes_ends_the_run_with_its_name(tmp_path: Path) -> None:
    tiny = make_world(tmp_path / "data")
    config = dying(tiny, tmp_path, times=0)
    loaded, _ = load_run(config, {"out": str(tmp_path / "out"), "executor": "ray"})
    plan = planning.make_plan(loaded)
    tiny.file(3).write_bytes(b"no image")
    with pytest.raises(SambenchError, match=r"003\.jpg"), Actors(1, "cpu", None) as actors:
        run(plan, Events([], print), "", actors)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("here", "is not one of a Ray cluster: say HOST:6379"),
        ("http://127.0.0.1:8265", "is not one of a Ray cluster"),
        ("127.0.0.1:0", "no Ray cluster answers at 127.0.0.1:0"),
        ("127.0.0.1:99999", "no Ray cluster answers at 127.0.0.1:99999"),
        ("no-such-host.invalid:6379", "no Ray cluster answers at no-such-host.invalid:6379"),
    ],
)
def test_a_wrong_address_is_said_before_anything_is_read(
    world: TinyCoco, tmp_path: Path, address: str, said: str
) -> None:
    pytest.importorskip("ray")
    start = time.monotonic()
    done = call(*command(world, tmp_path / "out", *RAY, 1, "--address", address))
    assert done.code == 2
    assert said in done.err
    assert time.monotonic() - start < 20  # Ray itself tries for two minutes


def test_a_port_that_nobody_listens_at_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(SambenchError, match="no Ray cluster answers at 127"):
            check(None, "cpu")


def test_another_server_is_no_cluster() -> None:
    pytest.importorskip("ray")
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(SambenchError, match="is not Ray"):
            check(f"127.0.0.1:{server.server_port}", "cpu")
        server.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_cluster_is_one() -> None:
    import ray

    check(ray.get_runtime_context().gcs_address, "cpu")


def test_a_card_is_rays_to_choose() -> None:
    pytest.importorskip("ray")
    with pytest.raises(SambenchError, match="Say cuda"):
        check(None, "cuda:1")


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    with pytest.raises(SambenchError, match=r"pip install 'sambench\[ray\]'"):
        check(None, "cpu")


@pytest.mark.parametrize("cores", [[8], [8, 8, 8, 8], [4, 16], [1, 1], [2.5], []])
@pytest.mark.parametrize("workers", [1, 2, 3, 5, 33])
def test_a_share_is_the_largest_that_all_have_a_place_with(cores: list[float], workers: int) -> None:
    fits = [n for n in range(1, 17) if sum(int(c) // n for c in cores) >= workers]
    assert share(cores, workers) == max(fits, default=1)


def test_a_machine_with_other_software_is_refused(world: TinyCoco, tmp_path: Path) -> None:
    loaded, _ = load_run(dying(world, tmp_path, times=0), {"out": str(tmp_path / "out")})
    group = planning.make_plan(loaded).groups[0]
    given = Work(group.model, tuple(cell.suite for cell in group.cells), 1)
    here = installed(given)
    assert differs(given, here) is None
    other = differs(given, here | {"torch": "1.0"})
    assert other is not None
    assert other.kind == "refused"
    assert f"has torch {here['torch']}, not 1.0" in other.reason
    (tmp_path / "dies.py").unlink()
    code_digest.cache_clear()  # there, it is another process
    gone = differs(given, here)
    assert gone is not None
    assert "must lie at the same path" in gone.reason
