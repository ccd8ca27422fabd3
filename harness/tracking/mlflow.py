"""MLflow: a command is a parent run, a cell a child, a training a run; trained models go to the registry."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

from sambench.evsam.errors import SambenchError
from sambench.harness.secrets import redacted
from sambench.harness.tracking.content import Entry, Model, Point
from sambench.harness.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Param, RunTag

    T = TypeVar("T", Param, RunTag)

EXPERIMENT = "sambench"
"""Where ``MLFLOW_EXPERIMENT_NAME`` and ``MLFLOW_EXPERIMENT_ID`` say nothing."""
ENVIRONMENT = {
    # With MLflow's own defaults a call to a server that is not there hangs for over a minute.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # with the password in it
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Set where the user has not set it."""

# What MLflow takes at most (mlflow.utils.validation).
MOST_ENTRIES, LONGEST_PARAM, LONGEST_TAG, LONGEST_NAME = 100, 6000, 8000, 250
MOST_LETTERS = 80_000
"""Of a call's texts: a call has at most a million bytes, and a letter up to twelve of them."""
STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
SOON = 5.0
"""Seconds in which a server says anything at all."""
IDENTITY = "sambench.id"
"""The tag by which a run is found again."""


class MlflowTracker(Tracker):
    """Where ``MLFLOW_TRACKING_URI`` points, or MLflow's own default.

    Args:
        out: the folder whose content is sent, of which nothing is needed here.

    Raises:
        SambenchError: the store at that address cannot be used by the MLflow that is installed.
    """

    name = "mlflow"

    def __init__(self, out: Path) -> None:
        del out
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import mlflow
        from mlflow.exceptions import MlflowException

        self._refusal = MlflowException
        self._address = address = str(mlflow.get_tracking_uri())
        self._named = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        self._experiment = os.environ.get("MLFLOW_EXPERIMENT_ID")
        self.where = f"{plain_address(address)}, experiment {self._experiment or self._named}"
        try:
            self._client = mlflow.MlflowClient(address)
        except (ImportError, MlflowException) as error:
            reason = redacted(str(error))
            raise SambenchError(
                f"MLFLOW_TRACKING_URI: {plain_address(address)} cannot be used ({reason}). Give a server's "
                "address, http://HOST:5000; a database needs the whole package: pip install mlflow."
            ) from None

    def reach(self) -> None:
        """Ask a server for anything, with less patience than MLflow has, and for the experiment.

        Raises:
            OSError: it does not answer.
            SambenchError: the experiment was deleted.
        """
        self._hear()
        self._experiment = self._experiment or self._find_experiment()

    def _hear(self) -> None:
        if self._address.startswith(("http://", "https://")):
            try:
                urlopen(f"{plain_address(self._address).rstrip('/')}/health", timeout=SOON).close()
            except HTTPError:
                pass  # an answer as well
            except OSError as error:
                reason = getattr(error, "reason", error)
                if not isinstance(reason, ssl.SSLError):  # which is MLflow's to judge: it has settings for it
                    raise OSError(f"does not answer ({reason})") from None

    def _find_experiment(self) -> str:
        """Return the experiment's identity; it is made where it is missing."""
        found = self._client.get_experiment_by_name(self._named)
        if found and found.lifecycle_stage == "deleted":
            raise SambenchError(
                f"{self.where}: was deleted there. Choose another by MLFLOW_EXPERIMENT_NAME, or restore it: "
                f"mlflow experiments restore --experiment-id {found.experiment_id}"
            )
        return str(found.experiment_id) if found else self._new_experiment()

    @property
    def experiment(self) -> str:
        """The experiment's identity, after `reach`."""
        assert self._experiment is not None
        return self._experiment

    def _new_experiment(self) -> str:
        try:
            return str(self._client.create_experiment(self._named))
        except self._refusal:  # another command may have made it meanwhile
            found = self._client.get_experiment_by_name(self._named)
            if found is None:
                raise
            return str(found.experiment_id)

    def find(self, identity: str) -> str | None:
        found = self._client.search_runs([self.experiment], f"tags.`{IDENTITY}` = '{identity}'")
        return str(found[0].info.run_id) if found else None

    def exists(self, run: str) -> bool:
        try:
            return bool(self._client.get_run(run).info.lifecycle_stage == "active")
        except self._refusal as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def create(self, entry: Entry, identity: str, began: float, parent: str | None) -> str:
        tags = {IDENTITY: identity, "mlflow.source.name": "sambench", "mlflow.source.type": "LOCAL"}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        if commit := entry.tags.get("git.commit"):
            tags["mlflow.source.git.commit"] = commit
        name = cut(entry.name, LONGEST_NAME)
        run = self._client.create_run(self.experiment, round(began * 1000), tags, name)
        return str(run.info.run_id)

    def describe(self, run: str, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        content = [Param(named(k), cut(v, LONGEST_PARAM)) for k, v in params.items()]
        for part in _parts(content):
            self._client.log_batch(run, params=part)

    def log(self, run: str, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        content = [Metric(named(p.name), p.value, round((p.time or 0) * 1000), p.step) for p in points]
        self._client.log_batch(run, metrics=content)

    def tag(self, run: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        content = [RunTag(named(k), cut(v, LONGEST_TAG)) for k, v in tags.items()]
        for part in _parts(content):
            self._client.log_batch(run, tags=part)

    def upload(self, run: str, source: Path, place: str) -> None:
        folder, _, _ = place.rpartition("/")
        self._client.log_artifact(run, str(source), folder or None)

    def end(self, run: str, status: str, ended: float) -> None:
        if status == "running":
            self._client.update_run(run, STATUS[status])
        else:
            self._client.set_terminated(run, STATUS[status], int(ended * 1000))

    def register(self, run: str, model: Model) -> str:
        name = re.sub(r"[/:]", "-", model.name)
        try:
            self._client.create_registered_model(name)
        except self._refusal as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        for version in self._client.search_model_versions(f"name = '{name}'"):
            if version.tags.get("sha256") == model.sha256:
                return str(version.version)
        tags = {named(k): v for k, v in model.tags.items()}
        source = f"runs:/{run}/{model.place.rpartition('/')[0]}"
        made: Any = self._client.create_model_version(name, source, run, tags, await_creation_for=0)
        return str(made.version)


def plain_address(address: str) -> str:
    """Return an address without user, password, query and fragment."""
    address = re.sub(r"(?<=://)[^/]*@", "", address)
    return re.split(r"[?#]", address)[0]


def named(name: str) -> str:
    """Return a name that MLflow takes: ``AP@50`` is ``AP_50``."""
    name = re.sub(r"[^\w\-. :/]", "_", name)
    if posixpath.normpath(name) != name or name.startswith((".", "/")):  # no path that leads elsewhere
        name = re.sub(r"/|^\.+", "_", name) or "_"
    return cut(name, LONGEST_NAME)


def cut(text: str, length: int) -> str:
    """Return a text that is not longer than MLflow takes; of one that was, its checksum is at the end."""
    if len(text) <= length:
        return text
    mark = f"... sha256 {hashlib.sha256(text.encode()).hexdigest()}"
    return text[: length - len(mark)] + mark


def _parts(content: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut parameters or tags into what a call may have."""
    part: list[T] = []
    letters = 0
    for one in content:
        letters += len(one.key) + len(one.value)
        if part and (len(part) == MOST_ENTRIES or letters > MOST_LETTERS):
            yield part
            part, letters = [], len(one.key) + len(one.value)
        part.append(one)
    if part:
        yield part
