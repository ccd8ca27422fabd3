"""What the reader of annotation files leaves to those who read it; `test_coco` has what it refuses."""

import hashlib
import json

import pytest

from sambench.evsam.errors import SambenchError
from sambench.suites.data.annotations import read_annotations, refuse_twice

IMAGE = {"id": 1, "file_name": "1.jpg"}
OBJECT = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "area": 1, "segmentation": []}


@pytest.fixture
def file(tmp_path):
    """Write a file of images and annotations."""

    def file(images, annotations, **more):
        path = tmp_path / "a.json"
        path.write_text(json.dumps({"images": images, "annotations": annotations} | more))
        return path

    return file


def test_the_digest_is_of_the_bytes_that_were_parsed(file):
    path = file([IMAGE], [OBJECT])
    assert read_annotations(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_no_list_of_categories_is_told_from_an_empty_one(file):
    assert read_annotations(file([IMAGE], [])).categories is None
    assert read_annotations(file([IMAGE], [], categories=[])).categories == []


def test_lvis_fields_are_not_looked_at(file):
    odd = IMAGE | {"neg_category_ids": "none", "not_exhaustive_category_ids": None}
    (image,) = read_annotations(file([odd], [])).images
    assert [bytes(image.neg_category_ids), bytes(image.not_exhaustive_category_ids)] == [b'"none"', b"null"]
    (plain,) = read_annotations(file([IMAGE], [])).images
    assert bytes(plain.neg_category_ids) == b""


def test_annotations_may_have_an_id_twice_where_they_are_numbered_anew(file):
    path = file([IMAGE], [OBJECT, OBJECT])
    with pytest.raises(SambenchError, match="annotation id 7 is there twice"):
        read_annotations(path)
    assert [a.id for a in read_annotations(path, unique_ids=False).annotations] == [7, 7]


def test_the_first_that_is_there_twice_is_named(tmp_path):
    refuse_twice(tmp_path, "thing", [3, 1, 2])
    with pytest.raises(SambenchError, match="thing 2 is there twice"):
        refuse_twice(tmp_path, "thing", [1, 2, 3, 2, 1])
