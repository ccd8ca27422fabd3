"""The engines' cache: whole entries or none."""

from __future__ import annotations

import os

import pytest

from sambench.adapters.engines.cache import cache_folder, cached, is_whole


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def build():
    def write(folder):
        write.calls += 1
        (folder / "a").write_bytes(b"one")
        (folder / "sub").mkdir()
        (folder / "sub" / "b").write_bytes(b"two")

    write.calls = 0
    return write


def test_an_entry_is_built_once(build):
    first, second = cached("x", {"k": 1}, build), cached("x", {"k": 1}, build)
    assert (first, build.calls) == (second, 1)
    assert (first / "sub" / "b").read_bytes() == b"two"
    assert cached("x", {"k": 2}, build) != first


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "a").write_bytes(b"on"),
        lambda entry: (entry / "a").write_bytes(b"onf"),
        lambda entry: (entry / "sub" / "b").unlink(),
        lambda entry: (entry / "entry.json").write_text("{"),
        lambda entry: (entry / "entry.json").unlink(),
    ],
)
def test_a_damaged_entry_is_built_again(build, damage, folder):
    entry = cached("x", {"k": 1}, build)
    damage(entry)
    assert not is_whole(entry)
    assert is_whole(cached("x", {"k": 1}, build))
    assert build.calls == 2
    assert [f.name for f in folder.iterdir()] == [entry.name], "nothing is left behind"


def test_a_failed_build_leaves_nothing(folder):
    def fail(to):
        (to / "half").write_bytes(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cached("x", {"k": 1}, fail)
    assert list(folder.iterdir()) == []


def test_two_may_build_at_once(build, folder):
    """The second to finish finds the first's entry, and takes it."""

    def slow(to):
        cached("x", {"k": 1}, build)
        (to / "a").write_bytes(b"mine")

    entry = cached("x", {"k": 1}, slow)
    assert (entry / "a").read_bytes() == b"one"
    assert [f.name for f in folder.iterdir()] == [entry.name]


def test_an_entry_is_as_open_to_others_as_any_folder(build, folder):
    entry = cached("x", {}, build)
    (folder / "plain").mkdir()
    assert entry.stat().st_mode == (folder / "plain").stat().st_mode


def test_what_a_killed_process_had_built_goes_the_next_time(build, folder):
    half = folder / ".x-0.0123456789abcdef.tmp"
    (half / "sub").mkdir(parents=True)
    os.utime(half, (0, 0))
    entry = cached("x", {}, build)
    assert list(folder.iterdir()) == [entry]


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.delenv("SAMBENCH_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "sambench"


def test_a_title_is_no_path(build, folder):
    assert cached("hf:../x", {}, build).parent == folder
