"""Detections with their own lists of images and categories: ids are what these say, or it cannot be told."""

import json

import pytest

from sambench.evsam.errors import SambenchError
from sambench.suites.data.detections import Detections
from sambench.suites.data.ids import Known

FILES = {1: "img1.jpg", 2: "img2.jpg", 3: "img3.jpg"}
NAMES = ((1, "person"), (2, "car"), (3, "bed"))


@pytest.fixture
def read(tmp_path):
    """Where each entry of a file with its own lists comes to lie: image and category, in the file's order."""

    def to_places(entries, images=(), categories=(), files=FILES):
        made = [
            {"image_id": i, "category_id": c, "bbox": [n, 0, 5, 5], "score": 0.5}
            for n, (i, c) in enumerate(entries)
        ]
        own = {
            "images": [{"id": i, "file_name": name} for i, name in dict(images).items()],
            "categories": [{"id": c, "name": name} for c, name in dict(categories).items()],
            "annotations": made,
        }
        file = tmp_path / "boxes.json"
        file.write_text(json.dumps(own))
        found = Detections(file, known=Known.of(files, names=NAMES))
        where = {
            x: (i, c)
            for i in found.image_ids.tolist()
            for x, c in zip(found.of(i).xywh[:, 0].tolist(), found.of(i).category_ids.tolist(), strict=True)
        }
        return [where.get(n) for n in range(len(made))], found

    return to_places


@pytest.mark.parametrize(
    ("images", "want", "others"),
    [
        ({1: "img1.jpg", 2: "img2.jpg"}, [1, 2, 3], 0),  # as annotated, so an id that is not listed is too
        ({1: "img3.jpg", 2: "x/img1.png", 3: "img2.jpg"}, [3, 1, 2], 3),
        ({1: "img1.jpg", 2: "other.jpg", 3: "img3.jpg"}, [1, None, 3], 0),
        ({1: "other.jpg", 2: "img1.jpg", 3: "img2.jpg"}, [None, 1, 2], 2),
        ({1: "o1.jpg", 2: "o2.jpg", 3: "o3.jpg"}, [None] * 3, 0),
        ({1: "o1.jpg"}, [None, 2, 3], 0),
        ({1: " ", 2: ""}, [1, 2, 3], 0),
        ({7: "img3.jpg"}, [1, 2, 3], 0),
    ],
)
def test_an_image_is_the_one_that_its_own_name_says(read, images, want, others):
    where, found = read([(1, 1), (2, 1), (3, 1)], images)
    assert where == [image and (image, 1) for image in want]
    assert found.findings.get("own_ids", 0) == found.findings.get("by_file_name", 0) == others
    assert found.unmatched == want.count(None)


def test_the_first_that_is_elsewhere_is_shown_by_its_name(read):
    assert read([(1, 1)], {1: "o1.jpg"})[1].strange == '"o1.jpg"'
    assert read([(9, 1)])[1].strange == "9"


def test_annotations_without_names_of_files_leave_ids_as_they_are(read):
    assert read([(1, 1), (2, 1)], {1: "a.jpg", 2: "b.jpg"}, files={1: "", 2: ""})[0] == [(1, 1), (2, 1)]


def test_files_of_one_name_in_two_folders_are_told_by_their_ids(read):
    files = {1: "a/1.jpg", 2: "b/1.jpg", 3: "c.jpg"}
    assert read([(1, 1), (2, 1)], files, files=files)[0] == [(1, 1), (2, 1)]
    with pytest.raises(
        SambenchError, match=r'image_id is 7, by its own list "b/1\.jpg", which fits two images'
    ):
        read([(7, 1)], {7: "b/1.jpg"}, files=files)


def test_an_id_that_a_list_of_other_numbers_lacks_is_refused(read):
    with pytest.raises(SambenchError) as caught:
        read([(2, 1), (3, 1), (1, 1), (1, 1)], {2: "img1.jpg", 3: "img2.jpg"}, {1: "person"})
    assert "entry 2: image_id is 1, which its own list lacks, while that list numbers otherwise" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("categories", "want"),
    [
        ({1: "person", 2: "automobile", 3: "bed"}, [1, 2, 3]),  # spelled otherwise
        ({1: "a", 2: "b", 3: "c"}, [1, 2, 3]),
        ({1: "bed", 2: "person", 3: "car"}, [3, 1, 2]),
    ],
)
def test_a_category_is_the_one_that_its_own_name_says(read, categories, want):
    assert read([(1, 1), (1, 2), (1, 3)], categories=categories)[0] == [(1, c) for c in want]


def test_an_unknown_name_in_a_list_of_other_numbers_is_refused(read):
    with pytest.raises(
        SambenchError, match='category_id is 3, by its own list "truck", which is not a categ'
    ):
        read([(1, 1), (1, 2), (1, 3)], categories={1: "bed", 2: "person", 3: "truck"})
