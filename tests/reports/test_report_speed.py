"""Speeds in a report: what stands beside what, and what is only the paper's."""

from __future__ import annotations

import dataclasses
import re

import pytest
from fake_runs import cell, provenance, write_run

from sambench.reports import speed
from sambench.reports.cells import read_runs
from sambench.reports.published import footnote
from sambench.reports.report import write_report
from sambench.reports.speed_made import describe
from sambench.reports.words import figures
from sambench.suites.results import CellResult

NINES = "9" * 64
MONITOR = {"load": [0.1, 0.4, 0.9], "mhz": [2000.0, 2500.0, 3000.0], "absent": "", "disturbances": []}


def fast(model="efficientvit_sam_l0", img_s=80.0, scope="E2E", mode="pipelined", batch=16, **changes):
    """A cell of a throughput."""
    metrics = {
        "img_s": img_s,
        "latency_ms_p50": 1000 * batch / img_s,
        "latency_ms_p99": 1300 * batch / img_s,
        "params_m": 34.8,
        "encoder_macs_g": 34.8,
        "ceiling_share": 31.0,
        "ratio_vit_h": img_s / 2,
        "peak_memory_mb": 1234.0,
    }
    marks = changes.pop("marks", [])
    base = CellResult(
        model=model,
        engine="tensorrt",
        precision="fp16",
        device="cuda",
        suite="throughput",
        dataset="coco",
        protocol={"preset": "paper", "scope": scope, "mode": mode, "batch": batch, "gate": "masks are right"},
        metrics=metrics,
        intervals={"img_s": [img_s - 1, img_s + 2], "ratio_vit_h": [39.5, 40.5]},
        n_images=64,
        provenance={**provenance(model=model), "marks": marks, "monitor": MONITOR},
    )
    return dataclasses.replace(base, **changes)


def entries(tmp_path, *cells):
    return read_runs([write_run(tmp_path / "run", list(cells))])


def table_of(tmp_path, *cells, part=""):
    """The one table of some cells, or the one with what is beside speeds."""
    (table,) = (t for t in speed.speed_tables(entries(tmp_path, *cells)) if bool(t.part) == bool(part))
    return table


def column(table, metric):
    return [c.metric for c in table.columns].index(metric)


def test_the_papers_numbers_stand_beside_a_whole_model_with_its_transfers(tmp_path):
    table = table_of(tmp_path, fast(), fast("sam_vit_h", 2.0))
    assert table.headline
    l0 = next(row for row in table.rows if row.model == "efficientvit_sam_l0")
    value = l0.values[column(table, "img_s")]
    assert (value.measured, value.interval, value.published) == (80.0, (79.0, 82.0), 762)
    ratio = l0.values[column(table, "ratio_vit_h")]
    assert (ratio.measured, ratio.interval) == (40.0, (39.5, 40.5))
    assert ratio.published == pytest.approx(762 / 11)
    assert (value.verdict, ratio.verdict) == ("not comparable", "not comparable")
    assert value.why == "on Made-up GPU, not an A100"
    absent = [row for row in table.rows if row.entry is None]
    assert {row.model for row in absent} >= {"efficientvit_sam_xl1", "mobile_sam"}
    assert not {row.model for row in absent} & {"efficientvit_sam_l0", "sam_vit_h"}
    assert all(value.measured is None for row in absent for value in row.values)


@pytest.mark.parametrize(("model", "share"), [("l0", 17), ("l1", 20), ("l2", 24), ("xl0", 33), ("xl1", 38)])
def test_the_papers_shares_of_an_a100(tmp_path, model, share):
    name = f"efficientvit_sam_{model}"
    table = table_of(tmp_path, fast(name), part="more")
    row = next(row for row in table.rows if row.model == name)
    assert row.values[column(table, "ceiling_share")].published == pytest.approx(share, abs=0.6)


@pytest.mark.parametrize(
    "changes", [{"mode": "serial"}, {"mode": "compute"}, {"scope": "D16"}, {"scope": "APP"}]
)
def test_nothing_of_the_papers_stands_beside_another_scope_or_mode(tmp_path, changes):
    table = table_of(tmp_path, fast(**changes))
    assert not table.headline
    assert not any(c.published for c in table.columns)
    assert not any(value.published for row in table.rows for value in row.values)
    assert all(row.entry for row in table.rows)


def test_scopes_modes_and_devices_have_tables_of_their_own_headlines_first(tmp_path):
    cells = [fast(mode="serial"), fast(scope="D1"), fast(), fast(batch=1)]
    tables = speed.speed_tables(entries(tmp_path, *cells))
    titles = [
        "Throughput: End to end, pipelined",
        "Throughput: End to end, serial",
        "Throughput: Decoder, 1 prompt, pipelined",
    ]
    more = ": latency, share of the ceiling, memory"
    assert [t.title for t in tables] == [title + end for title in titles for end in ("", more)]
    assert [row.said for row in tables[0].done] == [
        ("tensorrt fp16", "batch 16"),
        ("tensorrt fp16", "batch 1"),
    ]


def test_the_order_of_models_is_compared_with_the_papers(tmp_path):
    same = table_of(tmp_path, fast(), fast("efficientvit_sam_l1", 70.0), fast("sam_vit_h", 2.0))
    assert "All 3 models stand in the paper's order by speed (tensorrt fp16, batch 16)." in same.about
    other = table_of(tmp_path, fast(), fast("efficientvit_sam_l1", 90.0), fast("sam_vit_h", 2.0))
    assert "Unlike in the paper: EfficientViT-SAM-L1 faster than EfficientViT-SAM-L0" in other.about
    assert "order by speed" not in table_of(tmp_path, fast()).about


