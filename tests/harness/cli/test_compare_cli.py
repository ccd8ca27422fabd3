"""``sambench compare``: what it prints, and with which code it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Done, Screen, call, cell_of, flags, rows_of
from fake_evidence import objects, scored
from fake_runs import PAPER, STRICT, provenance, write_run
from rich.console import Console
from tiny_coco import TinyCoco

from sambench.evsam.errors import SambenchError
from sambench.harness.cli.compare_tables import show_differences
from sambench.harness.cli.gate import Gate
from sambench.reports.compare import compare_runs

PROMISED = {
    *("model_a", "model_b", "suite", "dataset", "metric", "a", "b", "difference", "interval", "p"),
    *("p_holm", "better", "worse", "within", "n_images", "n_instances"),
}
"""Keys of a row that others read."""

BEFORE, AFTER = [0.5, 0.6, 0.7, 0.8], [0.5, 0.6, 0.72, 0.7]  # two points less on average


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """A run of two models, and another in which the second one got worse."""
    found = []
    for name, second in (("before", BEFORE), ("after", AFTER)):
        run = tmp_path / name
        cells = [scored(run, objects(BEFORE)), scored(run, objects(second), "mobile_sam")]
        found.append(write_run(run, cells))
    return found


def test_a_run_of_two_models_is_compared_as_its_records_say(tiny: TinyCoco, fresh: Path) -> None:
    assert call(*flags(tiny, fresh)).code == 0
    done = call("compare", fresh, "--json")
    assert (done.code, done.err) == (0, "")
    rows = json.loads(done.out)
    assert rows[0].keys() >= PROMISED
    for suite, metric, pick in (("gt_box", "miou", lambda v: v), ("click", "miou_5", lambda v: v[4])):
        cells = [cell_of(fresh, model=model, suite=suite) for model in ("box", "ellipse")]
        kept = [{r["ann_id"]: pick(r["iou"]) for r in rows_of(fresh, cell)} for cell in cells]
        off = np.array([kept[1][ann] - kept[0][ann] for ann in kept[0]])
        (row,) = [r for r in rows if (r["suite"], r["metric"]) == (suite, metric)]
        assert (row["model_a"], row["model_b"], row["dataset"]) == ("box", "ellipse", "tiny")
        assert row["difference"] == pytest.approx(100 * off.mean())
        assert [row["better"], row["worse"], row["within"]] == [
            int((off > 0.05).sum()),
            int((off < -0.05).sum()),
            int((abs(off) <= 0.05).sum()),
        ]
        assert (row["n_images"], row["n_instances"]) == (4, 4)
        assert [row["a"], row["b"]] == pytest.approx([cell["metrics"][metric] for cell in cells])
        assert row["seconds_per_image_a"] > 0


def test_the_table_has_a_line_a_row_in_a_pipe(runs: list[Path]) -> None:
    done = call("compare", runs[1])
    assert done.code == 0
    heading, names, line, beneath, *_ = done.out.splitlines()
    assert heading == "gt_box: Ground-truth boxes, mIoU; coco, paper"
    assert names.split() == [
        *("model", "a", "model", "b", "metric", "a", "b", "b", "-", "a", "p,", "Holm"),
        *("better", "worse", "equal", "objects"),
    ]
    assert line.split()[:6] == ["sam_vit_b", "mobile_sam", "miou", "65.00", "63.00", "-2.00"]
    assert line.split()[-4:] == ["0", "1", "3", "4"]
    assert beneath.startswith("4 images with objects that both have, resampled 2,000 times together")
    assert "Holm for 1 pair of models" in beneath


def test_on_a_narrow_terminal_nothing_is_cut(runs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    out = Screen()
    rows = compare_runs(runs[1], metrics=["miou"]).rows
    show_differences(rows, {}, Console(file=out, width=80, color_system=None))
    table = out.getvalue().splitlines()[:5]
    assert max(map(len, table)) <= 80
    text = " ".join(" ".join(table).split())
    for words in ("a sam_vit_b", "b mobile_sam", "a 65.00", "b 63.00", "-2.00", "+0 -1 =3"):
        assert words in text


def test_all_metrics_or_those_that_are_named(runs: list[Path]) -> None:
    def metrics(*more: str) -> list[str]:
        return list(dict.fromkeys(r["metric"] for r in json.loads(call("compare", runs[1], *more).out)))

    assert len(metrics("--json")) > 8
    assert metrics("--json", "--metrics", "boundary_iou, miou") == ["miou", "boundary_iou"]
    assert "boundary_iou_per_image" in call("compare", runs[1], "--all").out
    assert "boundary_iou" not in call("compare", runs[1]).out


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("miou < -0.2", 1),
        ("gt_box.miou<=-2.5", 0),
        ("miou > 0", 0),
        ("gt_box.miou >= 0", 1),  # the model that did not change
        ("boundary_iou < -.9", 1),  # computed though the table has no room for it
        ("click.miou < -0.2", 2),  # no such suite here
        ("miou_7 < -0.2", 2),
        ("miou_medium < -0.2", 2),  # no object is medium
        ("miou < nan", 2),
        ("miou != 3", 2),
        ("", 2),
    ],
)
def test_a_gate_fails_passes_or_cannot_be_judged(runs: list[Path], expression: str, code: int) -> None:
    done = call("compare", *runs, "--fail-if", expression)
    assert done.code == code, done.err
    assert ("--fail-if" in done.err) == (code == 2)
    assert ("fails" in done.err) == (code == 1)


def test_any_gate_that_fails_ends_with_1_and_names_the_models(runs: list[Path]) -> None:
    gates = ("--fail-if", "miou > 50", "--fail-if", "miou < -0.2")
    done = call("compare", *runs, "--json", *gates)
    assert done.code == 1
    assert [row["difference"] < 0 for row in json.loads(done.out) if row["metric"] == "miou"] == [False, True]
    (line,) = [line for line in done.err.splitlines() if line.startswith("fails")]
    assert line.startswith(
        "fails 'miou < -0.2': gt_box on coco, MobileSAM, after minus MobileSAM, before: -2.00"
    )


def with_an_older_cell(tmp_path: Path) -> list[Path]:
    """Two runs of two models; of the second model one run has kept too little."""
    found = []
    for name in ("before", "after"):
        run = tmp_path / "older" / name
        cells = [scored(run, objects(BEFORE)), scored(run, objects(AFTER), "mobile_sam")]
        write_run(run, cells)
        found.append(run)
    content = json.loads((found[1] / "results.json").read_text())
    content["cells"][1]["evidence"] = None
    (found[1] / "results.json").write_text(json.dumps(content))
    return found


def test_what_is_refused_is_said_and_the_rest_compared_but_no_gate_passes(tmp_path: Path) -> None:
    runs = with_an_older_cell(tmp_path)
    done = call("compare", *runs, "--json")
    assert done.code == 0
    assert {row["model_a"] for row in json.loads(done.out)} == {"sam_vit_b"}
    (line,) = done.err.splitlines()
    assert line.startswith("warning: gt_box on coco: MobileSAM, before and MobileSAM, after not compared: ")
    assert line.endswith("Run the same command again; it only scores.")
    assert call("compare", *runs, "--fail-if", "miou < -0.2").code == 2
    assert call("compare", *runs, "--models", "sam_vit_b", "--fail-if", "miou < -0.2").code == 0


def test_where_all_is_refused_the_error_says_in_what_they_differ(tmp_path: Path) -> None:
    runs = []
    for name, protocol in (("a", PAPER), ("b", STRICT)):
        run = tmp_path / name
        runs.append(write_run(run, [scored(run, objects(BEFORE), protocol=protocol)]))
    done = call("compare", *runs, "--json")
    assert (done.code, done.out) == (2, "")
    assert "nothing could be compared. gt_box: protocols differ. Crowd regions: kept, as the" in done.err


def test_input_that_is_wrong_is_said(runs: list[Path], tmp_path: Path) -> None:
    def refused(*arguments: Any) -> str:
        done: Done = call("compare", *arguments)
        assert (done.code, done.out) == (2, "")
        return done.err

    assert "one run or two, not 3" in refused(*runs, runs[0])
    assert "no model 'mobil_sam' in what is compared. Did you mean 'mobile_sam'" in refused(
        runs[0], "--models", "mobil_sam"
    )
    assert "--all and --metrics" in refused(runs[0], "--all", "--metrics", "miou")
    assert "no such file" in refused(tmp_path / "nowhere")
    alone = tmp_path / "alone"
    write_run(alone, [scored(alone, objects(BEFORE), provenance=provenance("random"))])
    assert "random weights: nothing to compare it with" in refused(alone)


def test_a_gate_knows_its_parts() -> None:
    gate = Gate.parse(" click.miou_5 >= -1.5 ")
    assert (gate.suite, gate.metric, gate.sign, gate.bound) == ("click", "miou_5", ">=", -1.5)
    assert (gate.watches("click", "miou_5"), gate.watches("gt_box", "miou_5")) == (True, False)
    with pytest.raises(SambenchError, match="METRIC or SUITE"):
        Gate.parse("miou < 1e")
