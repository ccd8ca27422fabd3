"""YOLOv8: a recorded result of real weights and ultralytics' own pieces are the oracles."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tiny_ultralytics
import torch

from sambench.adapters.base import Weights
from sambench.adapters.detectors import boxes, registry, yolov8
from sambench.adapters.detectors.base import Category
from sambench.adapters.images import read_image
from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import CocoDataset
from tests.conftest import missing
from tests.golden import golden

THREE = [Category(3, "cat"), Category(1, "dog"), Category(90, "hot dog")]
CPU = torch.device("cpu")


def rows_of(image_id, found):
    """(N, 7): image, category, score, x, y, w, h."""
    size = found.boxes[:, 2:] - found.boxes[:, :2]
    head = [np.full(len(found), image_id), found.category_ids, found.scores]
    return np.column_stack([*head, found.boxes[:, :2], size])


# Real weights


@pytest.fixture(scope="module")
def onnx_file(data_root):
    pytest.importorskip("onnxruntime")
    file = data_root.parent / "weights" / "yolov8n_int8.onnx"
    return file if file.exists() else missing(f"{file}: not there")


@pytest.fixture(scope="module")
def dataset(coco_mini):
    return CocoDataset(*coco_mini)


@pytest.fixture(scope="module")
def detector(onnx_file, dataset):
    categories = [Category(*pair) for pair in dataset.categories.items()]
    return registry.create("yolov8n", categories=categories, weights=str(onnx_file))


LOOKED_AT = 60
"""Images that are detected on again."""


@pytest.fixture(scope="module")
def found(detector, dataset):
    rows = []
    for entry in dataset.entries[:LOOKED_AT]:
        (one,) = detector.detect([read_image(entry.file)])
        rows.append(rows_of(entry.record.id, one))
    return np.concatenate(rows)


@pytest.fixture(scope="module")
def recorded(data_root):
    file = data_root / "detections" / "genuine_yolov8n_int8_coco-mini.json"
    if not file.exists():
        missing(f"{file}: not there")
    rows = json.loads(file.read_text())
    return np.array([[r["image_id"], r["category_id"], r["score"], *r["bbox"]] for r in rows])


@pytest.mark.slow
def test_the_recorded_boxes_of_real_weights_are_found_again(found, recorded, dataset):
    """To the record's last digit, but for images that the resize had to round: there the record undid the
    letterbox by one scale for both axes, which is up to half a pixel off at the far edge."""
    assert len(recorded) == 24_069
    exact = strangers = 0
    for entry in dataset.entries[:LOOKED_AT]:
        height, width = entry.record.height, entry.record.width
        ours, theirs = (rows[rows[:, 0] == entry.record.id] for rows in (found, recorded))
        assert len(ours) == len(theirs)
        lying = boxes.Letterbox(height, width, 640)
        unrounded = lying.resized[0] * width == lying.resized[1] * height
        exact += unrounded * len(ours)
        limit = np.array([0, 1e-6, *[0.001 if unrounded else 0.45] * 4])
        for row in theirs:
            strangers += not (np.abs(ours[:, 1:] - row[1:]) <= limit).all(axis=1).any()
    assert exact > 0.8 * len(found) > 5_000
    assert strangers <= 5  # an overlap of 0.7 within rounding


@pytest.mark.slow
def test_box_ap_of_real_weights_is_the_recorded_one(found, recorded, coco_mini):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(coco_mini.annotations))

    def stats(rows, image_ids):
        result = [
            {"image_id": int(r[0]), "category_id": int(r[1]), "score": r[2], "bbox": list(r[3:])}
            for r in rows
        ]
        evaluation = COCOeval(truth, truth.loadRes(result), "bbox")
        evaluation.params.imgIds = sorted(map(int, image_ids))
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation.stats[:2]

    assert stats(recorded, truth.getImgIds()) == pytest.approx([0.400, 0.567], abs=0.002)
    again = set(found[:, 0])
    assert stats(found, again) == pytest.approx(stats(recorded, again), abs=0.002)


def test_scores_are_not_rounded_and_categories_are_the_data_sets(detector, dataset):
    (one,) = detector.detect([read_image(dataset.entries[0].file)])
    assert len(one) == len(set(one.boxes[:, 0])) or len(one) > 20
    assert any(float(s) != round(float(s), 6) for s in one.scores)
    assert set(one.category_ids) <= set(dataset.categories)
    assert (np.diff(one.scores) <= 0).all()
    assert one.scores.min() > 0.001


def test_weights_say_which_they_are_and_settings_what_decides(detector):
    assert detector.weights.sha256.startswith("83de8f0d2cd521e0")
    assert detector.libraries == ("onnxruntime",)
    assert detector.settings["confidence"] == 0.001
    assert detector.settings["classes_left_out"] == []
    json.dumps(detector.settings)


def test_an_export_of_another_model_or_of_none_is_refused(onnx_file, detector, tmp_path):
    categories = [Category(1, "person")]
    with pytest.raises(SambenchError, match="is no yolov8s; it says 'Ultralytics YOLOv8n"):
        registry.create("yolov8s", categories=categories, weights=str(onnx_file))
    with pytest.raises(SambenchError, match="does not know 1 of the 1 categories: unicorn"):
        registry.create("yolov8n", categories=[Category(1, "unicorn")], weights=str(onnx_file))
    damaged = tmp_path / "yolov8n.onnx"
    damaged.write_bytes(onnx_file.read_bytes()[:1000])
    with pytest.raises(SambenchError, match="no ONNX model"):
        registry.create("yolov8n", categories=categories, weights=str(damaged))


def test_a_data_set_of_some_classes_gets_boxes_of_those_alone(onnx_file, dataset, detector):
    few = registry.create("yolov8n", categories=[Category(5, "person")], weights=str(onnx_file))
    entry = next(e for e in dataset.entries if any(a.category_id == 1 for a in e.annotations))
    image = read_image(entry.file)
    (one,), (all_,) = few.detect([image]), detector.detect([image])
    assert set(one.category_ids) == {5}
    persons = all_.scores[all_.category_ids == 1]
    assert one.scores[: len(persons)].tolist() == persons.tolist()
    assert len(few.settings["classes_left_out"]) == 79


def test_a_library_that_is_missing_is_named(onnx_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SambenchError, match=r"needs onnxruntime.*pip install 'sambench\[onnx\]'"):
        registry.create("yolov8n", categories=[Category(1, "person")], weights=str(onnx_file))


# A network whose answer is known


def told(anchors):
    """A detector that sees just these anchors: (cx, cy, w, h) in the square, scores of the three classes."""
    output = np.array([[*box, *scores] for box, scores in anchors], dtype=np.float32).T
    given = {"classes": ["dog", "hot dog", "cat"], "categories": THREE, "weights": Weights("random", seed=0)}
    return yolov8.YoloV8("yolov8n", network=lambda pixels: output, library="ultralytics", **given)


def test_boxes_come_back_in_pixels_of_the_image_with_the_data_sets_ids():
    detector = told([((320, 320, 64, 32), (0, 0.9, 0)), ((320, 320, 640, 640), (0, 0, 0.5))])
    (one,) = detector.detect([np.zeros((200, 400, 3), np.uint8)])  # lies 320 x 640 in the square, 160 down
    assert one.category_ids.tolist() == [90, 3]
    assert one.boxes.tolist() == [[180, 90, 220, 110], [0, 0, 400, 200]]
    assert one.scores.tolist() == [np.float32(0.9), np.float32(0.5)]


def test_an_anchor_makes_a_box_of_every_class_over_the_confidence():
    detector = told([((320, 320, 64, 32), (0.3, 0.0011, 0.001)), ((320, 320, 64, 33), (0.4, 0, 0))])
    (one,) = detector.detect([np.zeros((640, 640, 3), np.uint8)])
    assert one.category_ids.tolist() == [1, 90]  # the other dog is its double, and 0.001 is not over 0.001
    assert one.scores[0] == np.float32(0.4)


def test_at_most_300_boxes_are_kept_and_nothing_found_is_no_error():
    many = [((2 * i, 10, 1, 1), (0.5, 0, 0)) for i in range(310)]
    assert len(told(many).detect([np.zeros((640, 640, 3), np.uint8)])[0]) == 300
    (none,) = told([((9, 9, 9, 9), (0, 0, 0))]).detect([np.zeros((640, 640, 3), np.uint8)])
    assert none.boxes.shape == (0, 4)


# ultralytics


@pytest.fixture(scope="module")
def library():
    with tiny_ultralytics.imported() as library:
        yield library


@pytest.mark.parametrize(
    "size", [(480, 640), (427, 640), (333, 500), (461, 614), (640, 640), (1, 900), (31, 7)]
)
def test_the_letterbox_is_ultralyticss(library, size):
    image = golden.make_image(*size)
    ours = boxes.Letterbox(*size, 640)
    assert np.array_equal(ours.apply(image), library.data.augment.LetterBox((640, 640))(image=image))
    given = np.random.default_rng(0).uniform(0, 640, (20, 4))
    want = library.utils.ops.scale_boxes((640, 640), given.copy(), size)
    assert np.allclose(ours.undo(given), want)


@pytest.fixture(scope="module")
def model(library):
    """A small random YOLOv8n of three classes, whose scores spread."""
    torch.manual_seed(0)
    model = library.nn.tasks.DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    model.names = {0: "dog", 1: "hot dog", 2: "cat"}
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(1, 3, 256, 256))
        for scores in model.model[-1].cv3:
            scores[-1].weight.normal_(0, 0.001)  # no score reaches 1: ties have no order
            scores[-1].bias.fill_(-3)
    return model.eval()


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("yolov8") / "yolov8n.pt"
    torch.save({"model": model, "ema": None, "train_args": {}}, path)
    return path


@pytest.mark.slow
def test_a_checkpoint_finds_what_ultralytics_finds_with_it(library, model, checkpoint):
    image = golden.make_image(333, 500)
    detector = registry.create("yolov8n", categories=THREE, weights=str(checkpoint))
    (ours,) = detector.detect([image])
    square = library.data.augment.LetterBox((640, 640))(image=image)
    with torch.no_grad():
        raw = model(torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255)[0]
    (rows,) = library.utils.nms.non_max_suppression(raw, 0.001, 0.7, multi_label=True, max_det=300)
    rows[:, :4] = library.utils.ops.scale_boxes((640, 640), rows[:, :4], image.shape[:2])
    ids = np.array([1, 90, 3])[rows[:, 5].int().numpy()]
    assert len(ours) == len(rows) > 100
    assert np.abs(ours.scores - rows[:, 4].numpy()).max() < 1e-5  # both fall
    same = (ours.category_ids == ids) & (np.abs(ours.boxes - rows[:, :4].numpy()).max(axis=1) < 0.05)
    assert same.mean() > 0.97  # nearly equal scores change places


def test_a_checkpoint_of_another_size_or_kind_is_refused(library, checkpoint, tmp_path):
    with pytest.raises(SambenchError, match=r"is no yolov8s"):
        registry.create("yolov8s", categories=THREE, weights=str(checkpoint))
    other = tiny_ultralytics.save_fast_sam(library, tmp_path)
    with pytest.raises(SambenchError, match="holds a SegmentationModel"):
        registry.create("yolov8n", categories=THREE, weights=str(other))
    with pytest.raises(SambenchError, match="does not know 1 of the 1 categories: bird"):
        registry.create("yolov8n", categories=[Category(1, "bird")], weights=str(checkpoint))


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_holds_code_is_refused_and_not_run(library, tmp_path):
    path = tmp_path / "yolov8n.pt"
    torch.save({"model": Evil(tmp_path / "made"), "ema": None}, path)
    with pytest.raises(SambenchError, match="refused"):
        registry.create("yolov8n", categories=THREE, weights=str(path))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(("name", "millions"), [("yolov8n", 3.2), ("yolov8s", 11.2), ("yolov8x", 68.2)])
def test_random_weights_are_of_the_size_that_was_asked_for(library, name, millions):
    """Millions of parameters as ultralytics' page on YOLOv8 gives them."""
    model = yolov8._build(library, name, 80)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


def test_random_weights_are_seeded_and_say_so(library):
    image = golden.make_image(100, 120)
    a, b = (registry.create("yolov8n", categories=THREE, weights="random") for _ in range(2))
    assert a.weights == Weights("random", seed=0)
    (first,), (second,) = a.detect([image]), b.detect([image])
    assert first.scores.tolist() == second.scores.tolist()


@pytest.mark.slow
def test_an_onnx_needs_no_ultralytics(onnx_file):
    code = (
        "import sys; sys.modules['ultralytics'] = None\n"
        "from sambench.adapters.detectors import registry, base\n"
        f"registry.create('yolov8n', categories=[base.Category(1, 'person')], weights={str(onnx_file)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
