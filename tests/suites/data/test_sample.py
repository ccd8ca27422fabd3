"""Samples of real images, and what of them is refused."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.prefetch import prefetch
from sambench.suites.data.sample import load_sample


def test_a_real_sample_has_the_pixels_and_objects_of_its_annotations(coco_mini):
    oracle = COCO(coco_mini.annotations)
    data = CocoDataset(*coco_mini)
    for sample in prefetch(load_sample, data.entries[::12]):
        with Image.open(coco_mini.images / oracle.imgs[sample.image_id]["file_name"]) as stored:
            np.testing.assert_array_equal(sample.image, stored.convert("RGB"))
        assert sample.file_name == oracle.imgs[sample.image_id]["file_name"]
        annotations = oracle.imgToAnns[sample.image_id]
        assert [t.ann_id for t in sample.targets] == [a["id"] for a in annotations]
        for found, annotated in zip(sample.targets, annotations, strict=True):
            x, y, w, h = annotated["bbox"]
            assert found.box == (x, y, x + w, y + h)
            assert found.area == annotated["area"]
            assert found.iscrowd is bool(annotated["iscrowd"])
            assert found.category_id == annotated["category_id"]
            assert sample.categories[found.category_id] == oracle.cats[found.category_id]["name"]
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
        load_sample(entry([[0, 0, 2, 0, 2, 2]], height=7, width=9))
