"""The command with a real MLflow server: what arrives, what a kill does to it, and what is nowhere."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import PATIENCE, Done, call, cells_of, ended, started, stopped_when
from mlflow_servers import PASSWORD, MlflowServer, serving
from tiny_coco import make_tiny

from sambench.harness.tracking.cells import bare

pytestmark = pytest.mark.slow
pytest.importorskip("mlflow.server", reason="the server is in the whole mlflow alone")

TOKEN = "token-7Yx31"
GATED = """
import os, time
from pathlib import Path
from sambench.adapters.families.baselines import Box

PARENT = os.getppid()  # without which it waits for nothing

class Gated(Box):
    def embed(self, prepared):
        done = list(Path(__file__).parent.glob("*/records/gated-*/*.parquet"))
        while len(done) >= 2 and not Path(__file__).with_name("open").exists() and os.getppid() == PARENT:
            time.sleep(0.02)
        return super().embed(prepared)
"""
TRAINING = {
    "model": "efficientvit_sam_nano",
    "weights": "random",
    "tied": True,
    "data": {"format": "shapes", "seed": 555, "images_drawn": 4},
    "validation": {"data": {"format": "shapes", "seed": 556, "images_drawn": 2}, "every": 2, "least": 101.0},
    "recipe": {"masks_per_image": 2, "mask_loss": "bce"},
    "optimiser": {"lr": 1e-3},
    "steps": 3,
    "batch": 1,
    "device_batch": 1,
    "workers": 0,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracked")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[MlflowServer]:
    """A server, whose address and password the environment has, and a token for something else."""
    with serving(root / "server") as one, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", one.address)
        patch.setenv("FOO_TOKEN", TOKEN)
        for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
            patch.delenv(name, raising=False)
        yield one


@pytest.fixture(scope="module")
def said() -> list[Done]:
    """What all commands said."""
    return []


@pytest.fixture(autouse=True)
def no_secret(server: MlflowServer, root: Path, said: list[Done]) -> Iterator[None]:
    """After each test, neither password nor token is in what commands have said or left anywhere."""
    del server  # whose database is among the files, and who is still there
    yield
    files = [file for file in root.rglob("*") if file.is_file()]
    theirs = [file for file in files if f"data-{TOKEN}" not in str(file) and file.name != "server.log"]
    assert {"mlflow.db"} < {file.name for file in theirs}
    for secret in (PASSWORD, TOKEN):
        assert [str(file) for file in theirs if secret.encode() in file.read_bytes()] == []
        assert [done for done in said if secret in done.out + done.err] == []


@pytest.fixture(scope="module")
def command(root: Path) -> Callable[[str], list[str]]:
    """Makes the command of a folder, on a model that soon waits until all may go on."""
    tiny = make_tiny(root / f"data-{TOKEN}", images=4)

    def made(name: str) -> list[str]:
        (root / name).mkdir()
        (root / name / "gated.py").write_text(GATED)
        model = ["--adapter", f"gated={root}/{name}/gated.py:Gated", "--suites", "gt_box,click"]
        return ["run", *model, *tiny.flags, "--track", "--out", str(root / name / f"{name}-out")]

    return made


def at_work(server: MlflowServer, out: Path) -> bool:
    """Whether a command's run is there, and the model has done what it does before it waits."""
    time.sleep(0.1)
    shards = list(out.glob("records/gated-*/*.parquet"))
    return len(shards) >= 2 and [run.info.status for run in server.runs(out.name)][:1] == ["RUNNING"]


def test_a_run_that_is_killed_and_run_again_is_one_run_with_all_that_is_in_its_folder(
    server: MlflowServer, root: Path, command: Callable[[str], list[str]], said: list[Done], tmp_path: Path
) -> None:
    asked, out = command("killed"), root / "killed" / "killed-out"
    killed = stopped_when(lambda: at_work(server, out), signal.SIGKILL, *asked, shard=1)
    assert killed.code == -signal.SIGKILL
    before = server.runs(out.name)
    (
        out.parent / "open"
    ).touch()  # and its sender, which is not dead, sends the rest beside the next command's
    done = ended(started(*asked, shard=1))
    said += [killed, done]
    assert done.code == 0, done.err
    assert f"mlflow: http://127.0.0.1:{server.port}, experiment sambench" in done.err

    parent, *children = server.runs(out.name)
    assert {run.info.run_id for run in before} <= {run.info.run_id for run in (parent, *children)}
    assert before[0].info.run_id == parent.info.run_id
    assert [run.info.status for run in (parent, *children)] == ["FINISHED"] * 3
    assert parent.data.tags["command"] == bare(cells_of(out)[0]["provenance"]["command"])
    assert parent.data.metrics == {
        "cells_done": 2,
        "cells_failed": 0,
        "cells_invalid": 0,
        "cells_not_applicable": 0,
    }
    counts = server.client.get_metric_history(parent.info.run_id, "cells_done")
    assert sorted(one.value for one in counts) in (
        [2],
        [0, 2],
    )  # when it was killed, if that was sent, and now
    for name in parent.data.metrics.keys() - {"cells_done"}:
        assert len(server.client.get_metric_history(parent.info.run_id, name)) == 1
    places = set(server.files(parent))
    assert places >= {"results.json", "report.html", "report.md", "tables/gt_box-tiny.csv"}
    for place in ("results.json", "report.html", "report.md"):
        assert downloaded(server, parent, place, tmp_path) == (out / place).read_bytes()
    for cell in cells_of(out):
        (run,) = [run for run in children if run.data.params["suite"] == cell["suite"]]
        assert_is_cell(server, run, cell, out, tmp_path)


