"""The paper's own tables from runs whose numbers are known: every one in its place, with its verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from fake_runs import cell, mini, write_run
from paper_runs import all_cells, measured, speed

from sambench.reports.cells import read_runs
from sambench.reports.paper import paper_tables, unmeasured


def tables(tmp_path, *cells):
    return {
        table.name: table for table in paper_tables(read_runs([write_run(tmp_path / "run", list(cells))]))
    }


def numbers(table, model, what="measured"):
    (row,) = (row for row in table.rows if row.model == model)
    return [getattr(value, what) for value in row.values]


@pytest.fixture(scope="module")
def paper() -> dict:
    """Every number printed in the paper, typed from it by others."""
    file = Path(__file__).parent.parent / "golden" / "paper_results.yaml"
    return yaml.safe_load(file.read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict:
    """All tables, every number measured as it was published."""
    return tables(tmp_path_factory.mktemp("whole"), *all_cells())


BLOCKS = {
    "table-1": ("table1_efficiency", slice(0, 4)),
    "table-2": ("table2_clicks_miou", slice(0, 6)),
    "table-3": ("table3_gt_box_miou", slice(0, 8)),
    "table-4": ("table4_vitdet_box_ap", slice(0, 8)),
    "table-5": ("table5_detector_box_ap", slice(0, 8)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_every_number_of_the_paper_stands_in_its_place(whole, paper, name):
    table = whole[name]
    block, columns = BLOCKS[name]
    wanted = {model: row[columns] for model, row in paper[block].items() if model != "columns"}
    assert {row.model: [value.published for value in row.values] for row in table.rows} == wanted


def test_the_mean_of_segmentation_in_the_wild_too(whole, paper):
    table = whole["section-4.4"]
    found = {row.model: row.values[0].published for row in table.rows if row.values[0].published}
    assert found == paper["sginw_mean_ap"]


@pytest.mark.parametrize(("step", "verdict"), [(0.0, "reproduced"), (0.2, "differs"), (-0.2, "differs")])
def test_verdict_difference_and_interval_of_every_accuracy(tmp_path, step, verdict):
    seen = 0
    for name, table in tables(tmp_path, *all_cells(step)).items():
        for row in table.rows:
            for column, value in zip(table.columns, row.values, strict=True):
                if value.published is None or column.metric in ("params_m", "encoder_macs_g", "img_s"):
                    continue
                seen += 1
                reference = value.published if value.exact is None else value.exact
                if row.model == "efficient_sam_s":
                    assert "no checksum of the official ones is known" in value.why
                    assert (value.verdict, value.delta) == ("not comparable", None)
                    continue
                assert value.verdict == verdict, (name, row.model, column)
                assert value.measured == pytest.approx(reference + step)
                assert value.delta == pytest.approx(value.measured - value.published)
                assert value.interval == pytest.approx((value.measured - 1, value.measured + 1))
    # Table 1's AP, Tables 2 to 5 and section 4.4 of the reference
    assert seen == 9 + 2 * 6 + 2 * 8 + 9 * 8 + 2 * 8 + 2


def test_speeds_of_another_device_are_not_comparable_but_parameters_are(whole, tmp_path):
    table = whole["table-1"]
    for row in table.rows:
        assert [value.verdict for value in row.values[:3]] == ["reproduced", "reproduced", "not comparable"]
        assert row.values[2].why == "on Made-up GPU, not an A100"
    on_a100 = tables(tmp_path, speed("edge_sam", "NVIDIA A100-SXM4-80GB"))["table-1"]
    assert numbers(on_a100, "edge_sam", "verdict")[2] == "reproduced"
    eager = speed("edge_sam", "NVIDIA A100-SXM4-80GB", engine="eager", precision="fp32")
    assert numbers(tables(tmp_path, eager)["table-1"], "edge_sam", "why")[2] == (
        "by eager fp32, not TensorRT fp16"
    )


def test_the_fastest_of_several_ways_is_shown(tmp_path):
    slow = speed("edge_sam", metrics={"img_s": 3.0, "params_m": 9.6, "encoder_macs_g": 20.0}, engine="eager")
    table = tables(tmp_path, slow, speed("edge_sam"))["table-1"]
    assert numbers(table, "edge_sam")[2] == 449


def test_a_number_that_may_be_compared_comes_before_one_that_may_not(tmp_path):
    table = tables(tmp_path, mini("sam_vit_h"), measured("gt_box", "coco", "sam_vit_h"))["table-3"]
    assert numbers(table, "sam_vit_h")[0] == 77.4
    assert numbers(table, "sam_vit_h", "verdict")[:4] == ["reproduced"] * 4
    assert not table.notes


def test_what_is_not_comparable_says_why_and_never_stands_beside_a_bare_name(tmp_path):
    table = tables(tmp_path, mini("sam_vit_h"))["table-3"]
    (row,) = (row for row in table.rows if row.model == "sam_vit_h")
    assert row.departures == ("random weights", "10 of 117 images")
    assert {value.verdict for value in row.values[:4]} == {"not comparable"}
    assert {value.verdict for value in row.values[4:]} == {"not run"}
    assert row.notes == (1,)
    assert table.notes[0].startswith("Not comparable: random weights; 10 of 5,000 images; protocol strict")


def test_several_reasons_in_a_row_name_their_columns(tmp_path):
    few = measured("gt_box", "lvis", "sam_vit_h")
    table = tables(tmp_path, mini("sam_vit_h"), few, cell("sam_vit_h", dataset="lvis", n_images=7))["table-3"]
    (row,) = (row for row in table.rows if row.model == "sam_vit_h")
    assert [value.verdict for value in row.values] == ["not comparable"] * 4 + ["reproduced"] * 4
    assert table.notes[0].startswith("Not comparable (COCO, All; COCO, Small; COCO, Medium; COCO, Large): ")


def test_what_was_not_run_or_failed_says_so(tmp_path):
    failed = cell("sam_vit_h", status="failed", reason="out of memory", metrics={}, intervals={})
    table = tables(tmp_path, failed, cell("efficientvit_sam_xl1"))["table-3"]
    assert numbers(table, "sam_vit_h", "why")[:4] == ["failed: out of memory"] * 4
    assert numbers(table, "sam_vit_h", "why")[4:] == ["not run"] * 4
    assert numbers(table, "sam_vit_h") == [None] * 8


def test_a_model_that_the_paper_has_not_stands_beneath(tmp_path):
    table = tables(tmp_path, cell("mobile_sam"), cell("sam_vit_h"))["table-3"]
    assert [row.model for row in table.rows] == ["sam_vit_h", "efficientvit_sam_xl1", "mobile_sam"]
    assert numbers(table, "mobile_sam", "published") == [None] * 8


def test_a_table_of_which_nothing_was_measured_is_left_out_and_named(tmp_path):
    found = read_runs([write_run(tmp_path / "run", [cell(dataset="shapes")])])
    assert paper_tables(found) == []
    assert [title.partition(":")[0] for title in unmeasured(paper_tables(found))] == [
        *(f"Table {n}" for n in range(1, 6)),
        "Section 4.4",
    ]
