"""What a table says of each cell, and above all what it does not say."""

from __future__ import annotations

import dataclasses
from typing import get_args, get_type_hints

import pytest
from fake_runs import PAPER, STRICT, cell, mini, provenance, write_run

from sambench.reports import words
from sambench.reports.cells import read_runs
from sambench.reports.comparable import reasons
from sambench.reports.made import commands, describe
from sambench.reports.tables import MOST_COLUMNS, build_tables
from sambench.reports.warnings import warnings
from sambench.suites.protocol import Protocol, make_protocol
from sambench.suites.registry import suite_class


def entries(tmp_path, *cells):
    return read_runs([write_run(tmp_path / "run", list(cells))])


def rows(tmp_path, *cells):
    (table,) = build_tables(entries(tmp_path, *cells))
    return table, {row.model: row for row in table.rows}


def test_the_difference_is_measured_minus_published(tmp_path):
    table, row = rows(tmp_path, cell())
    assert [column.metric for column in table.columns] == ["miou", "miou_small", "miou_medium", "miou_large"]
    deltas = [value.delta for value in row["efficientvit_sam_xl1"].values]
    assert deltas == pytest.approx([70 - 79.9, 71 - 75.8, 72 - 82.2, 73 - 83.8])
    assert row["efficientvit_sam_xl1"].values[0].interval == (69.6, 70.5)
    assert row["efficientvit_sam_xl1"].notes == ()
    assert table.notes == ()


def test_clicks_are_compared_where_the_paper_or_the_script_prints_a_number(tmp_path):
    table, row = rows(tmp_path, cell(suite="click"))
    values = dict(zip([c.metric for c in table.columns], row["efficientvit_sam_xl1"].values, strict=True))
    assert len(values) == 12
    assert values["miou_1"].delta == pytest.approx(70 - 59.8)
    assert values["miou_1_small"].delta == pytest.approx(71 - 55.029)
    assert values["miou_3_small"].delta is None
    assert {c.metric: c.published for c in table.columns}["miou_1_small"] == "script"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"provenance": provenance("random")}, "random weights"),
        ({"provenance": provenance("none")}, "no weights"),
        ({"provenance": {**provenance(), "weights": {}}}, "weights not recorded"),
        ({"provenance": {**provenance(), "weights": None}}, "weights not recorded"),
        ({"n_images": 117}, "117 of 5,000 images"),
        ({"n_images": 5001}, "5,001 images, where COCO val2017 has 5,000"),
        ({"dataset": "lvis"}, "5,000 of 19,809 images"),
        ({"partial": {"limit": 5000, "of": 5000, "seed": 0}}, "a sample of the images"),
        (
            {"protocol": make_protocol({"preset": "paper", "crowd": "drop"}).to_json()},
            "custom (crowds dropped)",
        ),
        (
            {"protocol": STRICT},
            "protocol strict (crowds dropped, empty rasters left out, half-open bins, stopping",
        ),
        ({"protocol": {**PAPER, "bins": "half_open"}}, "protocol paper (half-open bins)"),
        ({"protocol": {}}, "protocol not recorded"),
        ({"protocol": {**PAPER, "new_axis": "x"}}, "protocol paper (new_axis: x)"),
    ],
)
def test_why_a_number_is_not_comparable(tmp_path, changes, reason):
    table, row = rows(tmp_path, cell(**changes))
    assert row["efficientvit_sam_xl1"].notes == (1,)
    assert all(value.delta is None for value in row["efficientvit_sam_xl1"].values)
    (note,) = table.notes
    assert note.startswith("Not comparable: ")
    assert reason in note
    assert ";" not in note  # nothing else is wrong with it


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (79.927, "reproduced"),  # the script's three decimals are known: 79.927
        (79.9274, "reproduced"),
        (79.9276, "differs"),
        (79.9, "differs"),
    ],
)
def test_a_verdict_goes_by_the_decimals_that_the_script_prints(tmp_path, measured, verdict):
    base = cell()
    _, row = rows(tmp_path, dataclasses.replace(base, metrics={**base.metrics, "miou": measured}))
    first = row["efficientvit_sam_xl1"].values[0]
    assert (first.published, first.exact, first.verdict) == (79.9, 79.927, verdict)


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (77.4, "reproduced"),
        (77.35, "reproduced"),  # either way of rounding a half
        (77.45, "reproduced"),
        (77.449, "reproduced"),
        (77.451, "differs"),
        (77.349, "differs"),
    ],
)
def test_a_verdict_knows_rounding(tmp_path, measured, verdict):
    base = cell("sam_vit_h")
    _, row = rows(tmp_path, dataclasses.replace(base, metrics={**base.metrics, "miou": measured}))
    assert row["sam_vit_h"].values[0].verdict == verdict


