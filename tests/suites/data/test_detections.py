"""A detector's results from a file: what is kept, in which order, and what is refused."""

import hashlib
import json
import random
import resource
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sambench.evsam.errors import SambenchError
from sambench.suites.data.detections import Detections, detections_sha256

GOOD = {"image_id": 7, "category_id": 3, "bbox": [10.5, 20.0, 30.25, 40.0], "score": 0.5}


@pytest.fixture
def write(tmp_path):
    def to_file(content):
        file = tmp_path / "boxes.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return to_file


def rows(found):
    return list(zip(found.scores.tolist(), found.category_ids.tolist(), found.xywh.tolist(), strict=True))


def message(file):
    with pytest.raises(SambenchError) as caught:
        Detections(file)
    assert str(caught.value).startswith(f"{file}: ")
    return str(caught.value).removeprefix(f"{file}: ")


def test_a_box_comes_back_as_the_file_has_it_and_as_corners(write):
    found = Detections(write([GOOD | {"segmentation": {"counts": "x", "size": [1, 2]}, "id": "a"}])).of(7)
    assert found.xywh.tolist() == [[10.5, 20.0, 30.25, 40.0]]
    assert found.boxes.tolist() == [[10.5, 20.0, 40.75, 60.0]]
    assert (found.scores.tolist(), found.category_ids.tolist()) == ([0.5], [3])
    assert found.boxes.dtype == found.xywh.dtype == found.scores.dtype == np.float64


def test_no_digit_is_lost(write):
    box = [0.1, 1 / 3, 2e-17, 123.45600000000002]
    found = Detections(write([GOOD | {"bbox": box, "score": 0.30000000000000004}])).of(7)
    assert found.xywh[0].tolist() == box
    assert found.scores[0] == 0.30000000000000004


entries = st.lists(
    st.fixed_dictionaries(
        {
            "image_id": st.sampled_from([0, 1, 5, 2**40]),
            "category_id": st.integers(0, 3),
            "bbox": st.lists(st.integers(0, 3).map(float), min_size=4, max_size=4),
            "score": st.sampled_from([0.1, 0.5, 0.9]),
        }
    ),
    max_size=30,
)


@given(entries, st.randoms(use_true_random=False))
def test_the_order_is_by_score_category_and_box_whatever_the_order_of_the_file(tmp_path_factory, made, rng):
    file = tmp_path_factory.mktemp("order") / "boxes.json"
    file.write_text(json.dumps(made))
    first = Detections(file)
    rng.shuffle(made)
    file.write_text(json.dumps(made))
    second = Detections(file)
    assert len(first) == len(made)
    assert first.image_ids.tolist() == sorted({e["image_id"] for e in made})
    for image_id in (0, 1, 5, 2**40):
        mine = [(e["score"], e["category_id"], e["bbox"]) for e in made if e["image_id"] == image_id]
        want = sorted(mine, key=lambda row: (-row[0], *row[1:]))
        assert rows(first.of(image_id)) == rows(second.of(image_id)) == want


def test_an_image_that_the_file_does_not_name_has_no_detections(write):
    found = Detections(write([GOOD]))
    for image_id in (6, 8):
        assert len(found.of(image_id)) == 0
        assert found.of(image_id).boxes.shape == found.of(image_id).xywh.shape == (0, 4)


def test_an_empty_list_is_a_detector_that_found_nothing(write):
    found = Detections(write([]))
    assert (len(found), found.image_ids.tolist()) == (0, [])
    assert found.of(1).boxes.shape == (0, 4)
    assert found.for_images([1]).images_without == 1


def test_boxes_without_area_and_beyond_the_image_are_kept(write):
    odd = [[5.0, 5.0, 0.0, 0.0], [-4.0, 3.0, 1e5, 0.0]]
    assert sorted(Detections(write([GOOD | {"bbox": b} for b in odd])).of(7).xywh.tolist()) == sorted(odd)


def test_ids_as_text_and_with_a_fraction_are_the_whole_numbers_that_they_say(write):
    found = Detections(
        write([GOOD | {"image_id": "000000000139", "category_id": 4.0}, GOOD | {"image_id": 9.0}])
    )
    assert (found.image_ids.tolist(), found.category_ids) == ([9, 139], {3, 4})
    assert found.findings == {"ids_as_text": 3}


def test_the_hash_is_of_the_file(write):
    file = write([GOOD])
    assert Detections(file).sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert Detections(file).path == file


