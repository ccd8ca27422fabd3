"""A real MLflow server on this machine, and all that its client gives back."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE = 120.0  # seconds for it to be up; alone on a machine it takes 7
PASSWORD = "hunter2-Zq9"
QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class MlflowServer:
    """A server with a database and artifacts in a folder, which may be stopped and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """As a user who needs a password has it."""
        return f"http://me:{PASSWORD}@127.0.0.1:{self.port}"

    @property
    def client(self) -> MlflowClient:
        """MLflow's own client."""
        import mlflow

        return mlflow.MlflowClient(f"http://127.0.0.1:{self.port}")

    def start(self) -> None:
        """Start it and wait until it answers."""
        stores = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        stores += ["--artifacts-destination", str(self.folder / "artifacts")]
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        self.folder.mkdir(exist_ok=True)
        with (self.folder.with_name("server.log")).open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *stores, *place],
                env=os.environ | QUIET,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            assert self.process.poll() is None, "it ended"
            assert time.monotonic() < deadline, "it does not answer"
            with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                return
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill it and all that it started."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def runs(self, folder: str) -> list[Any]:
        """The runs of a folder of results or a training, parents first."""
        found = self.client.get_experiment_by_name("sambench")
        runs = list(self.client.search_runs([found.experiment_id])) if found else []
        parents = [run for run in runs if run.data.tags.get("folder") == folder or run.info.run_name == folder]
        ids = {run.info.run_id for run in parents}
        return parents + [run for run in runs if run.data.tags.get("mlflow.parentRunId") in ids]

    def files(self, run: Any, place: str | None = None) -> Iterator[str]:
        """The paths of a run's artifacts."""
        for one in self.client.list_artifacts(run.info.run_id, place):
            if one.is_dir:
                yield from self.files(run, one.path)
            else:
                yield one.path

    def content(self) -> dict[str, Any]:
        """All that is there: runs with all that was ever logged, artifacts on the disk, registered models."""
        found = self.client.get_experiment_by_name("sambench")
        runs = {}
        for run in self.client.search_runs([found.experiment_id]):
            history = {name: self.client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
            numbers = {name: [(m.step, m.value, m.timestamp) for m in points] for name, points in history.items()}
            runs[run.info.run_id] = (dict(run.info), run.data.params, run.data.tags, numbers)
        disk = self.folder / "artifacts"
        files = {str(file.relative_to(disk)): file.read_bytes() for file in disk.rglob("*") if file.is_file()}
        versions = [dict(version) for version in self.client.search_model_versions()]
        return {"runs": runs, "files": files, "versions": versions}


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[MlflowServer]:
    """Have a server, while the block lasts."""
    server = MlflowServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