def assert_is_cell(server: MlflowServer, run: Any, cell: dict[str, Any], out: Path, target: Path) -> None:
    """A child has the numbers, parameters, tags and files of a cell."""
    numbers = {name: value for name, value in cell["metrics"].items() if value is not None}
    numbers |= {f"{name}.low": low for name, (low, _) in cell["intervals"].items()}
    numbers |= {f"{name}.high": high for name, (_, high) in cell["intervals"].items()}
    numbers |= {f"count.{name}": count for name, count in cell["counts"].items()}
    assert run.data.metrics.items() >= numbers.items()
    for name in run.data.metrics:
        assert len(server.client.get_metric_history(run.info.run_id, name)) == 1
    assert run.data.params["protocol.preset"] == cell["protocol"]["preset"]
    assert run.data.tags["annotations.sha256"] == cell["provenance"]["annotations"]["sha256"]
    files = {
        f"records/{file.name}": file for file in (out / cell["records"]).iterdir() if file.name[0] != "."
    }
    assert set(server.files(run)) == {*files, "cell.json"}
    for place, file in files.items():
        assert downloaded(server, run, place, target) == file.read_bytes()
    assert json.loads(downloaded(server, run, "cell.json", target)) == cell


def downloaded(server: MlflowServer, run: Any, place: str, target: Path) -> bytes:
    """An artifact through MLflow's client."""
    (target / run.info.run_id).mkdir(exist_ok=True)
    return Path(
        server.client.download_artifacts(run.info.run_id, place, str(target / run.info.run_id))
    ).read_bytes()


def test_curves_are_in_a_training_and_its_model_in_the_registry_once_it_passed(
    server: MlflowServer, root: Path, said: list[Done]
) -> None:
    out, file = root / "training-out", root / "t.yaml"
    file.write_text(yaml.safe_dump(TRAINING))
    asked = ["train", "finetune", file, "--out", out, "--track"]
    said.append(done := call(*asked))
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    (run,) = server.runs("training-out")
    wanted: dict[str, list[tuple[int, float, int]]] = {}
    for line in lines:
        names = {k: v for k, v in line.items() if k not in ("step", "time", "validation")}
        names |= {f"validation/{name}": value for name, value in line.get("validation", {}).items()}
        for name, value in names.items():
            wanted.setdefault(name, []).append((line["step"], float(value), round(1000 * line["time"])))
    assert set(run.data.metrics) == set(wanted)
    for name, points in wanted.items():
        history = server.client.get_metric_history(run.info.run_id, name)
        assert sorted((one.step, one.value, one.timestamp) for one in history) == points
    assert [step for step, _, _ in wanted["validation/box"]] == [2, 3]
    assert run.info.status == "FINISHED"
    assert list(server.client.search_model_versions()) == []  # no mIoU reaches 101

    TRAINING["validation"]["least"] = 0.0  # type: ignore[index]
    file.write_text(yaml.safe_dump(TRAINING))
    said += [call(*asked), call("push", out)]
    assert [one.code for one in said[-2:]] == [0, 0], said[-2:]
    (version,) = server.client.search_model_versions()
    assert version.name == "efficientvit_sam_nano"
    assert version.tags["sha256"] == hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    assert version.run_id == run.info.run_id
    assert [one.info.run_id for one in server.runs("training-out")] == [run.info.run_id]
    assert "weights/model.safetensors" in set(server.files(run, "weights"))


def test_a_server_that_dies_in_the_middle_leaves_a_run_that_push_completes(
    server: MlflowServer, root: Path, command: Callable[[str], list[str]], said: list[Done]
) -> None:
    asked, out = command("lonely"), root / "lonely" / "lonely-out"
    process = started(*asked, shard=1)
    try:
        deadline = time.monotonic() + PATIENCE
        while not at_work(server, out):
            assert process.poll() is None, ended(process)
            assert time.monotonic() < deadline, "nothing happened"
            time.sleep(0.05)
        server.stop()
        (out.parent / "open").touch()
        done = ended(process)
    finally:
        process.kill()
    assert done.code == 0, done.err
    assert (out / "report.html").exists()
    assert {cell["status"] for cell in cells_of(out)} == {"done"}
    assert f"To send the rest: sambench push {out} --track mlflow" in done.err
    assert done.err.count("The work goes on") <= 1

    server.start()
    begun = server.runs(out.name)[0]
    assert begun.info.status == "RUNNING"
    said += [done, call("push", out)]
    assert said[-1].code == 0, said[-1].err
    parent, *children = server.runs(out.name)
    assert parent.info.run_id == begun.info.run_id
    assert [run.info.status for run in (parent, *children)] == ["FINISHED"] * 3
    content = server.content()
    said.append(again := call("push", out))
    assert again.code == 0, again.err
    assert "nothing new" in again.out
    assert server.content() == content
