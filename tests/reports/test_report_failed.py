"""Images that a model failed on are in no number, and no form of a report shows one without saying so."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from fake_evidence import objects, scored
from fake_runs import cell, write_run

from sambench.reports import compare, frames, made, markdown, page
from sambench.reports.cells import read_runs
from sambench.reports.content import Content, content_of
from sambench.reports.renderers import csv_file, latex
from sambench.reports.renderers.markdown import escape

FAILED = [
    {"image_id": 7, "file_name": "000123.jpg", "reason": "its logits are not finite."},
    {"image_id": 8, "file_name": "000124.jpg", "reason": "out of memory <2 GB>"},
]
SHORT = "2 of 5,000 images failed"
LONG = (
    "2 of 5,000 images failed and are not in these numbers: "
    "000123.jpg: its logits are not finite; 000124.jpg: out of memory <2 GB>"
)


@pytest.fixture
def content(tmp_path: Path) -> Content:
    """A cell that could be compared with the paper, were it not for two images, and one that is."""
    cells = [cell(n_failed_images=2, failed_images=FAILED), cell("sam_vit_h")]
    return content_of(read_runs([write_run(tmp_path / "run", cells)]))


def test_it_is_the_first_thing_that_a_reader_reads(content: Content) -> None:
    assert [w for w in content.warnings if "failed" in w] == [
        f"gt_box on coco, EfficientViT-SAM-XL1: {LONG}."
    ]


def test_such_a_number_is_not_held_against_the_papers(content: Content) -> None:
    compared = [section for section in content.sections if section.table.any_published]
    assert {section.table.kind for section in compared} == {"paper", "suite"}
    for section in compared:
        rows = {row.model: row for row in section.table.rows}
        short, whole = (rows[name] for name in ("efficientvit_sam_xl1", "sam_vit_h"))
        assert SHORT in short.said
        measured = [value for value in short.values if value.measured is not None]
        assert measured
        assert {value.verdict for value in measured if value.published is not None} == {"not comparable"}
        assert {value.why for value in measured if value.published is not None} == {SHORT}
        assert not [text for text in whole.said if "failed" in text]
        assert {value.verdict for value in whole.values if value.measured and value.published} == {"differs"}
        notes = " ".join(section.table.notes[number - 1] for number in short.notes)
        assert notes.startswith(f"Not comparable: {SHORT}")
        assert notes.count(SHORT) == 1


def test_every_form_of_a_table_says_it_with_the_names_of_the_images(content: Content) -> None:
    (table,) = [section.table for section in content.sections if section.table.kind == "suite"]
    assert escape(LONG) in markdown.render(content)
    assert latex.escape(LONG) in latex.render(table)
    lines = {line["model"]: line for line in csv.DictReader(io.StringIO(csv_file.render(table)))}
    line = lines["efficientvit_sam_xl1"]
    assert line["said"] == SHORT
    assert LONG in line["notes"]
    html = page.render(content, [])
    assert html.count(LONG.replace("<", "&lt;").replace(">", "&gt;")) >= 2  # the warning, and the note
    assert '"failed_images":2' in html


def test_the_images_are_listed_where_it_is_said_how_numbers_were_made(content: Content) -> None:
    (grid,) = [grid for grid in made.describe(content.entries) if grid.title == "Failed images"]
    assert [[field.text for field in row][-2:] for row in grid.rows] == [
        [image["file_name"], image["reason"]] for image in FAILED
    ]


def test_a_report_without_such_images_says_nothing_of_them(tmp_path: Path) -> None:
    content = content_of(read_runs([write_run(tmp_path / "run", [cell()])]))
    assert "ailed" not in markdown.render(content)
    assert "ailed images" not in [grid.title for grid in content.grids]


def test_a_comparison_says_whose_images_failed(tmp_path: Path) -> None:
    own, its = objects([0.5, 0.6], image=[1, 2]), objects([0.5], image=[1])
    cells = [
        scored(tmp_path, own),
        scored(tmp_path, its, "mobile_sam", n_images=2, n_failed_images=1, failed_images=FAILED[:1]),
    ]
    found = compare.compare_runs(write_run(tmp_path, cells)).rows[0]
    assert found.label_b.endswith("1 of 2 images failed")
    assert found.note is not None
    assert (
        "1 of 2 images failed and is not in these numbers: 000123.jpg: its logits are not finite"
        in found.note
    )


def test_frames_count_them(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [cell(n_failed_images=2, failed_images=FAILED)])
    assert set(frames(run).results["n_failed_images"]) == {2}
