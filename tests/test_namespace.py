"""Names that belong to us: five folders are packages of the namespace ``sambench``, installed or not."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest
from fresh import python

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("evsam", "adapters", "suites", "reports", "harness")
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]

FAILS = "raise ImportError('this is not the package of sambench')\n"


def test_the_build_lists_every_package() -> None:
    folders = {
        f"sambench.{file.parent.relative_to(ROOT).as_posix().replace('/', '.')}"
        for top in FOLDERS
        for file in (ROOT / top).rglob("__init__.py")
    }
    assert set(BUILD["packages"]) == folders
    assert BUILD["package-dir"] == {f"sambench.{top}": top for top in FOLDERS}
    assert not (ROOT / "sambench").exists()


def test_the_build_ships_every_file_that_is_no_code() -> None:
    shipped = {
        file
        for package, patterns in BUILD["package-data"].items()
        for pattern in patterns
        for file in (ROOT / package.removeprefix("sambench.").replace(".", "/")).glob(pattern)
    }
    others = {
        file
        for top in FOLDERS
        for file in (ROOT / top).rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    assert others == shipped
    assert len(others) > 5


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with the names of ours, and a distribution called ``adapters``, which there is."""
    folder = tmp_path_factory.mktemp("others")
    for name in FOLDERS:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(FAILS)
    info = folder / "adapters-1.2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: adapters\nVersion: 1.2.0\n")
    (info / "RECORD").write_text("adapters/__init__.py,,\n")
    return folder


@pytest.mark.slow
def test_packages_and_folders_of_the_same_names_change_nothing(others: Path, tmp_path: Path) -> None:
    """They are installed, and lie in the folder where a user's script runs too."""
    shutil.copytree(others, tmp_path / "work")
    script = tmp_path / "work" / "script.py"
    script.write_text(
        "from importlib import metadata\n"
        "from sambench import adapters\n"
        "from sambench.suites.registry import suite_class\n"
        "import sambench.evsam, sambench.reports.report, sambench.harness.plan\n"
        "try: import adapters as theirs\nexcept ImportError as error: print(error)\n"
        "print(metadata.version('adapters'), adapters.create('box').name, suite_class('gt_box')().name)\n"
    )
    for way in (["script.py"], ["-c", script.read_text()], ["-m", "script"]):
        said = python(*way, cwd=tmp_path / "work", path=others)
        assert said.splitlines() == ["this is not the package of sambench", "1.2.0 box gt_box"]
    listed = python("-m", "sambench.harness", "suites", cwd=tmp_path / "work", path=others)
    assert "gt_box" in listed
