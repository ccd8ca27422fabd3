"""What headers of image files say is remembered, and a file that was written anew is another one."""

import json
import os
import time

import numpy as np
import pytest
from PIL import Image

from sambench.adapters.images import look
from sambench.evsam.errors import SambenchError
from sambench.suites.data import looks
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.looks import Looks


def draw(file, height=6, width=9, **how):
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(file, **how)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Three images of other kinds that count as old, and a cache of their own."""
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sambench.suites.data.remembered.SETTLED", -1.0)
    found = [tmp_path / name for name in ("0.png", "1.jpg", "2.tif")]
    exif = Image.Exif()
    exif[274] = 6  # turned by 90 degrees
    draw(found[0])
    draw(found[1], exif=exif)
    Image.fromarray(np.zeros((4, 7), np.uint16)).save(found[2])
    return found


@pytest.fixture
def opened(monkeypatch):
    """Names of the files that are opened."""
    names = []

    def note(file):
        names.append(file.name)
        return look(file)

    monkeypatch.setattr(looks, "look", note)
    return names


def seen(files):
    found = Looks(files)
    answers = [found(file) for file in files]
    found.keep()
    return answers


def test_a_file_that_was_seen_is_not_opened_again(files, opened):
    expected = [look(file) for file in files]
    assert seen(files) == seen(files) == expected
    assert opened == ["0.png", "1.jpg", "2.tif"]


@pytest.mark.parametrize("how", ["in place", "by another file", "with its old time"])
def test_a_file_that_was_written_anew_is_opened_again(files, opened, how):
    """Of the same number of bytes, though of another size in pixels."""
    before, content = files[0].stat(), files[0].read_bytes()
    seen(files)
    other = files[0].with_name("other.png")
    draw(other, 9, 6)
    assert other.stat().st_size == len(content)
    time.sleep(0.02)  # a tick of the file system's clock
    if how == "by another file":
        other.replace(files[0])
    else:
        files[0].write_bytes(other.read_bytes())
    if how != "in place":
        os.utime(files[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    opened.clear()
    assert seen(files)[0].stored == (9, 6)
    assert opened == ["0.png"]


@pytest.mark.parametrize("what", ["VERSION", "PIL.__version__"])
def test_what_other_code_saw_is_looked_at_again(files, opened, what, monkeypatch):
    seen(files)
    monkeypatch.setattr(f"sambench.suites.data.looks.{what}", "another")
    opened.clear()
    seen(files)
    assert len(opened) == 3


def test_what_is_no_image_is_said_every_time(files, opened):
    files[1].write_bytes(b"no image")
    for _ in range(2):
        with pytest.raises(SambenchError, match=r"1\.jpg: not an image"):
            seen(files)


def dataset_of(folder, files):
    images = [{"id": i, "file_name": file.name} for i, file in enumerate(files)]
    object_ = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, 2, 2], "area": 4}
    object_["segmentation"] = [[0, 0, 2, 0, 2, 2, 0, 2]]
    (folder / "a.json").write_text(json.dumps({"images": images, "annotations": [object_]}))
    return CocoDataset(folder, folder / "a.json", lenient=True)


def test_a_data_set_that_was_checked_is_checked_from_memory(files, opened, tmp_path):
    first, second = dataset_of(tmp_path, files), dataset_of(tmp_path, files)
    entries = first.checked(first.entries)
    assert sorted(opened) == ["0.png", "1.jpg", "2.tif"]
    opened.clear()
    again = second.checked(second.entries)
    assert not opened
    assert [(e.file, e.record.height, e.record.width) for e in again] == [
        (files[0], 6, 9),
        (files[1], 9, 6),
        (files[2], 4, 7),
    ]
    assert [e.record for e in again] == [e.record for e in entries]
    assert second.problems.sentences() == first.problems.sentences()
    assert any("EXIF" in text for text in second.problems.sentences())


def test_a_file_that_is_gone_is_missed(files, tmp_path):
    dataset = dataset_of(tmp_path, files)
    dataset.checked(dataset.entries)
    files[0].unlink()
    dataset = dataset_of(tmp_path, files)
    dataset.checked(dataset.entries)
    with pytest.raises(SambenchError, match=r"0\.png"):
        dataset.refuse()
