"""The published numbers, against a table typed from the paper a second time."""

from __future__ import annotations

import pytest

from sambench.reports.published import full_set, lookup, models_of, printed_by

TABLE_2 = {  # 1, 3 and 5 clicks
    ("coco", "sam_vit_h"): (58.4, 69.6, 71.4),
    ("coco", "efficientvit_sam_xl1"): (59.8, 71.3, 75.3),
    ("lvis", "sam_vit_h"): (59.2, 66.0, 66.8),
    ("lvis", "efficientvit_sam_xl1"): (56.6, 67.0, 71.7),
}
TABLE_3 = {  # all, small, medium, large
    ("coco", "sam_vit_h"): (77.4, 72.3, 80.4, 81.8),
    ("coco", "efficientvit_sam_xl1"): (79.9, 75.8, 82.2, 83.8),
    ("lvis", "sam_vit_h"): (77.0, 70.6, 87.5, 89.9),
    ("lvis", "efficientvit_sam_xl1"): (79.9, 74.4, 88.4, 91.6),
}


@pytest.mark.parametrize(("key", "values"), TABLE_2.items())
def test_table_2(key, values):
    paper = lookup("click", *key)
    assert tuple(paper.printed[f"miou_{n}"] for n in (1, 3, 5)) == values
    assert "2402.05008" in paper.source
    assert paper.source.endswith("Table 2")


@pytest.mark.parametrize(("key", "values"), TABLE_3.items())
def test_table_3(key, values):
    paper = lookup("gt_box", *key)
    names = ("miou", "miou_small", "miou_medium", "miou_large")
    assert tuple(paper.printed[name] for name in names) == values
    assert paper.source.endswith("Table 3")


@pytest.mark.parametrize(
    ("suite", "dataset", "model", "metric", "value"),
    [
        ("efficiency", "coco", "efficientvit_sam_l2", "img_s", 538),
        ("efficiency", "coco", "sam_vit_h", "params_m", 641.1),
        ("efficiency", "coco", "efficientvit_sam_xl1", "encoder_macs_g", 322),
        ("det_box", "coco/vitdet", "efficientvit_sam_l0", "ap", 45.7),
        ("det_box", "lvis/vitdet", "efficientvit_sam_xl0", "ap_large", 65.9),
        ("det_box", "coco/yolov8", "efficientvit_sam_xl1", "ap", 44.7),
        ("det_box", "coco/gdino", "sam_vit_h", "ap_medium", 51.8),
        ("sginw", "sginw/gdino", "efficientvit_sam_xl1", "ap", 48.9),
        ("click", "coco", "efficientvit_sam_xl1", "miou_1_small", 55.029),
        ("click", "lvis", "efficientvit_sam_xl1", "miou_1_large", 72.442),
    ],
)
def test_other_tables(suite, dataset, model, metric, value):
    assert lookup(suite, dataset, model).values[metric] == value


def test_the_scripts_agree_with_the_paper_but_for_one_number_rounded_twice():
    off = {
        (suite, dataset, metric)
        for suite in ("gt_box", "click")
        for dataset in ("coco", "lvis")
        for paper in [lookup(suite, dataset, "efficientvit_sam_xl1")]
        for metric in paper.exact.keys() & paper.printed.keys()
        if abs(paper.exact[metric] - paper.printed[metric]) > 0.05
    }
    assert off == {("gt_box", "coco", "miou_large")}


def test_who_prints_what():
    assert printed_by("click", "coco", "miou_1") == "paper"
    assert printed_by("click", "coco", "miou_1_small") == "script"
    assert printed_by("click", "coco", "miou_3_small") == ""
    assert models_of("gt_box", "coco") == ["sam_vit_h", "efficientvit_sam_xl1"]
    assert full_set("lvis").images == 19809


def test_nothing_is_published_of_other_models_and_datasets():
    assert lookup("gt_box", "coco", "efficientvit_sam_l0") is None
    assert lookup("gt_box", "shapes", "sam_vit_h") is None
    assert full_set("shapes") is None
    assert models_of("gt_box", "shapes") == []
