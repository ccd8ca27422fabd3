"""Matching of masks with objects, by hand; `test_everything` holds the recall against COCOeval's."""

import tracemalloc

import numpy as np
from fakes import rectangle, target

from sambench.suites.data.rle import encode
from sambench.suites.metrics.recall import match, times_matched
from sambench.suites.protocol import make_protocol

STRICT = make_protocol("strict")


def test_an_object_is_found_as_often_as_its_iou_reaches_a_threshold():
    assert times_matched(np.array([[0.49]])).tolist() == [0]
    assert times_matched(np.array([[0.5]])).tolist() == [1]
    assert times_matched(np.array([[0.76]])).tolist() == [6]
    assert times_matched(np.array([[1.0]])).tolist() == [10]


def test_a_mask_finds_one_object_and_an_object_takes_one_mask():
    assert times_matched(np.array([[0.9, 0.8]])).tolist() == [9, 0]
    assert times_matched(np.array([[0.6, 0.0], [1.0, 0.0]])).tolist() == [10, 0]
    assert times_matched(np.array([[0.9, 0.8], [0.9, 0.0]])).tolist() == [9, 0]


def test_masks_choose_anew_among_the_objects_of_each_size():
    size = (120, 120)
    small, large = rectangle(size, 0, 0, 30, 30), rectangle(size, 0, 0, 110, 110)
    objects = [target(small), target(large, 2)]
    counted = match(encode(np.stack([large, small])), objects, STRICT)
    assert counted == [
        {"all": 10, "small": 10, "medium": None, "large": None},
        {"all": 10, "small": None, "medium": None, "large": 10},
    ]
    assert match([], objects[:1], STRICT) == [{"all": 0, "small": 0, "medium": None, "large": None}]
    assert match(encode(small[None]), [], STRICT) == []


def test_the_size_is_by_the_annotated_area_or_by_the_pixels():
    mask = rectangle((120, 120), 0, 0, 30, 30)
    for source, size in (("ann", "large"), ("mask", "small")):
        (counted,) = match(
            encode(mask[None]), [target(mask, area=1e5)], make_protocol({"area_source": source})
        )
        assert counted[size] == 10


def test_many_objects_of_a_large_image_are_drawn_one_at_a_time():
    size, objects = (1500, 2000), []
    mask = np.zeros(size, bool)
    for i in range(40):
        mask[10:30, 10 + 40 * i : 30 + 40 * i] = True
        objects.append(target(mask, i))
        mask[:] = False
    tracemalloc.start()
    counted = match(encode(mask[None]), objects, STRICT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [c["all"] for c in counted] == [0] * 40
    assert peak < 4 * mask.nbytes  # all 40 would be 40 times as much
