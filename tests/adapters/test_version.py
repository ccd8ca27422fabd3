"""Which sambench this is: asked of a checkout, an archive, what is installed, and of none of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from sambench.adapters import version as module
from sambench.adapters.version import UNKNOWN, of_description, version

Git = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Sources elsewhere, of which nothing is installed."""

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setattr(module, "ROOT", folder)
    monkeypatch.setattr(metadata, "version", absent)
    version.cache_clear()
    yield folder
    version.cache_clear()


@pytest.fixture
def git(root: Path) -> Git:
    """Run git in these sources, which are a repository with one commit."""

    def run(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = subprocess.run(
            ["git", *who, "-C", str(root), *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    run("init", "-q")
    (root / "file").write_text("1")
    run("add", "-A")
    run("commit", "-qm", "one")
    return run


def asked() -> str:
    version.cache_clear()
    return version()


def test_a_checkout_says_its_tag_the_commits_since_and_what_was_changed(root: Path, git: Git) -> None:
    short = git("rev-parse", "--short", "HEAD")
    assert asked() == f"0+g{short}"
    git("tag", "v0.3.0")
    assert asked() == "0.3.0"
    (root / "file").write_text("2")
    assert asked() == "0.3.0+dirty"
    git("commit", "-qam", "two")
    short = git("rev-parse", "--short", "HEAD")
    assert asked() == f"0.3.0+1.g{short}"


def test_a_tag_that_is_no_version_is_none(git: Git) -> None:
    git("tag", "paper")
    assert asked() == f"0+g{git('rev-parse', '--short', 'HEAD')}"


def test_a_shallow_clone_says_its_commit(
    root: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("tag", "v0.3.0")
    git("commit", "-q", "--allow-empty", "-m", "two")
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", f"file://{root}", str(tmp_path / "shallow")], check=True
    )
    monkeypatch.setattr(module, "ROOT", tmp_path / "shallow")
    assert asked() == f"0+g{git('rev-parse', '--short', 'HEAD')}"


def test_an_archive_of_git_knows_its_commit(
    root: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Path(__file__).resolve().parents[2]
    for name in (".git_archival.txt", ".gitattributes"):
        (root / name).write_bytes((repository / name).read_bytes())
    git("add", "-A")
    git("commit", "-qm", "two")
    archive = tmp_path / "archive.tar"
    git("archive", "-o", str(archive), "HEAD")
    commit = git("rev-parse", "HEAD")
    unpacked = tmp_path / "unpacked"
    shutil.unpack_archive(archive, unpacked)
    monkeypatch.setattr(module, "ROOT", unpacked)
    assert asked() == f"0+g{commit[:9]}"


def test_without_a_repository_it_is_what_was_installed_or_unknown(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".git_archival.txt").write_text("node: $Format:%H$\ndescribe-name: $Format:x$\n")
    assert asked() == UNKNOWN
    monkeypatch.setattr(metadata, "version", lambda name: {"sambench": "0.5.0"}[name])
    assert asked() == "0.5.0"


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ("v0.1.0-0-g1cf418b", "0.1.0"),
        ("v0.1.0", "0.1.0"),
        ("v0.1.0-12-g1cf418b", "0.1.0+12.g1cf418b"),
        ("v0.1.0-0-g1cf418b-dirty", "0.1.0+dirty"),
        ("v0.1.0-12-g1cf418b-dirty", "0.1.0+12.g1cf418b.dirty"),
        ("v0.1.0-rc.1-2-g1cf418b", "0.1.0-rc.1+2.g1cf418b"),
        ("1cf418b", "0+g1cf418b"),
        ("1cf418b-dirty", "0+g1cf418b.dirty"),
    ],
)
def test_a_description_becomes_a_version(described: str, expected: str) -> None:
    assert of_description(described) == expected
    assert re.fullmatch(r"[\d.]+(-rc\.\d+)?(\+[a-z0-9.]+)?", expected)  # PEP 440
