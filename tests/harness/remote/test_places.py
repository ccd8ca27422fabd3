"""What is an address, and which folder mirrors it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command import ROOT, call

from sambench.evsam.errors import SambenchError
from sambench.harness.remote.places import address, fetched, placed


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("s3://bucket/runs/coco", "s3://bucket/runs/coco"),
        ("s3:/bucket/runs/coco", "s3://bucket/runs/coco"),
        ("s3://bucket/runs/coco/", "s3://bucket/runs/coco"),
        ("gs://bucket", "gs://bucket"),
        ("memory://a/b", "memory://a/b"),
        ("file:///mnt/a", "file:///mnt/a"),
        ("runs/coco", None),
        ("/runs/s3", None),
        ("C:/runs", None),
        ("C:\\runs", None),
        ("~/a b", None),
        ("a:b", None),
    ],
)
def test_addresses_are_told_from_paths_as_text_and_as_paths(given: str, url: str | None) -> None:
    assert address(given) == url
    assert address(Path(given)) == url


@pytest.mark.parametrize(
    ("given", "says"), [("s33://bucket/a", "no kind of store 's33'.*s3"), ("s3://", "names no place")]
)
def test_what_is_no_address_is_said(given: str, says: str) -> None:
    with pytest.raises(SambenchError, match=says):
        address(given)


def test_the_same_address_has_the_same_mirror_and_that_of_another_server_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path))
    folder, url = placed(Path("s3://bucket/runs/coco"))
    assert (folder.name, url) == ("coco", "s3://bucket/runs/coco")
    assert folder.is_relative_to(tmp_path)
    assert placed(Path("s3://bucket/runs/coco/"))[0] == folder
    assert placed(Path("s3://bucket/runs/lvis/coco"))[0] != folder
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert placed(Path("s3://bucket/runs/coco"))[0] != folder
    assert placed(tmp_path / "here") == (tmp_path / "here", None)


def test_where_nothing_is_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path))
    with pytest.raises(SambenchError, match="memory://nothing/here: nothing is there"):
        fetched(Path("memory://nothing/here"), lambda _: None)


def test_a_folder_of_this_machine_needs_nothing_of_it() -> None:
    code = (
        "import sys; sys.modules['fsspec'] = None\n"  # an import of it fails
        "from pathlib import Path; from sambench.harness.remote.places import placed, fetched\n"
        "from sambench.harness.remote.sending import sending\n"
        "placed(Path('runs/a')), fetched(Path('runs/a'), print)\n"
        "with sending(None, Path('runs/a'), print, print): pass\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_export_goes_to_a_folder_alone() -> None:
    done = call("export", "efficientvit_sam_nano", "--weights", "random", "--out", "s3://bucket/a")
    assert done.code == 2
    assert "a graph goes to a folder of this machine" in done.err
