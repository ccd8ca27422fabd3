"""Reading ahead of the model, in threads or in processes: the same in both."""

import json
import multiprocessing
import os

import numpy as np
import pytest
from PIL import Image

from sambench.evsam.errors import SambenchError
from sambench.suites.data import loading
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.loading import load, loaders_for


@pytest.fixture
def entries(tmp_path):
    """Nine images of one grey each."""
    for i in range(9):
        Image.fromarray(np.full((4, 5, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
    images = [{"id": i, "file_name": f"{i}.png", "height": 4, "width": 5} for i in range(9)]
    object_ = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, 2, 2], "area": 4}
    object_["segmentation"] = [[0, 0, 2, 0, 2, 2, 0, 2]]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": [object_]}))
    return CocoDataset(tmp_path, tmp_path / "a.json").entries


@pytest.mark.parametrize(("loaders", "fewest"), [(0, 0), (2, 0), (2, 4), (2, 20)])
def test_images_come_prepared_and_in_order_wherever_they_are_read(entries, loaders, fewest, monkeypatch):
    monkeypatch.setattr(loading, "FEWEST_IMAGES", fewest)
    found = load(entries, lambda sample: (sample.image_id, int(sample.image.mean())), loaders)
    assert list(found) == [(i, i) for i in range(9)]
    assert not multiprocessing.active_children()


def test_processes_are_started_for_many_images_alone(entries, monkeypatch):
    started = []
    enter = loading.Loaders.__enter__
    monkeypatch.setattr(loading.Loaders, "__enter__", lambda self: (started.append(1), enter(self))[1])
    monkeypatch.setattr(loading, "FEWEST_IMAGES", len(entries))
    assert len(list(load(entries, len_of_targets, 1))) == 9
    assert not started
    monkeypatch.setattr(loading, "FEWEST_IMAGES", len(entries) - 1)
    assert len(list(load(entries, len_of_targets, 1))) == 9
    assert started


def len_of_targets(sample):
    return len(sample.targets)


@pytest.mark.parametrize("loaders", [0, 1])
def test_an_error_comes_after_the_images_before_it(entries, loaders, monkeypatch):
    monkeypatch.setattr(loading, "FEWEST_IMAGES", 0)
    entries[5].file.write_bytes(b"no image")
    found = []
    with pytest.raises(SambenchError, match=r"5\.png: not an image"):
        found.extend(load(entries, lambda sample: sample.image_id, loaders))
    assert found == [0, 1, 2, 3, 4]
    assert not multiprocessing.active_children()


def test_processes_end_when_no_one_asks_any_more(entries, monkeypatch):
    monkeypatch.setattr(loading, "FEWEST_IMAGES", 0)
    found = load(entries, lambda sample: sample.image_id, 2)
    assert next(found) == 0
    assert len(multiprocessing.active_children()) == 2
    found.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("device", "cores", "sharing", "expected"),
    [("cpu", 64, 1, 0), ("cuda", 1, 1, 1), ("cuda:1", 6, 1, 5), ("cuda", 64, 1, 8), ("cuda", 16, 4, 3)],
)
def test_how_many_follows_the_device_and_the_cores(device, cores, sharing, expected, monkeypatch):
    monkeypatch.delenv("SAMBENCH_LOADERS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    assert loaders_for(device, sharing) == expected


def test_a_variable_says_how_many(monkeypatch):
    monkeypatch.setenv("SAMBENCH_LOADERS", "3")
    assert loaders_for("cpu") == loaders_for("cuda") == 3
    monkeypatch.setenv("SAMBENCH_LOADERS", "0")
    assert loaders_for("cuda") == 0


@pytest.mark.parametrize("value", ["many", "-1", "1.5", "²"])
def test_a_variable_that_is_no_number_is_refused(value, monkeypatch):
    monkeypatch.setenv("SAMBENCH_LOADERS", value)
    with pytest.raises(SambenchError, match=f"SAMBENCH_LOADERS={value}: .* whole number"):
        loaders_for("cuda")