def test_what_is_not_comparable_or_not_run_is_no_verdict_on_the_number(tmp_path):
    _, row = rows(tmp_path, mini("efficientvit_sam_xl1"))
    value = row["efficientvit_sam_xl1"].values[0]
    assert (value.verdict, value.compared, value.delta) == ("not comparable", None, None)
    assert value.why.startswith("random weights; 10 of 5,000 images")
    assert {v.verdict for v in row["sam_vit_h"].values} == {"not run"}


def test_reasons_add_up_and_notes_are_shared(tmp_path):
    both = [
        mini("sam_vit_h"),
        mini("efficientvit_sam_xl1"),
        mini("mobile_sam"),
        cell("sam_vit_h", n_images=7),
    ]
    (table,) = build_tables(entries(tmp_path, *both))
    assert [(row.model, row.notes) for row in table.rows] == [
        ("sam_vit_h", (1,)),
        ("sam_vit_h", (2,)),
        ("mobile_sam", ()),
        ("efficientvit_sam_xl1", (1,)),
    ]
    assert table.notes[0].startswith("Not comparable: random weights; 10 of 5,000 images; protocol strict")
    assert table.notes[1] == "Not comparable: 7 of 5,000 images."
    assert not any(value.delta for row in table.rows for value in row.values)


def test_a_perfect_cell_has_no_reason(tmp_path):
    assert reasons(entries(tmp_path, cell())[0]) == []


@pytest.mark.parametrize(
    ("status", "word"), [("failed", "failed"), ("not_applicable", "n/a"), ("unfinished", "unfinished")]
)
def test_cells_without_numbers(tmp_path, status, word):
    table, row = rows(tmp_path, cell(status=status, reason="out of memory"))
    assert (row["efficientvit_sam_xl1"].status, row["efficientvit_sam_xl1"].reason) == (word, "out of memory")
    assert row["efficientvit_sam_xl1"].values == ()
    assert table.done == []
    assert rows(tmp_path, cell(status=status))[1]["efficientvit_sam_xl1"].reason


def test_an_empty_bin_is_none_and_has_no_difference(tmp_path):
    base = cell()
    metrics = {**base.metrics, "miou_small": None}
    _, row = rows(tmp_path, dataclasses.replace(base, metrics=metrics, intervals={}))
    small = row["efficientvit_sam_xl1"].values[1]
    assert (small.measured, small.interval, small.published, small.delta) == (None, None, 75.8, None)


def test_published_models_that_were_not_run_are_listed(tmp_path):
    table, row = rows(tmp_path, cell("mobile_sam"))
    assert [row.model for row in table.rows] == ["mobile_sam", "sam_vit_h", "efficientvit_sam_xl1"]
    assert row["sam_vit_h"].entry is None
    assert row["sam_vit_h"].values[0].published == 77.4
    assert row["sam_vit_h"].values[0].delta is None
    assert row["sam_vit_h"].said == ("published, not run",)


def test_another_dataset_has_no_published_rows_or_columns(tmp_path):
    table, _ = rows(tmp_path, cell(dataset="shapes"))
    assert [row.model for row in table.rows] == ["efficientvit_sam_xl1"]
    assert not any(column.published for column in table.columns)
    assert (table.source, table.notes) == ("", ())
    assert table.about == "The paper prints no numbers for this."


