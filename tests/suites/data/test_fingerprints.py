"""The digest over images, spelled out, and what is remembered of their files."""

import hashlib
import os
import time

import pytest

from sambench.adapters.weights.resolve import sha256_of
from sambench.suites.data.annotations import ImageRecord
from sambench.suites.data.coco import CocoDataset, Entry
from sambench.suites.data.fingerprints import images_sha256, with_digests
from sambench.suites.data.remembered import SETTLED


def test_it_is_over_ids_names_and_contents_in_the_order_of_the_images(coco_mini):
    entries = CocoDataset(*coco_mini).entries[:7]
    lines = [
        f"{e.record.id} {e.record.file_name} {hashlib.sha256(e.file.read_bytes()).hexdigest()}\n"
        for e in entries
    ]
    assert images_sha256(entries) == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert images_sha256(entries[::-1]) != images_sha256(entries)
    assert images_sha256([]) == hashlib.sha256().hexdigest()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Three image files that count as old, and a cache of their own."""
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sambench.suites.data.remembered.SETTLED", -1.0)
    found = [tmp_path / f"{i}.jpg" for i in range(3)]
    for i, file in enumerate(found):
        file.write_bytes(bytes([i]) * 100)
    return found


@pytest.fixture
def read(monkeypatch):
    """Which files are read."""
    names = []

    def note(path):
        names.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr("sambench.suites.data.fingerprints.sha256_of", note)
    return names


def digests(files):
    entries = [Entry(ImageRecord(i, file.name, 1, 1), file, ()) for i, file in enumerate(files)]
    return [entry.sha256 for entry in with_digests(entries)]


def expected(files):
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def test_a_file_that_was_seen_is_not_read_again(files, read):
    assert digests(files) == digests(files) == expected(files)
    assert sorted(read) == ["0.jpg", "1.jpg", "2.jpg"]


@pytest.mark.parametrize("how", ["in place", "by another file", "with its old time"])
def test_a_file_that_was_written_anew_is_read_again(files, read, how):
    """Always of the same size."""
    digests(files)
    before = files[1].stat()
    time.sleep(0.02)  # a tick of the file system's clock
    if how == "by another file":
        other = files[1].with_name("other")
        other.write_bytes(b"\xff" * 100)
        other.replace(files[1])
    else:
        files[1].write_bytes(b"\xff" * 100)
    if how != "in place":
        os.utime(files[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    read.clear()
    assert digests(files) == expected(files)
    assert read == ["1.jpg"]


def test_a_file_of_this_very_moment_is_not_remembered(files, read, monkeypatch):
    """It could be written again within the same tick of the file system's clock."""
    monkeypatch.setattr("sambench.suites.data.remembered.SETTLED", SETTLED)
    digests(files)
    digests(files)
    assert len(read) == 6


@pytest.mark.parametrize("obstacle", ["no folder", "damaged"])
def test_without_a_memory_every_file_is_read(files, read, obstacle, tmp_path):
    cache = tmp_path / "cache"
    if obstacle == "no folder":
        cache.write_text("a file where the folder should be")
    else:
        cache.mkdir()
        (cache / "images.sqlite").write_bytes(b"no database" * 100)
    assert digests(files) == digests(files) == expected(files)
    assert len(read) == 6
