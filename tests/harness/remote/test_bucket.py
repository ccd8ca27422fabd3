"""A place in a store: what it does, and what is said where it does not."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from sambench.adapters.extras import MissingExtraError
from sambench.evsam.errors import SambenchError
from sambench.harness.remote.bucket import Bucket, StoreError


@pytest.fixture(params=["memory", "file"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bucket]:
    """An empty place."""
    root = f"/{uuid.uuid4().hex}" if request.param == "memory" else str(tmp_path / "there")
    yield Bucket(f"{request.param}://{root}")
    fsspec.filesystem("memory").store.clear()


def test_what_is_written_is_listed_and_read(bucket: Bucket, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    bucket.put("records/cell/a.parquet", file)
    bucket.write("results.json", b"{}")
    assert {name: one.size for name, one in bucket.list().items()} == {
        "records/cell/a.parquet": 5,
        "results.json": 2,
    }
    assert bucket.read("records/cell/a.parquet") == b"12345"
    assert bucket.read("other") is None
    bucket.remove("results.json")
    bucket.remove("results.json")
    assert list(bucket.list()) == ["records/cell/a.parquet"]


def test_one_alone_creates_a_file(bucket: Bucket) -> None:
    assert bucket.create("lock", b"a")
    assert not bucket.create("lock", b"b")
    assert bucket.read("lock") == b"a"


def test_a_file_that_changes_has_another_print(bucket: Bucket) -> None:
    bucket.write("a", b"1")
    before = bucket.list()["a"].print
    bucket.write("a", b"2")
    assert bucket.list()["a"].print != before


def test_a_missing_package_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lacking(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3") from ModuleNotFoundError("No module named 's3fs'")

    monkeypatch.setattr(fsspec, "url_to_fs", lacking)
    with pytest.raises(MissingExtraError, match=r"s3://bucket/a needs s3fs.*pip install 'sambench\[s3\]'"):
        Bucket("s3://bucket/a")
    with pytest.raises(SambenchError, match="gs://bucket/a"):
        Bucket("gs://bucket/a")


def test_errors_of_a_store_are_of_one_kind_and_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    def broken(error: Exception) -> None:
        def fails(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(bucket, "_fs", type("Fs", (), dict.fromkeys(("pipe_file", "rm_file"), fails))())

    for error, says in (
        (PermissionError("Access Denied"), "Access Denied.*Give credentials"),
        (FileNotFoundError("The specified bucket does not exist"), "Make the bucket"),
        (RuntimeError("timed out"), "timed out.*Does the store answer"),
    ):
        broken(error)
        with pytest.raises(StoreError, match=says) as caught:
            bucket.write("a", b"")
        assert bucket.url in str(caught.value)
