"""Detectors' boxes through the command: one cell a file, whatever the shards, the batches, the order."""

import json
import random

import pytest
from command import call, cell_of, cells_of, rows_of, shards_of

from sambench.suites.data import coco

DETECTORS = ("vitdet", "yolov8")


@pytest.fixture(scope="module")
def boxes(data_root):
    """Two synthetic detectors' files for coco-mini."""
    folder = data_root / "detections" / "synthetic" / "coco-mini"
    return {name: next(folder.glob(f"*{name}*")) for name in DETECTORS}


@pytest.fixture(scope="module")
def command(coco_mini, boxes):
    """A run of the ellipse on some images of coco-mini with both detectors' boxes."""

    def command(out, *more, detections=boxes, limit=10):
        data = ["--dataset", "coco", "--images", coco_mini.images, "--annotations", coco_mini.annotations]
        for name, file in detections.items():
            data += ["--detections", f"{name}={file}"]
        run = ["run", "--models", "ellipse", "--suites", "det_box,gt_box", *data, "--limit", limit]
        return call(*run, "--protocol", "paper", "--out", out, *more)

    return command


@pytest.fixture(scope="module")
def plain(command, tmp_path_factory):
    """A run as it comes, and its folder."""
    out = tmp_path_factory.mktemp("plain") / "out"
    return command(out), out


def test_a_run_reads_the_annotations_once_for_its_scores(command, boxes, tmp_path, monkeypatch):
    given, read = coco.read_annotations, []
    note = lambda path, *more: read.append(path) or given(path, *more)  # noqa: E731
    monkeypatch.setattr(coco, "read_annotations", note)
    assert command(tmp_path, detections={"vitdet": boxes["vitdet"]}, limit=2).code == 0
    assert len(read) == 1


def ap_of(out, name):
    return cell_of(out, suite="det_box", dataset=f"coco/{name}")["metrics"]


def test_each_detector_is_a_cell_with_its_own_box_ap_beside(plain, boxes):
    done, out = plain
    assert done.code == 0, done.err
    assert {(c["suite"], c["dataset"]) for c in cells_of(out)} == {
        ("det_box", "coco/vitdet"),
        ("det_box", "coco/yolov8"),
        ("gt_box", "coco"),
    }
    for name in DETECTORS:
        cell = cell_of(out, dataset=f"coco/{name}")
        assert 0 < cell["metrics"]["ap"] < cell["metrics"]["box_ap"] < 100
        assert cell["provenance"]["detections"]["path"] == boxes[name].as_posix()
        assert len(cell["provenance"]["detections"]["sha256"]) == 64
        rows = rows_of(out, cell)
        assert len(rows) == cell["n_instances"] == cell["counts"]["detections"]
        assert set(rows[0]) == {
            "image_id", "file_name", "category_id", "category", "score", "bbox", "segmentation", "pred_iou",
            "choice", "model", "weights", "engine", "precision", "suite", "dataset", "protocol",
        }  # fmt: skip
        assert "Boxes' own AP" in done.out
    assert ap_of(out, "vitdet")["box_ap"] > ap_of(out, "yolov8")["box_ap"]
    assert "crowd_dropped" not in cell_of(out, suite="det_box", dataset="coco/vitdet")["counts"]


@pytest.mark.slow
def test_neither_order_nor_batches_nor_shards_move_a_number(command, plain, tmp_path, boxes, monkeypatch):
    shuffled = {}
    for name, file in boxes.items():
        rows = json.loads(file.read_text())
        random.Random(7).shuffle(rows)
        shuffled[name] = tmp_path / f"{name}.json"
        shuffled[name].write_text(json.dumps(rows))
    monkeypatch.setattr("sambench.harness.plan.SHARD_IMAGES", 3)
    assert command(tmp_path, "--batch-size", "4", detections=shuffled).code == 0
    assert len(shards_of(tmp_path)) > len(shards_of(plain[1]))
    for name in DETECTORS:
        assert ap_of(tmp_path, name) == ap_of(plain[1], name)


@pytest.mark.slow
@pytest.mark.parametrize("evaluator", ["pycocotools", "hotcoco"])
def test_the_evaluator_can_be_chosen(evaluator, command, plain, tmp_path):
    done = command(tmp_path, "--evaluator", evaluator)
    assert done.code == 0, done.err
    for name in DETECTORS:
        assert ap_of(tmp_path, name) == pytest.approx(ap_of(plain[1], name), abs=1e-4)


