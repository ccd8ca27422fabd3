"""What a figure is asked for by: read as written, and refused with what there is."""

from __future__ import annotations

import dataclasses

import pytest
from fake_runs import cell, write_run
from test_report_speed import fast

from sambench.evsam.errors import SambenchError
from sambench.reports.cells import read_runs
from sambench.reports.content import content_of
from sambench.reports.wanted import Wanted, check, described, first_metrics, parse_figure
from sambench.suites.scoring.scores import About, Metric


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("img_s,gt_box:coco.miou", Wanted("img_s", "gt_box", "coco", "miou")),
        (" params_m , det_box:coco/vitdet.ap", Wanted("params_m", "det_box", "coco/vitdet", "ap")),
        (
            "latency_ms_p99,click:leaves.v1.2, a.miou_5",
            Wanted("latency_ms_p99", "click", "leaves.v1.2, a", "miou_5"),
        ),
    ],
)
def test_a_figure_is_read_as_it_is_written(text, wanted):
    assert parse_figure(text) == wanted
    assert parse_figure(str(wanted)) == wanted


@pytest.mark.parametrize(
    "text", ["", "img_s", "img_s,gt_box", "img_s,gt_box:coco", "img_s,:coco.miou", ",a:b.c"]
)
def test_what_is_not_of_that_form_is_refused(text):
    with pytest.raises(SambenchError, match=r"not X,SUITE:DATASET.METRIC.*img_s,gt_box:coco.miou"):
        parse_figure(text)


def test_speeds_have_no_such_number():
    with pytest.raises(SambenchError, match=r"speeds have no number 'fps'\. Give one of params_m, "):
        parse_figure("fps,gt_box:coco.miou")


@pytest.fixture
def entries(tmp_path):
    done = [
        cell(),
        cell(suite="own", metrics={"a": 1.0, "b": 2.0}),
        cell("edge_sam", "click", status="failed"),
    ]
    return read_runs([write_run(tmp_path, [*done, fast()])])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "prompts_s,gt_box:coco.miou",
            "no run has a throughput with prompts_s; measured were img_s, latency_ms",
        ),
        ("img_s,click:coco.miou_1", "no run has click:coco; measured were .*gt_box:coco"),
        (
            "img_s,gt_box:coco.ap",
            "no 'ap' of gt_box:coco; there are miou, miou_small, miou_medium, miou_large",
        ),
    ],
)
def test_what_was_not_measured_is_refused_with_what_was(entries, text, why):
    with pytest.raises(SambenchError, match=why):
        content_of(entries, [parse_figure(text)])


def test_without_speeds_a_run_is_named_that_gives_them(entries):
    boxes = [entry for entry in entries if entry.cell.suite == "gt_box"]
    with pytest.raises(SambenchError, match="add a run of 'sambench throughput'"):
        check([parse_figure("img_s,gt_box:coco.miou")], boxes)


def test_what_was_measured_passes(entries):
    check([parse_figure("img_s,gt_box:coco.miou"), parse_figure("params_m,own:coco.b")], entries)


def test_each_suite_asks_by_the_metric_that_a_terminal_shows_or_else_by_its_first(entries):
    about = About(
        "Own", (Metric("c", "C", brief=True), Metric("a", "A"), Metric("b", "B (of all)", brief=True))
    )
    known = [
        dataclasses.replace(entry, cell=dataclasses.replace(entry.cell, about=about))
        for entry in entries
        if entry.cell.suite == "own"
    ]
    own, boxes = Wanted("img_s", "own", "coco", "a"), Wanted("img_s", "gt_box", "coco", "miou")
    assert {*first_metrics(entries)} == {own, boxes}  # of a run from before suites were recorded
    assert first_metrics(known) == [dataclasses.replace(own, metric="b")]
    assert described(own, known) == ("Own (a), coco, percent", True)
    assert described(own, entries) == ("own: a on coco", True)