def test_a_speed_without_a_number_has_its_reason(tmp_path):
    cells = [fast(status="invalid", metrics={}, intervals={}, reason="parity: wrong"), fast("sam_vit_h", 2.0)]
    table = table_of(tmp_path, *cells)
    row = next(row for row in table.rows if row.model == "efficientvit_sam_l0")
    assert (row.status, row.reason, row.values) == ("invalid", "parity: wrong", ())
    assert "Throughput invalid: EfficientViT-SAM-L0, tensorrt fp16." in speed.warnings(
        entries(tmp_path, *cells)
    )


def test_parameters_beside_the_papers_have_the_footnote_of_profile(tmp_path):
    table = table_of(tmp_path, fast("mobile_sam", marks=["unsteady: x"]), fast())
    said = "MobileSAM: " + footnote(*speed.PAPER, "mobile_sam")
    assert table.notes == ("unsteady: x", said)
    assert {row.model: row.notes for row in table.done} == {"mobile_sam": (1, 2), "efficientvit_sam_l0": ()}
    assert "0.32 M parameters that nothing uses" in page_of(tmp_path, fast("mobile_sam"))[1]
    alone = table_of(tmp_path, fast("mobile_sam", mode="serial"))  # nothing of the paper's beside it
    assert alone.notes == ()


def test_rows_say_what_departs_from_the_plain_case(tmp_path):
    random = {**provenance("random"), "marks": []}
    trained = {
        **provenance(),
        "marks": [],
        "weights": {"source": "file", "path": "e3.pt", "sha256": NINES},
    }
    cells = [fast(provenance=made, engine="eager", precision="fp32") for made in (random, trained)]
    assert [row.said for row in table_of(tmp_path, *cells).done] == [
        ("random weights", "eager fp32", "batch 16"),
        ("e3.pt 99999999", "eager fp32", "batch 16"),
    ]


def test_the_order_of_models_is_compared_whatever_their_weights(tmp_path):
    other = {"source": "file", "path": "e3.pt", "sha256": NINES}
    two = [fast("sam_vit_h", 2.0, provenance={**provenance(), "weights": w}) for w in (other, {})]
    cells = [fast(), *two]
    assert "Both models stand in the paper's order" in table_of(tmp_path, *cells).about


def test_an_interval_of_one_round_is_none(tmp_path):
    table = table_of(tmp_path, fast(intervals={"img_s": [80.0, 80.0]}))
    assert table.done[0].values[column(table, "img_s")].interval is None


def test_doubts_are_footnotes_that_rows_share(tmp_path):
    first, second = ["unsteady: batches vary by 9%"], ["disturbed: x", "unsteady: batches vary by 9%"]
    table = table_of(tmp_path, fast(marks=first), fast(batch=1, marks=second))
    assert [row.notes for row in table.done] == [(1,), (1, 2)]
    assert table.notes == ("unsteady: batches vary by 9%", "disturbed: x")
    assert "1 of 2 measurements" in " ".join(
        speed.warnings(entries(tmp_path, fast(marks=first), fast(batch=1, marks=second)))
    )


def test_how_speeds_were_made_is_told_apart_from_protocols(tmp_path):
    grids = describe(entries(tmp_path, fast()))
    assert [grid.title for grid in grids] == [
        "How speeds were measured",
        "The machine while speeds were measured",
    ]
    assert ("Before any speed", "masks are right") in [(a.text, b.text) for a, b in grids[0].rows]
    assert any("2,000 to 3,000" in row[3].text for row in grids[1].rows)


def page_of(tmp_path, *cells):
    files = write_report([write_run(tmp_path / "run", list(cells))], tmp_path / "out")
    return files.html.read_text(), files.markdown.read_text()


TRT = {"engine": "tensorrt", "precision": "fp16"}


def ap(model="efficientvit_sam_l0", **changes):
    """A cell of accuracy on all of COCO with official weights."""
    base = {"suite": "det_box", "dataset": "coco/vitdet", "metrics": {"ap": 44.0}, "intervals": {}}
    return cell(model, **{**base, **changes})


def test_speeds_and_accuracies_share_a_page_without_mixing(tmp_path):
    html, markdown = page_of(tmp_path, ap(**TRT), fast(), fast("sam_vit_h", 2.0))
    assert "Accuracy against throughput" in html
    assert "Filled: accuracy measured too, of the same artifact" in html
    assert "mathdefault" not in html
    assert "Throughput: End to end, pipelined" in markdown
    assert "64 images, the published numbers are for" not in html  # the set of a speed is no test set
    row = r"\| SAM-ViT-H \(tensorrt fp16, batch 16\) \[1\] \|"
    assert re.search(rf"{row}.*\*\*2\.00\*\* \(1\.00-4\.00\), A100 11, not comparable", markdown)


def test_a_report_of_speeds_alone_has_no_table_of_accuracies(tmp_path):
    html, markdown = page_of(tmp_path, fast(scope="D64"))
    assert "Nothing was measured" not in html
    assert "Decoder, 64 prompts, pipelined" in html
    assert "Accuracy against throughput" not in html
    assert "mIoU by" not in markdown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123, "0.0123"),
        (1.0, "1.00"),
        (9.996, "10.0"),
        (99.94, "99.9"),
        (99.96, "100"),
        (12345.6, "12,346"),
    ],
)
def test_three_figures(value, text):
    assert figures(value) == text
