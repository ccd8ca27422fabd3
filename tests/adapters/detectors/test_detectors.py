"""What all detectors share: names, options, classes by name, boxes in NumPy."""

import numpy as np
import pytest
import torch

from sambench.adapters.detectors import base, boxes, registry
from sambench.adapters.detectors.base import Category
from sambench.evsam.errors import SambenchError

CATS = [Category(7, "cat"), Category(90, "hot dog")]


def test_every_detector_is_created_by_a_function_of_this_package():
    from sambench.adapters import plugins

    for entry in registry.DETECTORS.values():
        assert entry.target.startswith("sambench.adapters.detectors.")
        assert callable(plugins.load(entry.target))


def test_unknown_names_and_options_are_refused_with_the_nearest():
    with pytest.raises(SambenchError, match=r"Did you mean 'yolov8n'\?"):
        registry.create("yolo8n", categories=CATS)
    with pytest.raises(SambenchError, match="Did you mean 'top_k'"):
        registry.create("grounding_dino_t", categories=CATS, topk=3)
    with pytest.raises(SambenchError, match=r"no option 'top_k=3'.*It has none"):
        registry.parse_options("yolov8n", ["top_k=3"])
    with pytest.raises(SambenchError, match="top_k is a whole number, not 'x'"):
        registry.parse_options("grounding_dino_t", ["top_k=x"])
    options = registry.parse_options("grounding_dino_t", ["top_k=3", "tokenizer=a=b"])
    assert options == {"top_k": 3, "tokenizer": "a=b"}


def test_without_categories_there_is_nothing_to_detect():
    with pytest.raises(SambenchError, match="no categories"):
        registry.create("yolov8n", categories=[])


def test_vitdet_says_where_its_boxes_come_from():
    with pytest.raises(SambenchError, match=r"--detections vitdet=FILE.*needs detectron2"):
        registry.create("vitdet", categories=CATS)


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(SambenchError, match=r"no weights at .*a\.pt.*--weights PATH"):
        base.find_weights("d", None, tmp_path / "a.pt")
    (tmp_path / "a.pt").write_bytes(b"abc")
    found = base.find_weights("d", None, tmp_path / "a.pt")
    assert found.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert base.find_weights("d", "random", tmp_path / "b").source == "random"


def test_classes_map_to_ids_by_name_and_not_by_position():
    assert base.ids_by_name("d", ["Hot_Dog", "tree", "cat"], CATS) == [90, None, 7]


def test_a_category_that_a_detector_does_not_know_is_named():
    with pytest.raises(
        SambenchError, match=r"does not know 1 of the 2 categories: hot dog\. It knows cat, dog"
    ):
        base.ids_by_name("d", ["cat", "dog"], CATS)
    with pytest.raises(SambenchError, match="two categories named 'Cat'"):
        base.ids_by_name("d", ["cat", "hot dog"], [*CATS, Category(8, "Cat")])
    with pytest.raises(SambenchError, match="two classes of one name"):
        base.ids_by_name("d", ["cat", "Cat", "hot dog"], CATS)


class Echo(base.Detector):
    def detect_one(self, image):
        return base.ImageBoxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=int))


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))]
)
def test_an_image_of_another_kind_is_refused(image):
    with pytest.raises(SambenchError, match="not uint8"):
        Echo().detect([image])


def test_boxes_and_scores_of_different_numbers_cannot_be_given():
    with pytest.raises(AssertionError):
        base.ImageBoxes(np.zeros((2, 4)), np.zeros(1), np.zeros(2, dtype=int))


@pytest.mark.parametrize("most", [5, 1000])
def test_nms_keeps_what_torchvision_keeps(most):
    ops = pytest.importorskip("torchvision.ops")
    rng = np.random.default_rng(3)
    low = rng.uniform(0, 100, (600, 2))
    given = np.concatenate([low, low + rng.uniform(5, 60, (600, 2))], axis=1)
    scores, classes = rng.permutation(600) / 600, rng.integers(0, 4, 600)
    want = ops.batched_nms(*(torch.from_numpy(a) for a in (given, scores, classes)), 0.4).numpy()
    assert 50 < len(want) < 550
    assert boxes.nms(given, scores, classes, 0.4, most).tolist() == want[:most].tolist()


def test_nms_tells_classes_apart_and_keeps_boxes_at_the_very_overlap():
    same = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 5]])
    assert boxes.nms(same, np.array([0.5, 0.9, 0.1]), np.array([0, 0, 0]), 0.5, 9).tolist() == [1, 2]
    assert boxes.nms(same, np.array([0.5, 0.9, 0.1]), np.array([0, 1, 0]), 0.4, 9).tolist() == [1, 0]
    assert boxes.nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0), 0.5, 9).tolist() == []
    assert boxes.nms(np.zeros((2, 4)), np.zeros(2), np.zeros(2), 0.5, 9).tolist() == [0, 1]


@pytest.mark.parametrize(
    "size", [(480, 640), (427, 640), (333, 500), (461, 614), (640, 640), (1, 900), (31, 7)]
)
def test_the_letterbox_is_undone_exactly(size):
    letterbox = boxes.Letterbox(*size, 640)
    (height, width), (top, left) = letterbox.resized, letterbox.corner
    drawn = np.array([[left, top, left + width, top + height], [0, 0, 640, 640]], dtype=float)
    whole = [0, 0, size[1], size[0]]
    assert letterbox.undo(drawn).tolist() == [pytest.approx(whole), pytest.approx(whole)]
    square = letterbox.apply(np.full((*size, 3), 7, np.uint8))
    inside = square[top : top + height, left : left + width]
    assert (inside == 7).all()
    assert (square == boxes.GREY).sum() == square.size - inside.size
