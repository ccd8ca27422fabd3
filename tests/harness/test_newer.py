"""What is newer than the tested versions is said, and is what `constraints.txt` pins."""

from __future__ import annotations

import platform
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from command import call

from sambench.harness import newer

ROOT = Path(__file__).resolve().parents[2]


def test_the_tested_versions_are_those_that_are_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if "==" in line)
    for name, tested in newer.TESTED.items():
        if name not in ("python", "pyarrow"):
            assert pins[name].startswith(f"{tested}."), name
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert f"Programming Language :: Python :: {newer.TESTED['python']}" in classifiers


def test_what_is_newer_is_said_once_and_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(platform, "python_version", lambda: "3.14.1")
    monkeypatch.setattr(metadata, "version", lambda name: "2.15.0+cpu" if name == "torch" else real(name))
    said = call("--version")
    assert said.code == 0
    assert said.err.strip() == (
        "newer than what it was tested with: python 3.14.1 (tested: 3.13), torch 2.15.0+cpu (tested: 2.14)"
    )
    assert "3.14.1 (tested: 3.13)" in call("doctor", "--json").out


def test_what_is_as_tested_or_older_or_absent_is_not_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        if name == "torch":
            return "2.14.9"
        if name == "numpy":
            return "1.26.4"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(platform, "python_version", lambda: "3.11.7")
    monkeypatch.setattr(metadata, "version", installed)
    assert newer.newer() == []
