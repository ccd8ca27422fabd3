"""The objects of a gallery and the paper's figure 3, from records whose masks are known."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_runs import cell, write_run
from PIL import Image, ImageDraw

from sambench.evsam.errors import SambenchError
from sambench.reports import outlines
from sambench.reports.cells import read_runs
from sambench.reports.gallery import choose, image_of
from sambench.reports.three_ways import draw_three_ways
from sambench.suites.data.rle import encode_text

SIZE = (120, 160)  # height, width
IMAGES = {1: "one.png", 2: "two.png", 3: "three.png"}


def rectangle(x0, y0, x1, y1):
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def filled(path: str) -> np.ndarray:
    """An outline drawn again: the pixels whose centres it has within it, by the even-odd rule."""
    canvas = np.zeros((SIZE[0] * 4, SIZE[1] * 4), bool)
    for part in re.findall(r"M([^Z]+)Z", path):
        points = [tuple(4 * float(v) for v in pair.split()) for pair in part.split("L")]
        one = Image.new("1", (SIZE[1] * 4, SIZE[0] * 4))
        ImageDraw.Draw(one).polygon(points, fill=1)
        canvas ^= np.asarray(one)
    return canvas[2::4, 2::4]


@pytest.mark.parametrize(
    "mask",
    [
        rectangle(10, 20, 70, 90),
        rectangle(0, 0, 160, 120),
        rectangle(10, 10, 60, 60) ^ rectangle(20, 25, 40, 50),  # a hole
        rectangle(5, 5, 30, 30) | rectangle(80, 60, 150, 119),  # two parts
    ],
    ids=["rectangle", "all", "hole", "parts"],
)
def test_an_outline_filled_is_the_mask(mask):
    found = filled(outlines.outline(mask))
    assert (found & mask).sum() / (found | mask).sum() > 0.97


def test_no_mask_has_no_outline_and_noise_stays_small():
    assert outlines.outline(np.zeros(SIZE, bool)) == ""
    noise = np.random.default_rng(0).random((480, 640)) < 0.5
    assert len(outlines.outline(noise)) < 8000


def test_a_view_is_the_object_with_a_margin_within_the_image():
    assert outlines.view_around([], SIZE) == (0, 0, 160, 120)
    x, y, width, height = outlines.view_around([(100, 50, 50, 20)], SIZE)
    assert (x, x + width) == (77, 160)  # 0.4 of 50 pixels on each side, then 96 in all, then the border
    assert y <= 30
    assert y >= 0
    assert y + height <= 120


RIGHT = {
    (1, 10): rectangle(10, 10, 60, 60),
    (1, 11): rectangle(80, 20, 150, 100),
    (2, 20): rectangle(30, 30, 70, 90),
}
RIGHT |= {(3, 30): rectangle(50, 5, 90, 45)}
ANSWERS = {  # worst, best and most disagreed on are of image 2, 3 and 1
    "mobile_sam": {(1, 10): 0.9, (1, 11): 0.5, (2, 20): 0.1, (3, 30): 1.0},
    "edge_sam": {(1, 10): 0.2, (1, 11): 0.6, (2, 20): 0.2, (3, 30): 0.95},
}


def answer(key, iou):
    """The object without its lower rows: about as good as ``iou``."""
    mask = RIGHT[key].copy()
    rows = np.flatnonzero(mask.any(axis=1))
    mask[rows[round(iou * len(rows))] if iou < 1 else rows[-1] + 1 :] = False
    return mask


def record(suite, key, iou, crowd=False):
    mask = encode_text(answer(key, iou)[None])[0]
    ys, xs = np.nonzero(RIGHT[key])
    row = {
        "image_id": key[0],
        "file_name": f"val/{IMAGES[key[0]]}",
        "ann_id": key[1],
        "category_id": 1,
        "category": "thing <b>",
        "area": float(RIGHT[key].sum()),
        "size": "medium",
        "mask_area": int(RIGHT[key].sum()),
        "iscrowd": crowd,
    }
    if suite == "click":
        row |= {"points": [[int(xs.mean()), int(ys.mean())], [1, 2]], "labels": [1, 0]}
        return row | {"segmentation": [mask] * 5, "iou": [iou] * 5}
    box = [float(v) for v in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)]
    return row | {"box": box, "segmentation": mask, "iou": iou}


@pytest.fixture
def run(tmp_path):
    """Two models, boxes, clicks and everything, on three images."""
    images = tmp_path / "images"
    images.mkdir()
    for n, name in IMAGES.items():
        pixels = np.full((*SIZE, 3), 40 * n, np.uint8)
        Image.fromarray(pixels).save(images / name)
    truth = [
        {"id": ann, "image_id": image, "category_id": 1, "iscrowd": 0, "area": 1.0, "bbox": [0, 0, 1, 1]}
        | {"segmentation": json.loads(encode_text(mask[None])[0])}
        for (image, ann), mask in RIGHT.items()
    ]
    listed = [{"id": n, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for n, name in IMAGES.items()]
    content = {"images": listed, "annotations": truth, "categories": [{"id": 1, "name": "thing"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    cells = []
    for model, answers in ANSWERS.items():
        for suite in ("gt_box", "click", "everything"):
            folder = tmp_path / "run" / "records" / f"{model}-{suite}"
            folder.mkdir(parents=True)
            if suite == "everything":
                masks = encode_text(np.stack(list(RIGHT.values())[:2]))
                rows = [{"file_name": "val/one.png", "kind": "mask", "segmentation": m} for m in masks]
            else:
                rows = [record(suite, key, iou) for key, iou in answers.items()]
            pq.write_table(pa.Table.from_pylist(rows), folder / "00000-of-00001.parquet")
            base = cell(model, suite, records=f"records/{model}-{suite}", dataset="mine")
            base.provenance["images"] = {"path": str(images)}
            base.provenance["annotations"] = {"path": str(tmp_path / "a.json")}
            cells.append(base)
    return write_run(tmp_path / "run", cells)


def test_the_worst_the_best_and_the_most_disagreed_on(run):
    shown = choose(read_runs([run]), 1)
    assert [(one.suite, one.kind, one.ann_id) for one in shown if one.suite == "gt_box"] == [
        ("gt_box", "worst", 20),
        ("gt_box", "best", 30),
        ("gt_box", "disagreement", 10),
    ]
    assert {one.suite for one in shown} == {"gt_box", "click"}
    for one in shown:
        assert [answer.model for answer in one.answers] == ["mobile_sam", "edge_sam"]
        for shown_answer in one.answers:
            key = next(key for key in RIGHT if key[1] == one.ann_id)
            assert shown_answer.iou == ANSWERS[shown_answer.model][key]
            want = answer(key, shown_answer.iou)
            found = filled(shown_answer.outline)
            assert (found & want).sum() / max((found | want).sum(), 1) > 0.9
        truth = filled(one.truth)
        assert (truth & RIGHT[key]).sum() / (truth | RIGHT[key]).sum() > 0.97
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(one.picture.partition(",")[2]))))
        assert abs(int(pixels.mean()) - 40 * key[0]) <= 2
        assert pixels.shape[1] / pixels.shape[0] == pytest.approx(one.view[2] / one.view[3], rel=0.05)
        assert (one.width, one.height) == (160, 120)


def test_prompts_are_those_that_were_given(run):
    for one in choose(read_runs([run]), 1):
        for shown_answer in one.answers:
            if one.suite == "gt_box":
                assert shown_answer.clicks == ()
                assert shown_answer.box[2] > shown_answer.box[0]
            else:
                (first, second) = shown_answer.clicks
                assert (first[2], second) == (True, (1.5, 2.5, False))  # pixels' centres
                assert shown_answer.box is None


def test_one_object_an_image_is_chosen_of_each_kind(run):
    worst = [o for o in choose(read_runs([run]), 9) if (o.suite, o.kind) == ("gt_box", "worst")]
    assert [one.file_name for one in worst] == ["val/two.png", "val/one.png", "val/three.png"]


def test_none_is_shown_unless_asked_for(run):
    assert choose(read_runs([run]), 0) == []


def test_one_model_alone_disagrees_with_nobody(run):
    entries = [entry for entry in read_runs([run]) if entry.cell.model == "edge_sam"]
    assert {one.kind for one in choose(entries, 2)} == {"worst", "best"}


def test_without_the_annotations_there_is_no_truth_and_all_else(run, tmp_path):
    (tmp_path / "a.json").unlink()
    shown = choose(read_runs([run]), 1)
    assert len(shown) == 6
    assert {one.truth for one in shown} == {""}


@pytest.mark.parametrize(("orientation", "bright"), [("stored", 0), ("exif", -1), ("stated_size", -1)])
def test_an_image_is_shown_the_way_up_that_the_cell_read_it(run, tmp_path, orientation, bright):
    pixels = np.zeros(SIZE, np.uint8)
    pixels[:60] = 250
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "images" / "two.png", exif=exif)
    entry = read_runs([run])[0]
    entry.cell.protocol["orientation"] = orientation
    shown = image_of(entry, "val/two.png", SIZE)
    assert (shown[bright] == 250).all()
    assert (shown[-1 - bright] == 0).all()


def test_missing_images_or_records_are_an_error_that_says_what_to_do(run, tmp_path):
    (tmp_path / "images" / "two.png").unlink()
    with pytest.raises(SambenchError, match=r"two\.png: no such image.*without|leave out --gallery"):
        choose(read_runs([run]), 1)
    for shard in (tmp_path / "run" / "records" / "mobile_sam-gt_box").iterdir():
        shard.unlink()
    with pytest.raises(SambenchError, match="without --gallery"):
        choose(read_runs([run]), 1)


def test_figure_3_is_drawn_of_what_was_run_in_all_three_ways(run):
    drawn = draw_three_ways(read_runs([run]))
    picture = Image.open(io.BytesIO(drawn))
    assert picture.format == "PNG"
    assert picture.width > picture.height  # three columns, two rows of a wide image
    without = [entry for entry in read_runs([run]) if entry.cell.suite != "everything"]
    assert draw_three_ways(without) is None


def test_a_model_run_on_other_images_has_no_row_in_figure_3(run, tmp_path):
    both = Image.open(io.BytesIO(draw_three_ways(read_runs([run]))))
    shard = tmp_path / "run" / "records" / "edge_sam-click" / "00000-of-00001.parquet"
    pq.write_table(pq.read_table(shard)[2:], shard)  # without the objects of the first image
    alone = Image.open(io.BytesIO(draw_three_ways(read_runs([run]))))
    assert alone.height < 0.6 * both.height
    shard.unlink()
    assert draw_three_ways(read_runs([run])) is not None
