"""The page as a file: whole, self-contained, safe, small, and the same each time."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import io
import os
import re
import sys

import numpy as np
import pytest
from fake_runs import cell, mini, provenance, write_records, write_run
from fake_thirteen import differences, objects
from page_reader import Page

from sambench.evsam.errors import SambenchError
from sambench.reports import page
from sambench.reports.cells import read_runs
from sambench.reports.compare import Comparison, Refusal
from sambench.reports.content import content_of
from sambench.reports.page_data import short
from sambench.reports.records import read_scored
from sambench.reports.report import write_report
from sambench.reports.speed_made import describe
from sambench.suites.protocol import PRESETS, for_suite

HOSTILE = '</script><!--<script>alert("x")</script>\'|$a_b$ & `c`\u2028<img src=x onerror=alert(1)>'
MINUS = "\u2212"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("page") / "run"
    write_records(folder / "records/box", rng.random(200))
    write_records(folder / "records/click", list(np.sort(rng.random((200, 5)), axis=1)))
    empty = dict.fromkeys(cell().metrics)
    cells = [
        cell(records="records/box"),
        cell(suite="click", records="records/click"),
        mini("efficientvit_sam_l0", records="records/box"),
        mini(
            "sam_vit_h",
            metrics={**empty, "miou": 12.0},
            intervals={"miou": [11.0, 13.0]},
            records="records/none",
        ),
        cell("box", "click", status="not_applicable", reason="needs <b>boxes</b>"),
        mini("edge_sam", status="failed", reason="weights | missing"),
        mini("mobile_sam", status="unfinished"),
    ]
    return write_run(folder, cells)


@pytest.fixture(scope="module")
def files(run, tmp_path_factory):
    return write_report([run], tmp_path_factory.mktemp("page-out"))


@pytest.fixture(scope="module")
def read(files):
    return Page(files.html.read_text(encoding="utf-8"))


@pytest.fixture
def content(tmp_path):
    """A content of few numbers and no figures, made anew for each test."""
    return lambda *cells: content_of(read_runs([write_run(tmp_path / "run", list(cells))]))


def row_of(read, table, name):
    """The cells of the row whose name begins so."""
    (found,) = [cells for key, cells in read.rows(table).items() if key.startswith(name)]
    return found


def test_the_page_loads_nothing_and_says_so_to_the_browser(files, read):
    text = files.html.read_text(encoding="utf-8")
    loads = [v for k, v in read.attrs if k in ("src", "href", "xlink:href", "srcset", "action")]
    assert loads
    assert all(value.startswith(("#", "data:")) for value in loads)
    assert not {"link", "iframe", "object", "img", "base", "embed"} & set(read.tags)
    assert not re.search(r"@import|url\((?!#)", text)
    assert set(re.findall(r"https?://([^/\"' ]+)", text)) == {"www.w3.org"}  # names of vocabularies
    (policy,) = [v for k, v in read.attrs if k == "content" and "default-src" in v]
    script = base64.b64encode(hashlib.sha256(read.scripts[""].encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'"
        in policy
    )
    assert not [k for k, _ in read.attrs if k.startswith("on")]


def test_every_anchor_has_its_place(read):
    ids = [value for key, value in read.attrs if key == "id"]
    assert len(ids) == len(set(ids))
    assert {v[1:] for k, v in read.attrs if k == "href" and v.startswith("#")} <= set(ids)
    assert {v for k, v in read.attrs if k == "aria-labelledby"} <= set(ids)
    assert {v for k, v in read.attrs if k == "for" for v in v.split()} <= set(ids)


def test_every_number_is_in_its_cell(read):
    assert read.rows("gt_box-coco")["Model"] == ["All objects", "Small", "Medium", "Large"]
    differs = [("79.9", "9.9"), ("75.8", "4.8"), ("82.2", "10.2"), ("83.8", "10.8")]  # of Table 3
    assert row_of(read, "gt_box-coco", "EfficientViT-SAM-XL1") == [
        f"{70 + n}.0 {69 + n}.6\u2013{70 + n}.5 paper {paper}, {MINUS}{less} \u2260 differs"
        for n, (paper, less) in enumerate(differs)
    ]
    small = row_of(read, "gt_box-coco", "EfficientViT-SAM-L0")
    assert re.fullmatch("73.0 72.6\u201373.5 \u00b1[0-9.]+", small[3])  # nothing where nothing is published
    huge = row_of(read, "gt_box-coco", "SAM-ViT-H")
    measured, published = huge[:2]
    assert re.sub(" \u00b1[0-9.]+", "", measured) == "12.0 11.0\u201313.0 paper 77.4 \u2241 not comparable"
    assert published == "paper 72.3"
    assert row_of(read, "gt_box-coco", "EdgeSAM") == ["failed weights | missing"]
    clicks = row_of(read, "click-coco", "EfficientViT-SAM-XL1")
    assert clicks[0] == "70.0 69.6\u201370.5 paper 59.8 \u2260 differs +10.2"
    assert clicks[4] == "75.0 74.6\u201375.5"  # small, 3 clicks


def test_the_data_inside_are_the_numbers_of_the_run(run, read):
    data, made = read.data, {(e.label, e.cell.suite): e for e in read_runs([run])}
    (table,) = [table for table in data["tables"] if table["name"] == "gt_box-coco"]
    seen = 0
    for row in table["rows"]:
        for column, fields in zip(table["columns"], row.get("values", []), strict=False):
            value = dict(zip(data["fields"], fields, strict=False))
            source = data["cells"][row["cell"]] if "cell" in row else None
            if value.get("measured") is not None:
                its = made[source["label"], source["suite"]].cell
                assert value["measured"] == its.metrics[column["metric"]]
                assert [value["low"], value["high"]] == its.intervals[column["metric"]]
                seen += 1
    assert seen == 4 + 4 + 1
    best = dict(zip(data["fields"], table["rows"][-1]["values"][0], strict=False))
    assert (best["published"], best["difference"]) == (79.9, -9.9)
    assert data["verdicts"][best["verdict"]] == "differs"
    source = data["cells"][table["rows"][-1]["cell"]]
    assert data["protocols"][source["protocol"]]["axes"]["Crowd regions"].startswith("kept")
    assert data["weights"][source["weights"]]["sha256"]
    assert (source["images"], source["objects"], source["engine"]) == (5000, 36781, "eager")


def test_a_table_can_be_copied_as_its_files_are(files, read):
    copies = read.packed["copies"]
    for number, table in enumerate(read.data["tables"]):
        folder = files.html.parent / "tables"
        assert copies[number]["csv"] == (folder / f"{table['name']}.csv").read_text()
        assert copies[number]["latex"] == (folder / f"{table['name']}.tex").read_text()
        assert copies[number]["markdown"] in files.markdown.read_text() + "\n"
    rows = list(csv.DictReader(io.StringIO(copies[-1]["csv"])))
    assert len(rows) == len(read.data["tables"][-1]["rows"])


def test_whatever_data_say_is_only_text(content):
    made = {
        **provenance(),
        "device": HOSTILE,
        "command": HOSTILE,
        "versions": {HOSTILE: HOSTILE},
        "weights": {"source": "file", "path": HOSTILE, "sha256": HOSTILE},
        "git": {"commit": HOSTILE, "dirty": True},
    }
    named = cell(
        HOSTILE,
        engine=HOSTILE,
        precision=HOSTILE,
        device=HOSTILE,
        dataset=HOSTILE,
        note=HOSTILE,
        protocol={"preset": HOSTILE, HOSTILE: HOSTILE},
        provenance=made,
        counts={HOSTILE: 1},
        timing={HOSTILE: 1.0},
    )
    failed = cell("edge_sam", HOSTILE, status="failed", reason=HOSTILE)
    texts = {"kind", "suite", "dataset", "file_name", "category", "size"}
    (one, *_) = objects(("edge_sam",))
    shown = dataclasses.replace(one, **dict.fromkeys(texts, HOSTILE))
    shown = dataclasses.replace(shown, answers=(dataclasses.replace(one.answers[0], label=HOSTILE),))
    refused = Refusal(HOSTILE, "b", HOSTILE, "b", HOSTILE, HOSTILE, HOSTILE)
    compared = Comparison((), (refused,), (HOSTILE,))
    read = Page(page.render(content(named, failed), [shown], compared))
    assert not {"img", "b>"} & set(read.tags)
    assert read.tags.count("script") == 3
    assert not [k for k, _ in read.attrs if k.startswith("on")]
    assert read.text.count(HOSTILE) > 20
    assert read.data["cells"][0]["device"] in range(len(read.data["devices"]))
    assert HOSTILE in read.data["devices"]
    assert any(row["model"] == HOSTILE for table in read.data["tables"] for row in table["rows"])
    assert read.packed["pairs"]["refused"] == [[0, 1, HOSTILE, HOSTILE, HOSTILE]]


def test_a_hostile_name_does_not_close_the_data(files, read):
    text = files.html.read_text(encoding="utf-8")
    (inside,) = re.findall(r'(?s)<script type="application/json" id="data">(.*?)</script>', text)
    assert not re.search(r"[<>&\u2028\u2029]", inside)
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", read.scripts["packed"])


def test_verdicts_and_intervals_are_written_with_sense(content):
    metrics = {"miou": 79.9512, "miou_small": 75.8, "miou_medium": None, "miou_large": 80.0}
    intervals = {"miou": [79.94, 79.96], "miou_large": [79.98, 80.02]}
    read = Page(page.render(content(cell("sam_vit_h", metrics=metrics, intervals=intervals)), []))
    assert row_of(read, "gt_box-coco", "SAM-ViT-H") == [
        "80.0 79.9\u201380.0 paper 77.4, +2.6 \u2260 differs",
        "75.8 paper 72.3, +3.5 \u2260 differs",
        "paper 80.4",
        f"80.0 paper 81.8, {MINUS}1.8 \u2260 differs",  # both ends of its interval print as itself
    ]


def test_a_difference_that_is_one_is_never_written_as_none(content):
    paper = for_suite(PRESETS["paper"], "sginw").to_json()
    metrics = {"ap": 48.7004, "ap_Elephants": 77.931}
    wild = cell("sam_vit_h", "sginw", dataset="sginw/gdino", metrics=metrics, intervals={}, protocol=paper)
    read = Page(page.render(content(dataclasses.replace(wild, counts={"data_sets": 25})), []))
    heads, cells = read.rows("sginw-sginw-gdino")["Model"], row_of(read, "sginw-sginw-gdino", "SAM-ViT-H")
    found = dict(zip(heads, cells, strict=True))
    assert found["Mean of 25"] == "48.7 paper 48.7 = reproduced 0.0"
    assert found["Elephants"] == "77.9 paper 77.91 \u2260 differs +0.02"


def test_paired_differences_are_listed_by_metric(content):
    cells = [cell(), cell("sam_vit_h")]
    rows = differences([dataclasses.replace(one, about=None) for one in cells])
    (first, *_) = rows
    first = dataclasses.replace(
        first, a=70.12345, b=71.0, difference=0.87655, p=0.012345, p_holm=float("nan")
    )
    pairs = Page(page.render(content(*cells), [], Comparison((*rows[1:], first), (), ()))).packed["pairs"]
    assert pairs["labels"] == ["EfficientViT-SAM-XL1", "SAM-ViT-H"]
    assert [metric["metric"] for metric in pairs["metrics"]] == [row.metric for row in rows]
    assert pairs["metrics"][0]["heading"] == "All objects"
    one = dict(zip(pairs["fields"], pairs["rows"][0], strict=False))
    assert (one["a"], one["b"], one["metric"]) == (0, 1, 0)
    assert (one["value_a"], one["difference"], one["p"], one["p_holm"]) == (70.123, 0.877, 0.012, None)
    assert one["better"] + one["worse"] + one["within"] == one["n_instances"] == 36781


def test_a_picture_is_there_once_and_all_models_are_drawn_over_it(content):
    shown = objects(("edge_sam", "mobile_sam"))
    read = Page(page.render(content(cell()), shown))
    pictures = [v for k, v in read.attrs if k == "href" and v.startswith("data:")]
    assert pictures == [shown[0].picture]  # of three objects in one image
    assert [v for k, v in read.attrs if k == "href"].count("#picture-0") == 3 * 2
    outlines = [v for k, v in read.attrs if k == "d" and v.endswith("Z")]
    assert outlines == [answer.outline for one in shown for answer in one.answers]
    assert "EdgeSAM, dog: IoU 0.30, 2 clicks" in [v for k, v in read.attrs if k == "aria-label"]
    assert "masks" not in read.data["gallery"][0]


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, None), (float("inf"), None), (70.0, 70), (79.87654321, 79.8765), (1e-7, 1e-7)],
)
def test_numbers_of_the_data(value, written):
    assert short(value) == written


def test_a_clock_that_stands_still_is_one_number(tmp_path):
    monitor = {"sm_mhz": [2450.0, 2450.2, 2450.4], "load": [0.1, 0.4, 0.9]}
    fast = cell(suite="throughput", protocol={}, provenance={**provenance(), "monitor": monitor})
    machine = describe(read_runs([write_run(tmp_path, [fast])]))[-1]
    assert [row[-1].text for row in machine.rows] == ["2,450", "0.100 to 0.900"]


def test_the_same_run_gives_the_same_bytes(files, run, tmp_path):
    again = write_report([run], tmp_path / "elsewhere")
    assert again.html.read_bytes() == files.html.read_bytes()
    assert again.markdown.read_bytes() == files.markdown.read_bytes()
    left = sorted(path.name for path in files.html.parent.iterdir())
    assert left == [".report.html.lock", "report.html", "report.md", "tables"]


def test_missing_records_leave_a_note(read):
    assert "records were not found: SAM-ViT-H, random weights, 10 of 117 images" in read.text


def test_records_are_read_in_order_and_clicks_carried_on(tmp_path):
    run = write_run(tmp_path / "run", [cell(records="box"), cell(suite="click", records="click")])
    write_records(run / "box", [0.1, 0.2, 0.3])
    write_records(run / "click", [[0.1, 0.2, 0.3], [], [0.9], [0.5, 0.6]])
    box, click = (read_scored(entry).iou for entry in read_runs([run]))
    assert box.tolist() == [0.1, 0.2, 0.3]
    assert click.tolist() == [[0.1, 0.2, 0.3], [0.9, 0.9, 0.9], [0.5, 0.6, 0.6]]


def test_broken_or_empty_records_are_missing_records(tmp_path):
    run = write_run(tmp_path / "run", [cell(records="records"), cell(records="empty"), cell()])
    (run / "records").mkdir()
    (run / "records/shard-000.parquet").write_bytes(b"not parquet")
    write_records(run / "empty", [], shards=1)
    assert [read_scored(entry) for entry in read_runs([run])] == [None, None, None]


def test_several_runs_make_one_page(tmp_path):
    one = write_run(tmp_path / "one", [mini("edge_sam")])
    other = write_run(
        tmp_path / "other", [cell("efficientvit_sam_l2", dataset="lvis", metrics={"miou": 1.0})]
    )
    read = Page(page.render(content_of(read_runs([one, other / "results.json"])), []))
    assert {table["name"] for table in read.data["tables"]} >= {"gt_box-coco", "gt_box-lvis"}
    assert {made["run"] for made in read.data["cells"]} == {"one", "other"}


def test_a_run_without_cells(tmp_path):
    files = write_report([write_run(tmp_path / "run", [])], tmp_path / "out")
    read = Page(files.html.read_text(encoding="utf-8"))
    assert "Nothing was measured" in read.text
    assert read.packed == {"copies": [], "pairs": None}


def test_what_the_user_can_put_right_is_said(tmp_path, run, monkeypatch):
    with pytest.raises(SambenchError, match="no run was given"):
        write_report([], tmp_path / "out")
    with pytest.raises(SambenchError, match="no such file"):
        write_report([tmp_path / "nowhere"], tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(SambenchError, match=r"report\.html: cannot be written"):
        write_report([run], tmp_path / "file" / "out")


def test_a_failed_write_leaves_the_old_page(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", [mini("edge_sam", status="failed", reason="no weights")])
    files = write_report([run], tmp_path / "out")
    before = files.html.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SambenchError, match="No space left"):
        write_report([run], files.html.parent)
    assert files.html.read_bytes() == before
    left = sorted(path.name for path in files.html.parent.iterdir())
    assert left == [".report.html.lock", "report.html", "report.md", "tables"]


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_a_missing_extra_is_named(run, tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SambenchError, match=rf"needs {library}.*pip install 'sambench\[report\]'"):
        write_report([run], tmp_path / "out")
