"""Detections as tools write them: packed, in lines, within an object, an object of images."""

import gzip
import json

import pytest

from sambench.evsam.errors import SambenchError
from sambench.suites.data.detected.kinds import CHANGES
from sambench.suites.data.detections import Detections
from sambench.suites.data.ids import Known

MADE = [
    {"image_id": 1, "category_id": 3, "bbox": [1.5, 2, 30, 40], "score": 0.9},
    {"image_id": 1, "category_id": 4, "bbox": [5, 6, 7, 8], "score": 0.25},
    {"image_id": 2, "category_id": 3, "bbox": [0, 0, 9.75, 9], "score": 0.5},
]


def rows(detections):
    """All of a file as it was written."""
    return [
        {"image_id": i, "category_id": c, "bbox": box, "score": score}
        for i in detections.image_ids.tolist()
        for c, box, score in zip(
            detections.of(i).category_ids.tolist(),
            detections.of(i).xywh.tolist(),
            detections.of(i).scores.tolist(),
            strict=True,
        )
    ]


def lines(entries):
    return "\n".join(map(json.dumps, entries))


TEXT = json.dumps(MADE)
FORMS = {
    "plain": (TEXT.encode(), {}),
    "packed": (gzip.compress(TEXT.encode()), {"packed": 1}),
    "utf-16": (TEXT.encode("utf-16"), {"encoding": 1}),
    "mark": (TEXT.encode("utf-8-sig"), {"encoding": 1}),
    "lines": (lines(MADE).encode(), {"lines": 1}),
    "lists in lines": (lines([MADE[:2], [], MADE[2:]]).encode(), {"lines": 1}),
    "packed lines": (gzip.compress(lines(MADE).encode()), {"packed": 1, "lines": 1}),
    "annotations": (json.dumps({"annotations": MADE}).encode(), {"wrapped": 1}),
    "data set": (json.dumps({"images": [], "annotations": MADE}).encode(), {"wrapped": 1}),
    "predictions": (json.dumps({"info": {}, "predictions": MADE}).encode(), {"wrapped": 1}),
    "results": (json.dumps({"results": MADE}).encode(), {"wrapped": 1}),
    "detections": (json.dumps({"detections": MADE, "version": 3}).encode(), {"wrapped": 1}),
}


@pytest.mark.parametrize(("content", "changed"), FORMS.values(), ids=FORMS)
def test_each_form_has_the_same_detections(tmp_path, content, changed):
    file = tmp_path / "boxes.json"
    file.write_bytes(content)
    found = Detections(file)
    assert rows(found) == MADE
    assert found.findings == changed
    assert changed.keys() <= CHANGES.keys()


def test_an_object_of_images_gives_its_lists_their_image(tmp_path):
    file = tmp_path / "boxes.json"
    bare = [{k: v for k, v in entry.items() if k != "image_id"} for entry in MADE]
    file.write_text(json.dumps({"photos/a.jpg": bare[:2], "2": bare[2:]}))
    found = Detections(file, known=Known.of({1: "a.jpg", 2: "b.jpg"}))
    assert rows(found) == MADE
    assert found.findings == {"keyed": 2, "by_file_name": 2, "ids_as_text": 1}


@pytest.mark.parametrize("entry", [MADE[0], {**MADE[0], "segmentation": {"counts": "[", "size": [1, 1]}}])
def test_one_line_is_one_detection(tmp_path, entry):
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(entry))
    assert rows(Detections(file)) == MADE[:1]


@pytest.mark.parametrize("content", [{"predictions": []}, {"annotations": []}])
def test_an_empty_list_within_an_object_is_a_detector_that_found_nothing(tmp_path, content):
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(content))
    assert len(Detections(file)) == 0


def test_lines_of_two_kinds_are_refused_by_number(tmp_path):
    file = tmp_path / "boxes.json"
    file.write_text(lines([*MADE, 5]))
    with pytest.raises(SambenchError, match=r"boxes\.json: line 4 is not a detection"):
        Detections(file)


def test_a_data_set_of_predictions_that_numbers_by_itself_is_matched_by_its_names(tmp_path):
    """As FiftyOne exports predictions: images and categories numbered anew, by file and by name."""
    own = {
        "images": [{"id": 1, "file_name": "data/b.jpg"}, {"id": 2, "file_name": "data/a.jpg"}],
        "categories": [{"id": 3, "name": "dog"}, {"id": 4, "name": "cat"}],
        "annotations": MADE,
    }
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(own))
    known = Known.of({1: "a.jpg", 2: "b.jpg"}, names=[(3, "cat"), (4, "dog")])
    found = Detections(file, known=known)
    swapped = [m | {"image_id": 3 - m["image_id"], "category_id": 7 - m["category_id"]} for m in MADE]
    assert rows(found) == sorted(swapped, key=lambda m: (m["image_id"], -m["score"]))
    assert found.findings["own_ids"] == 6  # three images and three categories

    same = Known.of({1: "b.jpg", 2: "a.jpg"}, names=[(3, "dog"), (4, "cat")])
    found = Detections(file, known=same)
    assert (rows(found), found.findings) == (MADE, {"wrapped": 1})