def test_rows_are_told_apart_by_what_differs(tmp_path):
    (table,) = build_tables(entries(tmp_path, cell(), cell(precision="fp16"), cell(protocol=STRICT)))
    assert [row.said for row in table.rows[:3]] == [
        ("paper protocol",),
        ("eager fp16", "paper protocol"),
        ("strict protocol",),
    ]
    (table,) = build_tables(entries(tmp_path, cell(), mini("box", source="none")))
    assert [row.said for row in table.rows[:2]] == [
        ("paper protocol", "cuda"),
        ("10 of 117 images", "strict protocol", "cpu"),
    ]


def test_several_runs_are_merged_and_named_where_nothing_else_differs(tmp_path):
    runs = [
        write_run(tmp_path / name / "out", [cell("sam_vit_h"), cell("edge_sam")][: 2 - n])
        for n, name in enumerate("ab")
    ]
    (table,) = build_tables(read_runs(runs))
    assert [row.said for row in table.rows[:3]] == [("run a/out",), ("run b/out",), ()]  # EdgeSAM is plain


def test_protocols_of_one_name_are_numbered(tmp_path):
    customs = [
        make_protocol({"preset": "paper", "bins": "half_open"}),
        make_protocol({"preset": "paper", "crowd": "drop"}),
    ]
    found = entries(tmp_path, *(cell(protocol=protocol.to_json()) for protocol in customs))
    assert [entry.protocol for entry in found] == ["custom", "custom 2"]


def test_a_suite_without_a_layout_is_shown_plainly(tmp_path):
    table, row = rows(tmp_path, cell(suite="mine", metrics={"ap": 45.0}, intervals={}))
    assert (table.title, [column.title for column in table.columns]) == ("mine", ["ap"])
    assert row["efficientvit_sam_xl1"].values[0].measured == 45.0


def test_a_detectors_boxes_are_compared_with_their_table(tmp_path):
    ap = {"ap": 47.0, "ap_small": 30.0, "ap_medium": 51.0, "ap_large": 64.0, "ap50": 70.0, "box_ap": 55.0}
    table, row = rows(tmp_path, cell(suite="det_box", dataset="coco/vitdet", metrics=ap, intervals={}))
    assert table.source.endswith("Table 4: COCO val2017, 5,000 images")
    titles = [column.title for column in table.columns]
    assert titles[:2] == ["All objects", "Boxes' own AP"]
    assert "Rare" not in titles  # LVIS's alone
    first = row["efficientvit_sam_xl1"].values[0]
    assert (first.measured, first.published) == (47.0, 47.8)
    assert row["edge_sam"].values[0].published == 42.1  # published, not run


def test_rare_categories_are_a_column_where_a_row_has_them(tmp_path):
    ap = {"ap": 44.0, "ap_r": 30.0, "ap_c": 43.0, "ap_f": 47.0}
    table, _ = rows(tmp_path, cell(suite="det_box", dataset="lvis/vitdet", metrics=ap, intervals={}))
    assert {"Rare", "Common", "Frequent"} <= {column.title for column in table.columns}


def test_sginw_shows_each_data_set_beside_its_published_number(tmp_path):
    ap = {"ap": None, "ap_of_those_there": 40.0, "ap_Elephants": 78.0}
    found = cell(suite="sginw", dataset="sginw/gdino", metrics=ap, intervals={}, model="sam_vit_h")
    tables = build_tables(entries(tmp_path, found))
    values = {}
    for table in tables:
        (row,) = (row for row in table.rows if row.model == "sam_vit_h")
        values |= dict(zip([c.metric for c in table.columns], row.values, strict=True))
    columns = [c for table in tables for c in table.columns]
    assert len([c for c in columns if c.published]) == 26  # the mean and the 25
    assert max(len(table.columns) for table in tables) <= MOST_COLUMNS
    assert len({table.name for table in tables}) == len(tables)
    assert (values["ap_Elephants"].measured, values["ap_Elephants"].published) == (78.0, 77.91)
    assert (values["ap"].measured, values["ap"].published) == (None, 48.7)


