"""The command with a real MLflow server: what arrives, what a kill does to it, and what is nowhere."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import Done, call, cells_of, ended, started, stopped_when
from mlflow_servers import PASSWORD, MlflowServer, serving
from tiny_coco import make_tiny

pytestmark = pytest.mark.slow
mlflow = pytest.importorskip("mlflow.server", reason="the whole mlflow has a server").__import__("mlflow")

TOKEN = "token-7Yx31"
GATED = """
import time
from pathlib import Path
from sambench.adapters.families.baselines import Box

class Gated(Box):
    seen = 0

    def embed(self, prepared):
        Gated.seen += 1
        while Gated.seen > 3 and not Path(__file__).with_name("open").exists():
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
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A server, whose address and password the environment has, and a token for something else."""
    with serving(tmp_path_factory.mktemp("mlflow") / "data") as one, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", one.address)
        patch.setenv("FOO_TOKEN", TOKEN)
        for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
            patch.delenv(name, raising=False)
        yield one


@pytest.fixture(scope="module")
def said() -> list[Done]:
    """What all commands said."""
    return []


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], list[str]]:
    """The command on a model that waits before its fourth image until there is a file ``open``."""
    root = tmp_path_factory.mktemp(f"data-{TOKEN}")
    tiny = make_tiny(root, images=5)

    def command(folder: Path) -> list[str]:
        (folder / "gated.py").write_text(GATED)
        model = ["--adapter", f"gated={folder}/gated.py:Gated", "--models", "box"]
        return ["run", *model, "--suites", "gt_box", *tiny.flags, "--track", "--out", str(folder / "out")]

    return command


def is_at_work(server: MlflowServer, folder: Path) -> bool:
    """Whether a command's run is there, and the gated model has done what it does before it waits."""
    shards = list((folder / "out" / "records").glob("gated*/*.parquet"))
    return len(shards) == 3 and any(run.info.status == "RUNNING" for run in server.runs(named(folder)))


def named(folder: Path) -> str:
    return "out"


def downloaded(server: MlflowServer, run: Any, place: str, target: Path) -> bytes:
    """An artifact through MLflow's client."""
    path = server.client.download_artifacts(run.info.run_id, place, str(target))
    return Path(path).read_bytes()
