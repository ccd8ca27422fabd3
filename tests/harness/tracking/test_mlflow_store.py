"""What MLflow's own client gives back of what was sent; on its file store, which needs no server."""

from __future__ import annotations

import hashlib
import io
import re
import ssl
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError

import pytest
from folders import STEPS, cell, step, write_cells, write_training
from memory_tracker import silent

from sambench.evsam.errors import SambenchError
from sambench.harness.tracking import mlflow as module
from sambench.harness.tracking.content import Entry, Model, Point
from sambench.harness.tracking.mlflow import MlflowTracker, cut, named, plain_address
from sambench.harness.tracking.push import UnreachableError, push

if TYPE_CHECKING:
    from mlflow import MlflowClient

mlflow = pytest.importorskip("mlflow")

NAMES = (
    "AP@[.5:.95]",
    "AP/50",
    "miou (1, 3)",
    "größe",
    "..",
    "/a/../b",
    "a//b",
    "",
    ".",
    "x" * 300,
    "a: b.c-d_e",
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """An empty store, which the environment names; the client asks it back."""
    for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    return mlflow.MlflowClient(f"file:{tmp_path}/mlruns")


@pytest.fixture
def tracker(store: MlflowClient, tmp_path: Path) -> MlflowTracker:
    found = MlflowTracker(tmp_path)
    found.reach()
    return found


@pytest.fixture
def new(tracker: MlflowTracker) -> Callable[[], str]:
    """Makes a run."""
    return lambda: tracker.create(Entry("key", "a run"), "0123", 1_700_000_000.1234, None)


def runs_of(store: MlflowClient, experiment: str = "sambench") -> list[Any]:
    """All runs of an experiment, the first one first."""
    found = store.get_experiment_by_name(experiment)
    runs = list(store.search_runs([found.experiment_id])) if found else []
    return sorted(runs, key=lambda run: run.info.start_time)


def test_a_run_and_its_cells_are_a_parent_and_children(
    store: MlflowClient, tracker: MlflowTracker, tmp_path: Path
) -> None:
    odd = {"AP@[.5:.95]": 12.5, "AP/50": 25.0}
    out = write_cells(
        tmp_path / "run", cell(metrics=odd, intervals={"AP@[.5:.95]": [12.0, 13.0]}), cell(model="b")
    )
    assert push(out, tracker, silent) > 0
    assert push(out, MlflowTracker(out), silent) == 0
    runs = runs_of(store)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert {run.data.tags.get("mlflow.parentRunId") for run in children} == {parent.info.run_id}
    assert len(children) == 2
    assert parent.info.run_name == "run"
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    (first,) = [run for run in children if run.data.params["model"] == "efficientvit_sam_l0"]
    wanted = {"AP_[.5:.95]": 12.5, "AP/50": 25.0, "AP_[.5:.95].low": 12.0, "AP_[.5:.95].high": 13.0}
    wanted = {name.replace("[", "_").replace("]", "_"): value for name, value in wanted.items()}
    assert first.data.metrics.items() >= wanted.items()
    assert first.data.tags["weights.sha256"] == "ab" * 32
    assert first.data.tags["mlflow.source.git.commit"] == "deadbeefcafe0123"
    assert first.data.params["protocol.preset"] == "strict"
    files = mlflow.artifacts.download_artifacts(
        run_id=parent.info.run_id, dst_path=str(tmp_path / "back"), tracking_uri=store.tracking_uri
    )
    assert (Path(files) / "results.json").read_bytes() == (out / "results.json").read_bytes()


def test_a_failed_command_and_one_that_was_stopped_have_their_status(
    store: MlflowClient, tmp_path: Path
) -> None:
    failed = write_cells(tmp_path / "failed", cell(status="failed", metrics={}, intervals={}, reason="died"))
    stopped = write_cells(tmp_path / "stopped", cell(status="unfinished"))
    for out in (failed, stopped):
        push(out, MlflowTracker(out), silent)
    found = [(run.info.run_name, run.info.status) for run in runs_of(store)]
    assert sorted(found)[1:] == [("failed", "FAILED"), ("stopped", "KILLED")]
    assert sorted(found)[0][1] == "FAILED"
    push(stopped, MlflowTracker(stopped), silent, cell()["provenance"]["command"])
    assert [run.info.status for run in runs_of(store) if run.info.run_name == "stopped"] == ["RUNNING"]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_taken_for_numbers_parameters_and_tags(
    store: MlflowClient, tracker: MlflowTracker, new: Callable[[], str], name: str
) -> None:
    run = new()
    tracker.log(run, [Point(name, 1.5, 0, 1_700_000_000.0)])
    tracker.describe(run, {name: "asked"})
    tracker.tag(run, {name: "said"})
    data = store.get_run(run).data
    assert (data.metrics, data.params) == ({named(name): 1.5}, {named(name): "asked"})
    assert data.tags[named(name)] == "said"


def test_names_that_mlflow_takes_stay_and_others_stay_apart() -> None:
    for name in ("miou", "AP/50", "count.small", "a: b.c-d_e", "größe", "validation/click_1"):
        assert named(name) == name
    assert named("AP@[.5:.95]") == "AP__.5:.95_"
    assert named("x" * 300) != named("x" * 299 + "y")
    assert len(named("x" * 300)) == 250


def test_long_values_are_cut_to_what_is_taken_with_their_checksum_behind(
    store: MlflowClient, tracker: MlflowTracker, new: Callable[[], str]
) -> None:
    run, long = new(), "ä" * 9_999 + "x"
    many = {f"name{n:03}": "😀" * 3_000 for n in range(150)} | {"long": long, "none": "", "lines": "a\nb"}
    tracker.describe(run, many)
    tracker.tag(run, many)
    data = store.get_run(run).data
    for found, most in ((data.params, 6000), (data.tags, 8000)):
        assert found.items() >= {"name000": "😀" * 3_000, "name149": "😀" * 3_000, "lines": "a\nb"}.items()
        assert len(found["long"]) == most
        assert found["long"].startswith("ä" * 100)
        assert found["long"].endswith(hashlib.sha256(long.encode()).hexdigest())
    tracker.describe(run, many)  # again, for the answer may have been lost
    assert cut("short", 5) == "short"


def test_a_call_has_no_more_than_mlflow_takes(
    tracker: MlflowTracker, new: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.entities import Param
    from mlflow.protos.service_pb2 import LogBatch
    from mlflow.utils.proto_json_utils import message_to_json

    sizes = []

    def log_batch(run: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        content = [Param(one.key, one.value).to_proto() for one in (*params, *tags)]
        sizes.append((len(content), len(message_to_json(LogBatch(run_id=run, params=content)))))

    run = new()
    monkeypatch.setattr(tracker._client, "log_batch", log_batch)
    tracker.describe(run, {f"name{n}": "😀" * 6_000 for n in range(120)})
    tracker.tag(run, {f"name{n}": "x" for n in range(250)})
    assert sum(count for count, _ in sizes) == 370
    assert max(count for count, _ in sizes) <= 100
    assert max(size for _, size in sizes) <= 1_000_000


def test_curves_are_back_by_step_and_time(store: MlflowClient, tmp_path: Path) -> None:
    lines = [step(n) for n in range(1, 626)]
    out = write_training(tmp_path / "training", lines, whole=False)
    push(out, MlflowTracker(out), silent)
    (run,) = runs_of(store)
    for name in ("loss", "lr", "epoch", "bad"):
        history = store.get_metric_history(run.info.run_id, name)
        found = [(one.step, one.value, one.timestamp) for one in sorted(history, key=lambda one: one.step)]
        assert found == [(n["step"], float(n[name]), 1000 * n["step"] + 1_700_000_001_125) for n in lines]
    assert run.info.status == "KILLED"
    assert run.data.params["optimiser.frozen"] == "image_encoder, neck"
    assert push(out, MlflowTracker(out), silent) == 0


def test_a_model_is_in_the_registry_once_by_its_checksum(
    store: MlflowClient, tracker: MlflowTracker, new: Callable[[], str], tmp_path: Path
) -> None:
    out = write_training(tmp_path / "training", STEPS)
    push(out, tracker, silent)
    digest = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    (version,) = store.search_model_versions("name = 'efficientvit_sam_nano'")
    (run,) = runs_of(store)
    assert (version.version, version.tags["sha256"]) in (("1", digest), (1, digest))
    assert version.tags["validation.box"] == "70.25"
    assert version.run_id == run.info.run_id
    assert version.source.endswith("/weights")
    back = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="weights/model.safetensors", tracking_uri=store.tracking_uri
    )
    assert hashlib.sha256(Path(back).read_bytes()).hexdigest() == digest
    again = Model("efficientvit_sam_nano", digest, "weights/model.safetensors", version.tags)
    other = Model("efficientvit_sam_nano", "f" * 64, "weights/model.safetensors", {"sha256": "f" * 64})
    odd = Model("my/model:2", digest, "weights/model.safetensors", {"sha256": digest})
    answers = [tracker.register(new(), model) for model in (again, other, again, odd)]
    assert answers == ["1", "2", "1", "1"]
    assert len(store.search_model_versions("name = 'my-model-2'")) == 1


def test_the_same_identity_finds_its_run_and_no_other(
    store: MlflowClient, tracker: MlflowTracker, new: Callable[[], str]
) -> None:
    assert tracker.find("0123") is None
    run = new()
    other = tracker.create(Entry("other", "x" * 400), "4567", 1_700_000_001.0, run)
    assert (tracker.find("0123"), tracker.find("4567"), tracker.find("01")) == (run, other, None)
    assert store.get_run(run).info.start_time == 1_700_000_000_123
    assert len(store.get_run(other).info.run_name) == 250
    assert tracker.exists(run)
    store.delete_run(run)
    assert not tracker.exists(run)
    assert tracker.find("0123") is None
    assert not tracker.exists("0" * 32)


def test_the_experiment_is_the_environments(
    store: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = write_cells(tmp_path / "run", cell())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "größer / others")
    tracker = MlflowTracker(out)
    push(out, tracker, silent)
    assert tracker.where.endswith("mlruns, experiment größer / others")
    assert len(runs_of(store, "größer / others")) == 2
    assert runs_of(store) == []
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", store.create_experiment("by its number"))
    push(out, MlflowTracker(out), silent)
    assert len(runs_of(store, "by its number")) == 2


def test_an_experiment_that_was_deleted_is_said_and_what_was_sent_comes_back_elsewhere(
    store: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = write_cells(tmp_path / "run", cell())
    push(out, MlflowTracker(out), silent)
    number = store.get_experiment_by_name("sambench").experiment_id
    store.delete_experiment(number)
    with pytest.raises(
        SambenchError, match=f"sambench: was deleted there.*EXPERIMENT_NAME.*--experiment-id {number}"
    ):
        push(out, MlflowTracker(out), silent)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    push(out, MlflowTracker(out), silent)
    assert len(runs_of(store, "another")) == 2
    store.restore_experiment(number)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    assert push(out, MlflowTracker(out), silent) == 0


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("http://me:pass@host:5000/x?token=y#z", "http://host:5000/x"),
        ("http://me:p@ss#w?rd@host:5000", "http://host:5000"),
        ("postgresql+psycopg2://me:pass@db/mlflow", "postgresql+psycopg2://db/mlflow"),
        ("sqlite:////data/a@b/mlflow.db", "sqlite:////data/a@b/mlflow.db"),
        ("file:/data/mlruns", "file:/data/mlruns"),
        ("databricks", "databricks"),
    ],
)
def test_a_place_is_called_without_its_secrets(address: str, plain: str) -> None:
    assert plain_address(address) == plain


def test_an_address_that_mlflow_does_not_know_is_said_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "gopher://me:hunter2@host/x")
    with pytest.raises((SambenchError, UnreachableError)) as caught:
        push(write_cells(tmp_path / "run", cell()), MlflowTracker(tmp_path), silent)
    assert "gopher://" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "silence"),
    [
        (None, ""),
        (HTTPError("http://host", 401, "Unauthorized", Message(), io.BytesIO()), ""),
        (HTTPError("http://host", 404, "Not Found", Message(), io.BytesIO()), ""),
        (URLError(ssl.SSLCertVerificationError("self-signed certificate")), ""),
        (URLError(ConnectionRefusedError(111, "Connection refused")), "does not answer.*refused"),
        (TimeoutError("timed out"), "does not answer.*timed out"),
    ],
)
def test_a_server_is_there_if_it_answers_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None, silence: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hunter2@host:5000/proxy/")
    asked = []

    def urlopen(address: str, timeout: float) -> io.BytesIO:
        asked.append((address, timeout))
        if error is not None:
            raise error
        return io.BytesIO()

    monkeypatch.setattr(module, "urlopen", urlopen)
    tracker = MlflowTracker(tmp_path)
    if silence:
        with pytest.raises(OSError, match=silence):
            tracker._hear()
    else:
        tracker._hear()
    assert asked == [("https://host:5000/proxy/health", module.SOON)]
    assert re.fullmatch(r"https://host:5000/proxy/, experiment \S+", tracker.where)
