"""``sambench published``: the table, the JSON, and words that nobody has numbers for."""

from __future__ import annotations

import json

import pytest
from command import call

from sambench.harness.cli import complete

ASKED = ["published", "--model", "mobile_sam", "--suite", "det_box", "--dataset", "coco", "--metric", "ap"]


def test_two_papers_stand_beneath_each_other_with_what_differs() -> None:
    done = call(*ASKED)
    assert done.code == 0
    lines = [line for line in done.out.splitlines() if line.startswith("mobile_sam")]
    assert len(lines) == 7
    assert [line.split()[4] for line in lines] == ["33.1", "38.7", "38.7", "39.4", "41", "42.7", "44.3"]
    edge, tiny = lines[3], lines[4]
    assert "edge_sam" in edge
    assert "select: single" in edge
    assert "tiny_sam" in tiny
    assert "select: pred_iou" in tiny
    assert "not stated: select, detector" in lines[2]


def test_the_legend_says_whose_names_they_are_and_leaves_the_table_alone() -> None:
    done = call(*ASKED)
    assert "edge_sam: Zhou et al., EdgeSAM: Prompt-In-the-Loop" in done.err
    assert "https://arxiv.org/abs/2312.06660" in done.err
    assert "https" not in done.out
    assert call(*ASKED, "--quiet").err == ""


def test_json_has_all_fields_and_what_others_say() -> None:
    rows = json.loads(call(*ASKED, "--source", "edge_sam", "--json").out)
    assert [row["dataset"] for row in rows] == ["coco/detic", "coco/vitdet"]
    row = rows[1]
    assert (row["value"], row["unit"], row["called"], row["table"]) == (39.4, "%", "MobileSAM", "Table 4")
    assert row["protocol"]["select"] == "single"
    assert "score" in row["not_stated"]
    also = {other["source"]: other for other in row["also"]}
    assert "edge_sam" not in also
    assert also["tiny_sam"]["value"] == 41.0
    assert "select: single / pred_iou" in also["tiny_sam"]["differs_in"]


@pytest.mark.parametrize(
    ("option", "word", "nearest"),
    [
        ("--model", "mobile_sma", "mobile_sam"),
        ("--suite", "det-box", "det_box"),
        ("--dataset", "coco/vitde", "coco/vitdet"),
        ("--metric", "mioul", "miou"),
        ("--source", "edgesam", "edge_sam"),
    ],
)
def test_an_unknown_word_is_refused_with_the_nearest(option: str, word: str, nearest: str) -> None:
    done = call("published", option, word)
    assert done.code == 2
    assert f"{option} {word}" in done.err
    assert f"Did you mean {nearest!r}?" in done.err


def test_nothing_together_is_an_empty_list_and_a_hint() -> None:
    asked = ["published", "--model", "nano_sam", "--suite", "click"]
    assert json.loads(call(*asked, "--json").out) == []
    done = call(*asked)
    assert done.code == 0
    assert "leave one of them out" in done.err


def test_the_tab_key_offers_what_there_is() -> None:
    assert "efficient_sam3_repvit_s" in complete.published("model")()
    assert {"coco", "coco/vitdet"} <= set(complete.published("dataset")())
    assert "" not in complete.published("dataset")()
