"""A detector's boxes beside the annotations: what is doubted at the plan stands beside the numbers too."""

import dataclasses
import json

import pyarrow as pa
import pytest

from sambench.evsam.errors import SambenchError
from sambench.suites.base import Setting
from sambench.suites.data.ids import Known
from sambench.suites.det_box import SCHEMA, DetBox
from sambench.suites.protocol import PRESETS
from sambench.suites.scoring.detector import unusual_scores

STRICT = PRESETS["strict"]


@pytest.fixture
def odd(data_root):
    return data_root / "odd-files"


def suite_on(annotations, file, **more):
    images = json.loads(annotations.read_text())["images"]
    return DetBox.on(Setting(annotations, tuple(i["id"] for i in images), file, **more))


def nothing_of(suite):
    """Records without a row."""
    return pa.Table.from_pylist([], schema=SCHEMA)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (
            "xyxy",
            "xyxy.json: 70% of the boxes leave their image; they fit as corners x0, y0, x1, y1: so they meet",
        ),
        ("cxcywh", "60% of the boxes leave their image; they fit as centre and size: so they meet 100%"),
        ("norm", "the boxes fit as x, y, width, height in shares of the image, 0 to 1: so they meet 100%"),
    ],
)
def test_boxes_of_another_kind_are_said_before_and_after(odd, file, says):
    suite = suite_on(odd / "ann.json", odd / f"12-det-wrong-box-kind/{file}.json")
    (said,) = suite.check()
    assert says in said
    assert said in suite.score(nothing_of(suite), STRICT).note


@pytest.mark.parametrize(("annotations", "file"), [("ann", "dets"), ("ann", "20-det-files/empty")])
def test_right_boxes_are_left_in_peace(odd, annotations, file):
    suite = suite_on(odd / f"{annotations}.json", odd / f"{file}.json")
    assert list(suite.check()) == []
    assert suite.score(nothing_of(suite), STRICT).note is None


def test_an_empty_list_has_an_ap_of_0(odd):
    suite = suite_on(odd / "ann.json", odd / "20-det-files/empty.json")
    metrics = suite.score(nothing_of(suite), STRICT).metrics
    assert (metrics["ap"], metrics["box_ap"]) == (0, 0)


def test_categories_off_by_one_are_said(odd):
    suite = suite_on(odd / "20-det-files/ann0.json", odd / "20-det-files/off1.json")
    (said,) = suite.check()
    assert "they agree once 1 is taken from each" in said
    assert said in suite.score(nothing_of(suite), STRICT).note


@pytest.fixture
def numbered(odd, tmp_path):
    """The odd files' annotations and boxes with images that are 0, 1, 2, and in files 1.jpg, 2.jpg, 3.jpg."""

    def with_ids(written, without=()):
        """Detections by the image's old id, 1 to 3, each as written; some images have none."""
        whole = json.loads((odd / "ann.json").read_text())
        whole["images"] = [i | {"id": i["id"] - 1, "file_name": f"{i['id']}.jpg"} for i in whole["images"]]
        whole["annotations"] = [a | {"image_id": a["image_id"] - 1} for a in whole["annotations"]]
        made = [d for d in json.loads((odd / "dets.json").read_text()) if d["image_id"] not in without]
        (tmp_path / "ann.json").write_text(json.dumps(whole))
        (tmp_path / "boxes.json").write_text(
            json.dumps([d | {"image_id": written(d["image_id"])} for d in made])
        )
        known = Known.of({i["id"]: i["file_name"] for i in whole["images"]})
        return suite_on(tmp_path / "ann.json", tmp_path / "boxes.json", known=known)

    return with_ids


def test_numbers_of_files_that_could_be_ids_are_said_to_look_like_names(numbered):
    suite = numbered(lambda i: i, without=[3])  # 1 and 2 are ids too
    (said,) = suite.check()
    assert (
        "boxes.json: image_id looks like the names of files: 100% of the annotated boxes are met so, " in said
    )
    assert "0% as ids. Write the names with their endings" in said
    assert said in suite.score(nothing_of(suite), STRICT).note