def test_what_is_measured_beside_the_main_numbers_has_tables_of_its_own(tmp_path):
    about = suite_class("click").about()
    metrics = {metric.name: float(n) for n, metric in enumerate(about.metrics)}
    found = read_runs([write_run(tmp_path / "run", [cell(suite="click", metrics=metrics, intervals={})])])
    tables = build_tables(
        [dataclasses.replace(e, cell=dataclasses.replace(e.cell, about=about)) for e in found]
    )
    shown = [column.metric for table in tables for column in table.columns]
    assert sorted(shown) == sorted(metrics)
    assert [column.metric for column in tables[0].columns] == [m.name for m in about.metrics if not m.part]
    assert {t.part for t in tables} == {m.part for m in about.metrics}
    of_clicks = next(t for t in tables if t.part.startswith("Clicks to"))
    assert [c.metric for c in of_clicks.columns] == [
        *("noc_80", "noc_85", "noc_90"),
        *("never_80", "never_85", "never_90"),
    ]
    assert not any(row.tags == ("published, not run",) for row in of_clicks.rows)


def test_suites_of_the_paper_come_first(tmp_path):
    cells = [cell(suite="det_box"), cell(suite="click"), cell(), cell(dataset="lvis")]
    assert [(t.suite, t.dataset) for t in build_tables(entries(tmp_path, *cells))] == [
        ("gt_box", "coco"),
        ("gt_box", "lvis"),
        ("click", "coco"),
        ("det_box", "coco"),
    ]


def test_warnings(tmp_path):
    found = warnings(
        entries(
            tmp_path,
            mini("efficientvit_sam_l0"),
            mini("box", source="none"),
            mini("box", "click", source="none"),
            cell(status="failed", reason="x"),
            mini("edge_sam", status="unfinished"),
        )
    )
    assert found == [
        "Random weights: EfficientViT-SAM-L0. Numbers so marked say nothing about a model.",
        "gt_box on coco, click on coco: partial, 10 of 117 images (seed 0).",
        "Failed: EfficientViT-SAM-XL1 (gt_box on coco).",
        "Unfinished: EdgeSAM, random weights, 10 of 117 images (gt_box on coco).",
    ]
    assert warnings(entries(tmp_path, cell())) == []


def test_every_axis_and_choice_has_words():
    hints = {axis: kind for axis, kind in get_type_hints(Protocol).items() if axis != "preset"}
    assert {axis: set(get_args(kind)) for axis, kind in hints.items()} == {
        axis: set(known.values) for axis, known in words.AXES.items()
    }


def test_how_it_was_made(tmp_path):
    found = entries(tmp_path, cell(), cell(protocol=STRICT), mini("efficientvit_sam_l0"))
    grids = {grid.title: grid for grid in describe(found)}
    assert list(grids) == ["Protocol", "Models", "Data", "Environment", "Time"]
    assert grids["Protocol"].head == ("Choice", "strict", "paper")
    marked = {row[0].text for row in grids["Protocol"].rows if row[1].marked}
    assert marked == {
        *("Crowd regions", "Objects left out", "Size bins", "After a perfect mask", "Objects of id 0"),
        *("Turned images", "Boxes of objects"),
    }
    assert not any(row[2].marked for row in grids["Protocol"].rows)
    assert [row[1].text for row in grids["Models"].rows] == [
        "random, seed 0",
        "model.pt, official",
    ]
    assert len(grids["Models"].rows[1][2].full) == 64
    assert grids["Environment"].rows[0][1].text == "deadbeefcafe, with uncommitted changes"
    assert grids["Time"].head[3:] == ("images/s", "total, s", "encode, s", "decode, s", "read, s")
    assert "not a throughput benchmark" in grids["Time"].caption
    assert commands(found) == [provenance()["command"]]


def test_how_it_was_made_where_nothing_was_recorded(tmp_path):
    grids = describe(entries(tmp_path, cell(provenance={}, timing={}, counts={}, protocol={})))
    assert [grid.title for grid in grids] == ["Models", "Data", "Environment"]