def test_detections_on_images_that_are_not_evaluated_are_counted(write):
    found = Detections(write([GOOD | {"image_id": i} for i in (1, 1, 2, 5, 5, 5)])).for_images([1, 2, 3, 4])
    assert (found.used, found.elsewhere, found.images_without) == (3, 3, 2)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("image_id", "img_1", 'image_id is "img_1", no whole number of 64 bits'),
        ("category_id", None, "category_id is null, no id"),
        ("category_id", 4.5, "category_id is 4.5, no id"),
        ("category_id", float("nan"), "category_id is NaN, not finite"),
        ("image_id", True, "image_id is true, no id"),
        ("score", "0.9", 'score is "0.9", not a number'),
        ("score", True, "score is true, not a number"),
        ("score", float("nan"), "score is NaN, not finite"),
        ("score", float("-inf"), "score is -Infinity, not finite"),
        ("score", 10**400, "score is Infinity, not finite"),
        ("bbox", [1.0, 2.0, float("nan"), 4.0], "bbox is [1.0, 2.0, NaN, 4.0], not finite"),
        ("bbox", [1, 2, 3], "bbox is [1, 2, 3], not four numbers"),
        ("bbox", [1, 2, 3, "4"], 'bbox is [1, 2, 3, "4"], not four numbers'),
        ("bbox", None, "bbox is null, not four numbers"),
        ("bbox", "box" * 99, "boxbo..., not four numbers"),
        ("bbox", [50, 60, -1, 5], "bbox is [50, 60, -1, 5], of negative width or height"),
        ("bbox", [1, 2, 1e308, 1e308], "bbox is [1, 2, 1e+308, 1e+308], a thousand million pixels away"),
        ("bbox", [-2_000_000_000, 0, 5, 5], "bbox is [-2000000000, 0, 5, 5], a thousand million pixels away"),
        ("image_id", 2**70, "image_id is 1180591620717411303424"),
    ],
)
def test_a_wrong_value_is_named_with_its_entry(write, key, value, says):
    said = message(write([GOOD, GOOD, GOOD | {key: value}]))
    assert said.startswith("entry 2: ")
    assert says in said
    assert said.endswith((".", "?"))


@pytest.mark.parametrize("key", list(GOOD))
def test_a_missing_key_is_named_with_its_entry(write, key):
    short = {k: v for k, v in GOOD.items() if k != key}
    assert message(write([GOOD, short])).startswith(f"entry 1: has no {key}. Every detection needs")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"images": [], "annotations": [], "categories": []}, "an annotation file, not detections"),
        ({"annotations": [{"id": 1, "bbox": [1, 2, 3, 4]}]}, "an annotation file, not detections"),
        ({"boxes": [[1, 2, 3, 4]], "scores": [0.5], "labels": [1]}, "the boxes of one image, as torchvision"),
        ({"samples": []}, "an object with samples, not a list of detections"),
        ({"a": 1, "b": [2]}, "an object with a, b, not a list of detections"),
        ({"a": [[1, 2]]}, "an object with a, not a list of detections"),
        ("{}", "an object with nothing in it, not a list of detections"),
        ("12", "12 is not a list of detections"),
        ([GOOD, 5], "entry 1: 5 is not a detection"),
        ([[1, 2]], "entry 0: [1, 2] is not a detection"),
        (
            [{"image_id": 1, "boxes": [], "scores": [], "labels": []}],
            "entry 0: has the boxes of a whole image",
        ),
        (json.dumps([GOOD])[:-9], "JSON that ends in its middle"),
        ("", "is empty, no file of detections"),
        ("image,score", "not valid JSON"),
        ("[" * 100_000, "no file of detections but lists within lists"),
        ('[{"x": ' + "[" * 100_000, "no file of detections but lists within lists"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1e999}]', "entry 0: score is"),
    ],
)
def test_a_file_of_another_kind_is_refused(write, content, says):
    assert message(write(content)).startswith(says)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    assert message(tmp_path / "x.json").startswith("not valid JSON")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert message(tmp_path / "none.json").startswith("no such file of detections")
    assert message(tmp_path).startswith("cannot be read (Is a directory)")


def test_a_file_that_changed_since_the_plan_is_refused(tmp_path):
    file = tmp_path / "boxes.json"
    file.write_text("[]")
    planned = detections_sha256(file)
    assert planned == Detections(file, planned).sha256 == hashlib.sha256(b"[]").hexdigest()
    file.write_text("[ ]")
    with pytest.raises(SambenchError, match=r"boxes\.json: changed since this run was planned; run the same"):
        Detections(file, planned)
    with pytest.raises(SambenchError, match="no such file of detections"):
        detections_sha256(tmp_path / "none.json")


@pytest.mark.slow
def test_four_hundred_thousand_boxes_load_fast_and_small(tmp_path):
    rng = random.Random(0)
    lines = (
        f'{{"image_id": {rng.randrange(40_000)}, "category_id": {rng.randrange(90)}, "bbox": '
        f'[{rng.random() * 600}, {rng.random() * 400}, 20.5, 30.25], "score": {rng.random()}}}'
        for _ in range(400_000)
    )
    file = tmp_path / "boxes.json"
    file.write_text("[" + ",".join(lines) + "]")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    found = Detections(file)
    assert len(found) == sum(len(found.of(i)) for i in found.image_ids) == 400_000
    assert time.perf_counter() - start < 10
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 600  # MB


def test_real_boxes_of_a_detector_are_all_there(data_root):
    file = data_root / "detections/genuine_yolov8n_int8_coco-mini.json"
    found, loaded = Detections(file), json.loads(file.read_text())
    assert len(found) == len(loaded) == 24_069
    assert len(found.image_ids) == 117
    for image_id in found.image_ids[:10].tolist():
        mine = [e for e in loaded if e["image_id"] == image_id]
        mine.sort(key=lambda e: (-e["score"], e["category_id"], e["bbox"]))
        assert rows(found.of(image_id)) == [(e["score"], e["category_id"], e["bbox"]) for e in mine]
