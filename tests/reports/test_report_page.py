"""The page as a file: whole, self-contained, safe, and the same each time."""

from __future__ import annotations

import html.parser
import os
import re
import sys

import numpy as np
import pytest
from fake_runs import cell, mini, write_records, write_run

from sambench.evsam.errors import SambenchError
from sambench.reports.cells import read_runs
from sambench.reports.records import read_iou
from sambench.reports.report import write_report

HOSTILE = '<script>alert("x")</script>|$a_b$ & `c`'
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(html.parser.HTMLParser):
    """Checks that tags are balanced, and keeps attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attrs, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attrs += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def run(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "run"
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
        mini(HOSTILE, records="records/box"),
        mini(HOSTILE, "click", records="records/click"),
        cell("box", "click", status="not_applicable", reason="needs <b>boxes</b>"),
        mini("edge_sam", status="failed", reason="weights | missing"),
        mini("mobile_sam", status="unfinished"),
    ]
    return write_run(folder, cells)


@pytest.fixture
def files(run, tmp_path):
    return write_report([run], tmp_path / "out")


def test_the_page_is_balanced_and_loads_nothing(files):
    text = files.html.read_text(encoding="utf-8")
    page = Page(text)
    loads = [(k, v) for k, v in page.attrs if k in ("src", "href", "xlink:href", "srcset", "action", "data")]
    assert all(value.startswith("#") for _, value in loads)
    assert not {"script", "link", "iframe", "object", "img"} & set(page.tags)
    assert not re.search(r"@import|url\((?!#)", text)
    assert page.tags.count("svg") == 3
    ids = [value for key, value in page.attrs if key == "id"]
    assert len(ids) == len(set(ids))
    assert "prefers-color-scheme: dark" in text


def test_a_hostile_name_is_only_text(files):
    text = files.html.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>boxes" not in text
    assert HOSTILE in Page(text).text
    markdown = files.markdown.read_text(encoding="utf-8")
    assert "<script" not in markdown
    assert "weights \\| missing" in markdown


def test_only_the_comparable_cells_show_a_difference(files):
    text = files.html.read_text(encoding="utf-8")
    shown = re.findall(r'class="small delta" title="([^"]+)"', text)
    assert shown[:4] == ["-9.90", "-4.80", "-10.20", "-10.80"]
    assert len(shown) == 4 + 6  # four of gt_box; clicks: three of the paper, three of the script
    assert text.count("not comparable<sup>1</sup>") == 4  # the four sizes of SAM-ViT-H
    assert 'title="no objects of this size">&ndash;' in text
    assert 'title="70.00 (69.60 to 70.50)"' in text
    markdown = files.markdown.read_text(encoding="utf-8")
    assert "70.0 (69.6-70.5) | 79.9, -9.9 |" in markdown
    assert "12.0 (11.0-13.0) | 77.4, not comparable (1) |" in markdown
    assert "1. Not comparable: random weights; 10 of 5,000 images; protocol strict" in markdown


def test_a_tiny_run_shows_no_difference_and_no_published_marker(tmp_path):
    write_records(tmp_path / "run/records", np.linspace(0, 1, 50))
    run = write_run(tmp_path / "run", [mini("efficientvit_sam_xl1", source="file", records="records")])
    text = write_report([run], tmp_path / "out").html.read_text(encoding="utf-8")
    assert 'class="small delta"' not in text
    assert "Hollow" not in text
    assert "10 of 5,000 images; protocol strict" in text


def test_every_row_of_the_markdown_has_the_columns_of_its_table(files):
    tables = re.findall(r"(?m)(?:^\|.*\n)+", files.markdown.read_text(encoding="utf-8"))
    assert len(tables) == 7  # two of results, five of how they were made
    for table in tables:
        bars = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
        without_numbers = len(re.findall(r"\| (?:failed|n/a|unfinished): ", table))
        assert sorted(set(bars), reverse=True)[0] == bars[0] == bars[1]
        assert len([count for count in bars if count != bars[0]]) == without_numbers


def test_the_same_run_gives_the_same_bytes(files, run, tmp_path):
    again = write_report([run], tmp_path / "elsewhere")
    assert again.html.read_bytes() == files.html.read_bytes()
    assert again.markdown.read_bytes() == files.markdown.read_bytes()
    left = sorted(path.name for path in files.html.parent.iterdir())
    assert left == [".report.html.lock", "report.html", "report.md"]


def test_missing_records_leave_a_note(files, tmp_path):
    text = files.html.read_text(encoding="utf-8")
    assert (
        "records were not found: SAM-ViT-H, random weights, 10 of 117 images, strict protocol, cpu." in text
    )
    run = write_run(tmp_path / "bare", [cell(), cell(suite="click")])
    page = Page(write_report([run], tmp_path / "bare-out").html.read_text(encoding="utf-8"))
    assert page.tags.count("svg") == 1  # by size, from the metrics
    assert page.text.count("Left out, because their records were not found: EfficientViT-SAM-XL1.") == 2


def test_records_are_read_in_order_and_clicks_carried_on(tmp_path):
    run = write_run(tmp_path / "run", [cell(records="box"), cell(suite="click", records="click")])
    write_records(run / "box", [0.1, 0.2, 0.3])
    write_records(run / "click", [[0.1, 0.2, 0.3], [], [0.9], [0.5, 0.6]])
    box, click = map(read_iou, read_runs([run]))
    assert box.tolist() == [0.1, 0.2, 0.3]
    assert click.tolist() == [[0.1, 0.2, 0.3], [0.9, 0.9, 0.9], [0.5, 0.6, 0.6]]


def test_broken_or_empty_records_are_missing_records(tmp_path):
    run = write_run(tmp_path / "run", [cell(records="records"), cell(records="empty"), cell()])
    (run / "records").mkdir()
    (run / "records/shard-000.parquet").write_bytes(b"not parquet")
    write_records(run / "empty", [], shards=1)
    assert [read_iou(entry) for entry in read_runs([run])] == [None, None, None]


def test_several_runs_make_one_page(run, tmp_path):
    other = write_run(tmp_path / "other", [cell("sam_vit_h"), cell("efficientvit_sam_l2", dataset="lvis")])
    text = write_report([run, other / "results.json"], tmp_path / "out").html.read_text(encoding="utf-8")
    page = Page(text)
    assert page.text.count("Ground-truth boxes, mIoU on") == 2
    assert "EfficientViT-SAM-L2" in page.text


def test_a_run_without_cells(tmp_path):
    files = write_report([write_run(tmp_path / "run", [])], tmp_path / "out")
    assert "Nothing was measured" in Page(files.html.read_text(encoding="utf-8")).text


def test_what_the_user_can_put_right_is_said(tmp_path, run, monkeypatch):
    with pytest.raises(SambenchError, match="no run was given"):
        write_report([], tmp_path / "out")
    with pytest.raises(SambenchError, match="no such file"):
        write_report([tmp_path / "nowhere"], tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(SambenchError, match=r"report\.html: cannot be written"):
        write_report([run], tmp_path / "file" / "out")


def test_a_failed_write_leaves_the_old_page(files, run, monkeypatch):
    before = files.html.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SambenchError, match="No space left"):
        write_report([run], files.html.parent)
    assert files.html.read_bytes() == before
    left = sorted(path.name for path in files.html.parent.iterdir())
    assert left == [".report.html.lock", "report.html", "report.md"]


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_a_missing_extra_is_named(run, tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SambenchError, match=rf"needs {library}.*pip install 'sambench\[report\]'"):
        write_report([run], tmp_path / "out")