def test_ids_that_could_be_numbers_of_files_are_left_in_peace(numbered):
    suite = numbered(lambda i: i - 1, without=[1])
    assert suite.detections.other_images == {1: 0, 2: 1}
    assert list(suite.check()) == []
    assert list(numbered(lambda i: i).check()) == []  # 3 is no id: they were read as names
    assert list(numbered(lambda i: f"{i}.jpg", without=[3]).check()) == []


def test_scores_in_percent_are_said_and_noted_where_they_are_multiplied(odd):
    suite = suite_on(odd / "ann.json", odd / "20-det-files/percent.json")
    (said,) = suite.check()
    assert "scores run from 80 to 89, not from 0 to 1: percent?" in said
    assert suite.score(nothing_of(suite), STRICT).note is None
    product = dataclasses.replace(STRICT, preset="custom", score="product")
    assert suite.score(nothing_of(suite), product).note == said


def test_scores_below_0_turn_around_when_they_are_multiplied(odd, tmp_path):
    made = json.loads((odd / "dets.json").read_text())
    (tmp_path / "logits.json").write_text(json.dumps([d | {"score": -d["score"]} for d in made]))
    said = unusual_scores(suite_on(odd / "ann.json", tmp_path / "logits.json").detections)
    assert "scores run from -0.89 to -0.8, not from 0 to 1: logits?" in said
    assert "turns the order of those below 0 around" in said
    assert unusual_scores(suite_on(odd / "ann.json", odd / "dets.json").detections) is None


@pytest.mark.parametrize("file", ["dict", "dict2"])
def test_what_was_changed_is_counted_in_the_result(odd, file):
    suite = suite_on(odd / "ann.json", odd / f"20-det-files/{file}.json")
    counts = suite.score(nothing_of(suite), STRICT).counts
    assert counts["detections_wrapped"] == 1
    assert counts["detections"] == 10


def test_boxes_elsewhere_are_counted_and_some_of_other_images_alone_are_refused(odd, tmp_path):
    known = Known.of({1: "img1.jpg", 2: "img2.jpg", 3: "img3.jpg"})
    suite = suite_on(odd / "ann.json", odd / "20-det-files/else.json", known=known)
    suite.check()
    assert suite.score(nothing_of(suite), STRICT).counts["detections_elsewhere"] == 1
    made = json.loads((odd / "dets.json").read_text())
    (tmp_path / "others.json").write_text(json.dumps([d | {"image_id": "photo_9"} for d in made]))
    with pytest.raises(
        SambenchError, match=r'none of its boxes is on an image of .*, the first is on "photo_9"'
    ):
        suite_on(odd / "ann.json", tmp_path / "others.json", known=known).check()


@pytest.mark.parametrize(
    ("step", "says"), [(-1, "from 0: with 1 added to each"), (1, "from 1: with 1 less, all")]
)
def test_categories_that_would_be_listed_one_on_are_said_to_be(odd, tmp_path, step, says):
    whole = json.loads((odd / "ann.json").read_text())
    whole["categories"] = [{"id": c, "name": str(c)} for c in (3, 8, 13, 88)]
    whole["annotations"] = [a for a in whole["annotations"] if a["category_id"] in (3, 8, 13, 88)]
    (tmp_path / "ann.json").write_text(json.dumps(whole))
    made = [{k: a[k] for k in ("image_id", "bbox", "category_id")} for a in whole["annotations"]]
    moved = [d | {"category_id": d["category_id"] + step, "score": 0.5} for d in made]
    (tmp_path / "moved.json").write_text(json.dumps(moved))
    with pytest.raises(SambenchError, match=f"numbered otherwise, {says}"):
        suite_on(tmp_path / "ann.json", tmp_path / "moved.json").check()


def test_a_category_that_is_not_listed_is_refused_with_the_first_of_them(odd, tmp_path):
    made = json.loads((odd / "dets.json").read_text())
    (tmp_path / "strange.json").write_text(
        json.dumps([d | {"category_id": 500 + i} for i, d in enumerate(made)])
    )
    with pytest.raises(SambenchError, match=r"category 500, 501, 502, 503, 504 is not in .* \(10 such\)"):
        suite_on(odd / "ann.json", tmp_path / "strange.json").check()
