"""Samples of real images, and the workers that make them ahead of the model."""

import gc
import itertools
import json
import threading
import time

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.sample import ahead, load_sample

PATIENCE = 10.0


def workers():
    return [t for t in threading.enumerate() if t.name.startswith("sambench-load")]


class Source:
    """Counts what was taken from it."""

    def __init__(self, items):
        self.items = iter(items)
        self.taken = 0

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.items)
        self.taken += 1
        return item


@pytest.mark.parametrize("count", [0, 1, 3, 50])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items_though_later_ones_are_ready_first(count, threads):
    def slow_when_even(i):
        time.sleep(0.004 if i % 2 == 0 else 0)
        return i * i

    assert list(ahead(slow_when_even, range(count), threads)) == [i * i for i in range(count)]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_it_runs_ahead_by_two_items_a_worker_and_no_more(threads):
    source = Source(range(100))
    for received, _ in enumerate(ahead(lambda i: i, source, threads), start=1):
        assert source.taken == min(received + 2 * threads, 100)


def test_an_endless_source_is_fine():
    assert list(itertools.islice(ahead(lambda i: -i, itertools.count()), 5)) == [0, -1, -2, -3, -4]


def test_the_workers_work_at_the_same_time():
    together = threading.Barrier(2, timeout=PATIENCE)  # breaks unless two are in it at once
    assert list(ahead(lambda i: (together.wait(), i)[1], range(6), 2)) == list(range(6))


def test_an_error_comes_at_its_items_turn_and_the_workers_end():
    failed_early = threading.Event()

    def work(i):
        if i == 3:
            failed_early.set()
            raise SambenchError("item 3 is damaged")
        if i == 0:
            assert failed_early.wait(PATIENCE)
        return i

    source = Source(range(1000))
    received = []
    with pytest.raises(SambenchError, match="item 3 is damaged"):
        received.extend(ahead(work, source, 2))  # keeps what came before the error
    assert received == [0, 1, 2]
    assert source.taken <= 3 + 1 + 4
    assert not workers()


def test_the_workers_end_when_no_one_asks_any_more():
    started = []
    results = ahead(started.append, range(1000), 2)
    next(results)
    assert workers()
    results.close()
    assert not workers()
    assert len(started) <= 5


def test_work_that_has_not_begun_is_not_begun_when_no_one_asks_any_more():
    started, busy, release = [], threading.Event(), threading.Event()

    def work(i):
        started.append(i)
        if i == 1:
            busy.set()
            release.wait(PATIENCE)

    results = ahead(work, range(1000), 1)
    next(results)
    assert busy.wait(PATIENCE)
    threading.Timer(0.5, release.set).start()  # long after closing has called off what waits behind it
    results.close()
    assert started == [0, 1]


def test_the_workers_end_with_a_generator_that_was_dropped():
    results = ahead(lambda i: i, range(1000), 2)
    next(results)
    del results
    gc.collect()
    assert not workers()


def test_a_real_sample_has_the_pixels_and_objects_of_its_annotations(coco_mini):
    oracle = COCO(coco_mini.annotations)
    data = CocoDataset(*coco_mini)
    for sample in ahead(load_sample, data.entries[::12]):
        with Image.open(coco_mini.images / oracle.imgs[sample.image_id]["file_name"]) as stored:
            np.testing.assert_array_equal(sample.image, stored.convert("RGB"))
        annotations = oracle.imgToAnns[sample.image_id]
        assert [t.ann_id for t in sample.targets] == [a["id"] for a in annotations]
        for found, annotated in zip(sample.targets, annotations, strict=True):
            x, y, w, h = annotated["bbox"]
            assert found.box == (x, y, x + w, y + h)
            assert found.area == annotated["area"]
            assert found.iscrowd is bool(annotated["iscrowd"])
            assert found.category_id == annotated["category_id"]
            np.testing.assert_array_equal(found.mask.full(), oracle.annToMask(annotated))


def test_a_real_image_without_annotations_is_a_sample_without_objects(coco_mini):
    (entry,) = [e for e in CocoDataset(*coco_mini).entries if e.record.id == 226111]
    sample = load_sample(entry)
    assert sample.targets == ()
    assert sample.image.shape == (entry.record.height, entry.record.width, 3)


@pytest.fixture
def entry(tmp_path):
    """Write an image of 9 x 6 pixels and one annotation of it, and return the entry."""

    def entry(segmentation, **image):
        Image.fromarray(np.zeros((6, 9, 3), np.uint8)).save(tmp_path / "1.png")
        annotation = {"id": 5, "image_id": 3, "category_id": 1, "bbox": [0, 0, 2, 2], "area": 4}
        content = {
            "images": [{"id": 3, "file_name": "1.png"} | image],
            "annotations": [annotation | {"segmentation": segmentation}],
        }
        (tmp_path / "a.json").write_text(json.dumps(content))
        return CocoDataset(tmp_path, tmp_path / "a.json").entries[0]

    return entry


def test_a_size_that_is_not_stated_is_that_of_the_image(entry):
    (target,) = load_sample(entry([[0, 0, 2, 0, 2, 2, 0, 2]])).targets
    assert target.mask.size == (6, 9)
    assert target.mask.area == 4


def test_a_damaged_annotation_is_named_with_its_image(entry):
    with pytest.raises(SambenchError, match="annotation 5 of image 3"):
        load_sample(entry([[1, 2, 3, 4]]))


def test_a_stated_size_that_is_not_the_images_is_refused(entry):
    with pytest.raises(SambenchError, match=r"1\.png: is 9 x 6 pixels, but its annotations are for 9 x 7"):
        load_sample(entry([], height=7, width=9))