@pytest.mark.slow
def test_lvis_is_scored_by_its_own_rules(lvis_mini, data_root, tmp_path):
    file = next((data_root / "detections" / "synthetic" / "lvis-mini").glob("*.json"))
    data = ["--dataset", "lvis", "--images", lvis_mini.images, "--annotations", lvis_mini.annotations]
    run = ["run", "--models", "box", *data, "--out", tmp_path]
    done = call(*run, "--suites", "det_box", "--detections", f"vitdet={file}")
    assert done.code == 0, done.err
    assert call(*run, "--suites", "gt_box,click", "--limit", 4).code == 0
    metrics = cell_of(tmp_path, suite="det_box", dataset="lvis/vitdet")["metrics"]
    assert {"ap_r", "ap_c", "ap_f"} <= set(metrics)
    assert metrics["ap_r"] is None  # the pack has no rare category
    assert metrics["box_ap"] == pytest.approx(66.24, abs=0.01)  # by the lvis package, quality.json
    assert {c["suite"] for c in cells_of(tmp_path) if c["status"] == "done"} == {"det_box", "gt_box", "click"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file of detections"),
        ("[", "JSON that ends in its middle"),
        ('{"images": [], "annotations": []}', "an annotation file, not detections"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1], "score": 1}]', "entry 0"),
        (
            '[{"image_id": 785, "category_id": 9999, "bbox": [0, 0, 5, 5], "score": 1}]',
            "category 9999 is not",
        ),
        ('[{"image_id": 5, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 1}]', "none of its boxes is on"),
    ],
)
def test_a_wrong_file_is_said_before_anything_is_computed(content, message, command, tmp_path):
    file = tmp_path / "boxes.json"
    if content is not None:
        file.write_text(content)
    done = command(tmp_path / "out", detections={"mine": file}, limit=200)
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "out").exists()


def test_without_boxes_the_suite_says_what_it_needs(command, tmp_path):
    done = command(tmp_path / "out", detections={})
    assert done.code == 2
    assert "--detections NAME=FILE" in done.err


def test_a_name_that_is_compared_with_the_paper_must_be_said(coco_mini, boxes, tmp_path):
    file = tmp_path / "vitdet.json"
    file.write_bytes(boxes["vitdet"].read_bytes())
    data = ["--dataset", "coco", "--images", coco_mini.images, "--annotations", coco_mini.annotations]
    run = ["run", "--models", "box", "--suites", "det_box", *data, "--out", tmp_path / "out", "--dry-run"]
    refused = call(*run, "--detections", file)
    assert refused.code == 2
    assert f"Say vitdet={file}" in refused.err
    assert call(*run, "--detections", f"vitdet={file}").code == 0
    twice = call(*run, "--detections", f"a={file}", "--detections", f"a={file}")
    assert "two files of 'a'" in twice.err
    assert "goes with --dataset sginw" in call(*run, "--suites", "sginw", "--detections", f"a={file}").err


def test_the_result_says_what_computed_ap(plain):
    _, out = plain
    made = cell_of(out, dataset="coco/vitdet")["provenance"]
    assert made["evaluator"] == "hotcoco"
    assert made["versions"]["hotcoco"]
    assert cell_of(out, suite="gt_box")["provenance"]["evaluator"] is None


@pytest.fixture(scope="module")
def four_of_lvis(lvis_mini, data_root, tmp_path_factory):
    """Annotations and boxes of four images in LVIS's form, with the categories seen on them."""
    boxes = next((data_root / "detections" / "synthetic" / "lvis-mini").glob("*.json"))
    content, found = (json.loads(file.read_text()) for file in (lvis_mini.annotations, boxes))
    content["images"] = content["images"][:4]
    kept = {i["id"] for i in content["images"]}
    content["annotations"], found = (
        [r for r in rows if r["image_id"] in kept] for rows in (content["annotations"], found)
    )
    seen = {r["category_id"] for r in (*content["annotations"], *found)}
    content["categories"] = [c for c in content["categories"] if c["id"] in seen]
    files = [tmp_path_factory.mktemp("lvis") / f"{name}.json" for name in ("annotations", "boxes")]
    for file, written in zip(files, (content, found), strict=True):
        file.write_text(json.dumps(written))
    return files


@pytest.mark.parametrize("rules", ["coco", "lvis"])
def test_a_data_sets_file_says_whose_rules_count(rules, lvis_mini, four_of_lvis, tmp_path):
    annotations, boxes = four_of_lvis
    yaml = tmp_path / "mine.yaml"
    where = f"images: {lvis_mini.images}\nannotations: {annotations}\n"
    yaml.write_text(f"name: mine\n{where}format: {rules}\n")
    run = ["run", "--models", "box", "--suites", "det_box", "--dataset", yaml]
    done = call(*run, "--detections", f"a={boxes}", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert ("ap_r" in cell_of(tmp_path / "out", suite="det_box")["metrics"]) == (rules == "lvis")
