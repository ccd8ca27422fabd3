"""Tar files read where they lie, judged by the files that went into them; and what is refused."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from sa1b_forms import Files, add, as_tars, pair

from sambench.evsam.errors import SambenchError
from sambench.harness.train.sources import tars
from sambench.harness.train.sources.tars import Tars, index_tar, tar_files


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The indices of one test."""
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def some(*numbers: int) -> Files:
    return {number: pair(number) for number in numbers}


def refusal(root: Path) -> str:
    with pytest.raises(SambenchError) as caught:
        Tars(tar_files(root))
    return str(caught.value)


def pieces(found: Tars) -> dict[int, tuple[bytes, bytes]]:
    read = [found.read(i) for i in range(len(found.ids))]
    return {one.id: (one.picture, one.annotations) for one in read}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_found_whatever_the_headers(form: int, tmp_path: Path) -> None:
    """Folders, other files, links and names that need headers of their own lie between them."""
    files, file = some(5, 11, 7), tmp_path / "sa_000000.tar"
    deep = "a folder with a long name/" * (3 if form == tarfile.USTAR_FORMAT else 20)
    with tarfile.open(file, "w", format=form) as tar:
        folder = tarfile.TarInfo("./sa_1.json")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for number, (jpg, text) in files.items():
            add(tar, f"./sa_{number}.json", text)
            add(tar, f"{deep}README {number}", b"x" * 700)
            add(tar, f"{deep}sa_{number}.jpg", jpg)
        link = tarfile.TarInfo("sa_2.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "sa_5.jpg"
        tar.addfile(link)
    found = Tars([file])
    assert found.ids.tolist() == [5, 7, 11]
    assert pieces(found) == files


def test_of_a_name_that_was_added_again_the_last_counts(tmp_path: Path) -> None:
    root = as_tars(tmp_path, some(1, 2))
    with tarfile.open(root / "sa_000000.tar", "a") as tar:
        add(tar, "sa_2.json", b"{}")
    assert pieces(Tars(tar_files(root)))[2] == (pair(2)[0], b"{}")


def test_images_of_many_tars_come_by_rising_id(tmp_path: Path) -> None:
    files = some(9, 2, 14, 3, 8)
    found = Tars(tar_files(as_tars(tmp_path, files, into=3)))
    assert found.ids.tolist() == sorted(files)
    assert pieces(found) == files


def test_a_tar_is_indexed_once_until_it_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = as_tars(tmp_path / "root", some(1, 2, 3), into=2)
    before = pieces(Tars(tar_files(root)))
    assert "indexing 2 tar files" in capsys.readouterr().err
    made: list[Path] = []
    monkeypatch.setattr(tars, "index_tar", lambda file: made.append(file) or index_tar(file))
    assert pieces(Tars(tar_files(root))) == before
    assert not made
    assert capsys.readouterr().err == ""
    os.utime(root / "sa_000001.tar", ns=(1, 1))
    assert pieces(Tars(tar_files(root))) == before
    assert made == [root / "sa_000001.tar"]
    for index in (cache / "tars").iterdir():
        index.write_bytes(index.read_bytes()[:90])
    assert pieces(Tars(tar_files(root))) == before
    assert len(made) == 3


def test_a_compressed_tar_is_refused_with_the_command_that_unpacks_it(tmp_path: Path) -> None:
    root = as_tars(tmp_path, some(1))
    file = root / "sa_000000.tar"
    packed = gzip.compress(file.read_bytes())
    file.write_bytes(packed)
    assert f"mv {file} {file}.gz && gunzip {file}.gz" in refusal(root)
    file.rename(f"{file}.gz")
    assert f"gunzip {file}.gz" in refusal(root)
    file.write_bytes(gzip.decompress(packed))
    assert pieces(Tars(tar_files(root))) == some(1)
    (root / "sa_000001.tgz").write_bytes(packed)
    assert f"gunzip {root}/sa_000001.tgz" in refusal(root)


def cuts(file: Path) -> list[int]:
    """Lengths at which a download may have ended: in headers, in files, and between them."""
    with tarfile.open(file) as tar:
        members = tar.getmembers()
    last = members[-1]
    return [
        100,
        members[1].offset,
        members[1].offset + 100,
        members[1].offset_data,
        members[1].offset_data + 10,
        last.offset_data + last.size,
        last.offset_data + -(-last.size // 512) * 512,
    ]


@pytest.mark.parametrize("cut", range(7))
def test_a_tar_that_was_cut_off_is_named_wherever_it_was(cut: int, tmp_path: Path) -> None:
    file = as_tars(tmp_path, some(1, 2), into=1) / "sa_000000.tar"
    file.write_bytes(file.read_bytes()[: cuts(file)[cut]])
    message = refusal(tmp_path)
    assert str(file) in message
    assert "Get it again" in message


@pytest.mark.parametrize("content", [b"", b"<html>link expired</html>" * 50, bytes(100)])
def test_what_is_no_tar_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "sa_000003.tar"
    file.write_bytes(content)
    assert str(file) in refusal(tmp_path)


def test_damage_within_a_header_is_no_end(tmp_path: Path) -> None:
    """To tarfile alone a header whose sum is wrong is the end, and what follows was never there."""
    file = as_tars(tmp_path, some(1, 2, 3)) / "sa_000000.tar"
    with tarfile.open(file) as tar:
        place = tar.getmembers()[3].offset
    content = bytearray(file.read_bytes())
    content[place + 150] ^= 1
    file.write_bytes(content)
    with tarfile.open(file) as tar:
        assert len(tar.getmembers()) == 3
    assert "damaged" in refusal(tmp_path)


def test_an_image_in_two_tars_is_refused(tmp_path: Path) -> None:
    root = as_tars(tmp_path, some(1, 2))
    (root / "copy.tar").write_bytes((root / "sa_000000.tar").read_bytes())
    message = refusal(root)
    assert "2 images are in two tar files" in message
    assert str(root / "copy.tar") in message


def test_half_of_a_pair_and_a_tar_that_shrank_are_named_when_read(tmp_path: Path) -> None:
    file = tmp_path / "sa_000000.tar"
    with tarfile.open(file, "w") as tar:
        add(tar, "sa_1.jpg", pair(1)[0])
        for kind, content in zip(("jpg", "json"), pair(2), strict=True):
            add(tar, f"sa_2.{kind}", content)
    found = Tars([file])
    with pytest.raises(SambenchError, match=r"sa_000000\.tar: sa_1\.json: no such file"):
        found.read(0)
    found.read(1)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(SambenchError, match=r"sa_2\.\w+: cut off since"):
        found.read(1)
    file.unlink()
    with pytest.raises(SambenchError, match=r"sa_000000\.tar: cannot be read"):
        found.read(1)


def test_places_beyond_four_gigabytes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard of SA-1B has ten gigabytes; here a hole in a sparse file stands for most of them."""
    file, hole = tmp_path / "sa_000000.tar", 6 << 30
    with tarfile.open(file, "w") as tar:
        filler = tarfile.TarInfo("filler")
        filler.size = hole
        tar.fileobj.write(filler.tobuf())  # type: ignore[union-attr]
    with file.open("r+b") as content:
        content.seek(512 + hole)
        rest = io.BytesIO()
        with tarfile.open(fileobj=rest, mode="w") as tar:
            for kind, piece in zip(("jpg", "json"), pair(4), strict=True):
                add(tar, f"sa_4.{kind}", piece)
        content.write(rest.getvalue())
    assert pieces(Tars([file])) == {4: pair(4)}
    assert index_tar(file)["jpg"].dtype == np.uint32
