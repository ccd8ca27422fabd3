"""The wheel: it has all that a run needs, and says truly what it is and what it asks for."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tomllib
from email.message import Message
from pathlib import Path

import pytest
from fresh import python

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("adapters", "evsam", "harness", "reports", "suites")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
VERSION = "7.8.9.dev1"


def sources(folder: Path) -> Path:
    """Copy what a wheel is built from: an archive without a repository."""
    for name in (*FOLDERS, "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources and installed into a folder of its own.

    Its version is told as a container's build tells it, which has no repository.
    """
    copy = sources(tmp_path_factory.mktemp("wheel"))
    told = os.environ | {"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_SAMBENCH": VERSION}
    build = [*PIP, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "out", "."]
    subprocess.run(build, cwd=copy, env=told, check=True, capture_output=True)
    (wheel,) = (copy / "out").glob("sambench-*.whl")
    install = [*PIP, "install", "-q", "--no-deps", "--no-index", "--target", str(copy / "site"), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return copy / "site"


@pytest.fixture(scope="module")
def says(installed: Path) -> Message:
    """The metadata of what is installed."""
    return email.message_from_string((installed / f"sambench-{VERSION}.dist-info" / "METADATA").read_text())


def files(root: Path) -> set[Path]:
    """All files of the packages below a folder, compiled ones aside."""
    found = {file for top in FOLDERS for file in (root / top).rglob("*") if file.is_file()}
    return {file.relative_to(root) for file in found if file.suffix != ".pyc"}


@pytest.mark.slow
def test_the_wheel_has_the_namespace_and_nothing_else(installed: Path) -> None:
    tops = sorted(entry.name for entry in installed.iterdir())
    assert tops == ["bin", "sambench", f"sambench-{VERSION}.dist-info"]
    assert sorted(entry.name for entry in (installed / "sambench").iterdir()) == sorted(FOLDERS)
    assert files(installed / "sambench") == files(ROOT)


@pytest.mark.slow
def test_its_metadata_has_the_extras_and_no_upper_bound_of_python(says: Message) -> None:
    assert says["Requires-Python"] == ">=3.11"
    extras = set(says.get_all("Provides-Extra") or [])
    assert extras == set(PROJECT["optional-dependencies"])
    assert {"report", "hf", "yolo", "onnx", "openvino", "tensorrt", "groundingdino", "gpu"} <= extras
    assert {"mlflow", "tensorboard", "docs", "all"} <= extras
    core = [need for need in says.get_all("Requires-Dist") or [] if "extra ==" not in need]
    assert len(core) == len(PROJECT["dependencies"])
    assert not any(need.startswith(("torchvision", "transformers", "matplotlib", "mlflow")) for need in core)


@pytest.mark.slow
def test_what_is_installed_runs_from_any_folder_and_brings_its_data_sets_and_pages(
    installed: Path, tmp_path: Path
) -> None:
    where = "import sambench.harness.plan as plan; print(plan.__file__)"
    assert python("-c", where, cwd=tmp_path, path=installed).startswith(str(installed))

    def sambench(*arguments: str) -> str:
        return python("-P", "-m", "sambench.harness", *arguments, cwd=tmp_path, path=installed)

    assert sambench("--version").splitlines() == [VERSION]
    assert "throughput" in sambench("--help")
    listed = sambench("data", "list")
    assert all(name in listed for name in ("coco", "lvis", "shapes"))
    sambench("data", "make", "shapes", "--out", "data/shapes", "--images", "3")
    run = ("run", "--models", "box", "--suites", "gt_box", "--dataset", "shapes", "--out", "out")
    assert "out/report.html" in sambench(*run)
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_sources_that_know_neither_tag_nor_commit_can_be_built_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    assert python("-m", "setuptools_scm", cwd=tmp_path, path=tmp_path).strip() == "0.dev0"


def test_all_is_made_of_extras_that_there_are() -> None:
    extras = PROJECT["optional-dependencies"]
    (all_,) = extras["all"]
    assert set(all_.removeprefix("sambench[").removesuffix("]").split(",")) < set(extras)
