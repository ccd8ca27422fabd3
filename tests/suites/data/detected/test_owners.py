"""Which image and category a detection is of, however its ids are written."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sambench.evsam.errors import SambenchError
from sambench.suites.data.detected.kinds import CHANGES
from sambench.suites.data.detections import Detections
from sambench.suites.data.ids import Ids, Known

COCO = {139: "000000000139.jpg", 285: "000000000285.jpg"}
OWN = {1: "photos/beach_01.jpg", 2: "photos\\beach_02.jpg", 3: "münchen.v2.png"}
TWO_FOLDERS = {1: "a/7.jpg", 2: "b/7.jpg", 3: "8.jpg"}


@pytest.fixture
def read(tmp_path):
    """Detections of some images and categories, with what is known."""

    def to_file(image_ids, known, category_ids=None):
        file = tmp_path / "boxes.json"
        category_ids = category_ids or [1] * len(image_ids)
        entries = [
            {"image_id": i, "category_id": c, "bbox": [n, 0, 5, 5], "score": 0.5}
            for n, (i, c) in enumerate(zip(image_ids, category_ids, strict=True))
        ]
        file.write_text(json.dumps(entries))
        return Detections(file, known=known)

    return to_file


def owners(found):
    """The image of each entry, in the order of the file; 0 of one that is elsewhere."""
    by_entry = {x: i for i in found.image_ids.tolist() for x in found.of(i).xywh[:, 0].tolist()}
    return [by_entry.get(n, 0) for n in range(len(found) + found.unmatched)]


@pytest.mark.parametrize(
    ("files", "written", "want", "findings"),
    [
        (COCO, [139, 285], [139, 285], {}),
        (COCO, ["139", 285.0], [139, 285], {"ids_as_text": 2}),
        (COCO, ["000000000139", "000000000285.jpg"], [139, 285], {"ids_as_text": 1, "by_file_name": 1}),
        (COCO, ["val2017/000000000139.jpg", 5], [139, 0], {"by_file_name": 1}),
        (OWN, ["beach_01", "beach_02"], [1, 2], {"by_file_name": 2}),
        (OWN, ["D:\\photos\\beach_02.jpg", "beach_01.jpg"], [2, 1], {"by_file_name": 2}),
        (OWN, ["mu\u0308nchen.v2", "münchen.v2.png", "x"], [3, 3, 0], {"by_file_name": 2}),
        ({5: "0007.jpg", 6: "0008.jpg"}, [7, 8], [5, 6], {"by_file_name": 2}),  # as ultralytics has them
        ({1: "0.jpg", 2: "1.jpg", 3: "2.jpg"}, [3, 1, 2], [3, 1, 2], {}),  # one is no file: they are ids
        ({1: "0.jpg", 2: "1.jpg", 3: "2.jpg"}, [0, 1, 2], [1, 2, 3], {"by_file_name": 3}),
        ({1: "0.jpg", 2: "1.jpg"}, ["1.jpg", "0.jpg"], [2, 1], {"by_file_name": 2}),
        ({1: "2.jpg", 2: "1.jpg"}, [1, 2], [1, 2], {}),  # numbers that fit both ways are ids
        (TWO_FOLDERS, [1, 2, 3], [1, 2, 3], {}),
        ({1: "a.jpg", 2: "B.JPEG"}, ["a.b", "a.b.jpg", "a.v2.png", "B"], [0, 0, 0, 2], {"by_file_name": 1}),
        ({1: "a.b", 2: "c.d.PNG"}, ["a.b", "x/a.b", "c.d", "c.d.jpg"], [1, 1, 2, 2], {"by_file_name": 4}),
        ({1: "http://x/a.jpg?s=1"}, ["a", "a.jpg", "http://x/a.jpg?s=1"], [1, 1, 1], {"by_file_name": 3}),
    ],
)
def test_an_image_is_matched_by_id_else_by_its_file(read, files, written, want, findings):
    found = read(written, Known.of(files))
    assert owners(found) == want
    assert found.findings == findings
    assert findings.keys() <= CHANGES.keys()
    assert found.unmatched == want.count(0)
    assert found.for_images(files).elsewhere == want.count(0)


@pytest.mark.parametrize(
    ("files", "written", "other", "by_name"),
    [
        ({0: "1.jpg", 1: "2.jpg", 2: "3.jpg"}, [1, 2], {1: 0, 2: 1}, False),
        ({0: "1.jpg", 1: "2.jpg", 2: "3.jpg"}, [1, 2, 3], {0: 1, 1: 2}, True),  # 3 is no id
        ({0: "1.jpg", 1: "2.jpg", 2: "3.jpg"}, [0, 1, 2], {1: 0, 2: 1}, False),  # 0 is no name
        ({0: "1.jpg", 1: "2.jpg", 2: "3.jpg"}, ["1.jpg"], {}, False),
        (COCO, [139, 285], {}, False),  # the same either way
        (OWN, [1, 2], {}, False),
        ({1: "a/2.jpg", 2: "b/2.jpg"}, [2], {}, False),
    ],
)
def test_what_whole_numbers_would_be_otherwise_is_kept(read, files, written, other, by_name):
    found = read(written, Known.of(files))
    assert (found.other_images, found.read_by_name) == (other, by_name)


@pytest.mark.parametrize(
    ("files", "written", "says"),
    [
        (
            {1: "2.jpg", 2: "x.jpg"},
            ["2"],
            'entry 0: image_id is "2", the id of an image, whose file is x, and ',
        ),
        ({1: "2.jpg", 2: "x.jpg"}, ["2"], "and the file name of image 1. Write the images' ids"),
        ({1: "a/7.jpg", 7: "b/1.jpg", 8: "c/1.jpg"}, ["1"], "the id of an image, whose file is 7, and the"),
        (
            {1: "a/1.jpg", 2: "b/1.jpg"},
            ["1"],
            "the id of an image, whose file is 1, and the file name of image 2",
        ),
        ({5: "a/1.jpg", 6: "b/1.jpg", 1: "c/1.jpg"}, ["1"], "whose file is 1, and the file name of image 5"),
        (TWO_FOLDERS, ["7"], 'image_id is "7", the file name of image 1, and the file name of image 2'),
        (TWO_FOLDERS, [8, 7], "image_id is 7, the file name of image 1, and the file name of image 2"),
        (
            {1: "7.jpg", 2: "8.jpg"},
            [1, 8],
            "image_id is 1, an image's id, while other numbers are only the other",
        ),
    ],
)
def test_what_fits_two_images_is_refused_with_both(read, files, written, says):
    with pytest.raises(SambenchError, match=r"boxes\.json: ") as caught:
        read(written, Known.of(files))
    assert says in str(caught.value)


def test_thousands_that_fit_two_images_are_refused_at_once(read):
    n = 8000
    ids = Ids.of([*range(n), "x"])
    known = Known.of({i: f"{n - i}.jpg" for i in range(1, n + 2)}, images=ids)
    begun = time.process_time()
    with pytest.raises(SambenchError, match=r"boxes\.json: [78],\d{3} faults"):
        read([str(i) for i in range(n)], known)
    # It took 3 s, on a machine where this takes a third of one, where each looked through all.
    assert time.process_time() - begun < 2


def test_ids_of_any_kind_are_found_under_their_numbers(read):
    given = [2**63 + 5, "scan-7", -4]
    ids = Ids.of(given)
    known = Known.of({1: "a.jpg", 2: "b.jpg", 3: "c.jpg"}, images=ids)
    found = read([2**63 + 5, "scan-7", -4, "-4", str(2**63 + 5), 1, "b"], known)
    assert owners(found) == [1, 2, 3, 3, 1, 0, 2]
    assert found.strange == "1"
    with pytest.raises(SambenchError, match="image_id is 9223372036854775813, no whole number of 64 bits"):
        read([2**63 + 5], None)


@pytest.mark.parametrize(
    ("written", "want", "findings"),
    [
        ([4, 9], [4, 9], {}),
        ([4.0, "9"], [4, 9], {"ids_as_text": 2}),
        (["cat", " dog"], [4, 9], {"by_category_name": 2}),
    ],
)
def test_a_category_is_matched_by_id_else_by_name(read, written, want, findings):
    known = Known.of({1: "a.jpg"}, names=[(4, "cat"), (9, "dog"), (10, "x"), (11, "x")])
    found = read([1, 1], known, written)
    assert found.of(1).category_ids.tolist() == want
    assert found.findings == findings
    with pytest.raises(SambenchError, match='category_id is "x", which is not a category'):
        read([1], known, ["x"])
    for number in (5, "5", 5.0):  # `check_detections` sees from all what they may be
        assert read([1], known, [number]).category_ids == {5}
    anew = Known.of({1: "a.jpg"}, categories=Ids.of(["c7", "c9"]), names=[(1, "cat"), (2, "dog")])
    assert read([1, 1], anew, ["c9", "cat"]).category_ids == {1, 2}
    with pytest.raises(SambenchError, match="category_id is 1, which is not a category"):
        read([1], anew, [1])


def test_a_category_by_the_number_of_one_and_the_name_of_another_is_refused(read):
    known = Known.of({1: "a.jpg"}, names=[(4, "cat"), (9, "4")])
    with pytest.raises(SambenchError, match='category_id is "4", which fits two categories'):
        read([1], known, ["4"])
    assert read([1], known, [4]).category_ids == {4}


@settings(max_examples=25)
@given(st.lists(st.integers(-5, 12), min_size=1, max_size=8))
def test_an_id_is_the_same_in_each_way_of_writing_it(tmp_path_factory, ids):
    file = tmp_path_factory.mktemp("ids") / "boxes.json"
    known = Known.of({i: f"photo_{i}.jpg" for i in range(-3, 9)})
    want = [i if -3 <= i < 9 else None for i in ids]
    for way in (int, float, str, lambda i: f"{i}.0", lambda i: f"photo_{i}", lambda i: f"x/photo_{i}.jpg"):
        entries = [
            {"image_id": way(i), "category_id": 1, "bbox": [n, 0, 5, 5], "score": 0.5}
            for n, i in enumerate(ids)
        ]
        file.write_text(json.dumps(entries))
        found = Detections(file, known=known)
        of_entry = {x: i for i in found.image_ids.tolist() for x in found.of(i).xywh[:, 0].tolist()}
        assert [of_entry.get(n) for n in range(len(ids))] == want
