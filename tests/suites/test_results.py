"""The file of a run's results."""

import dataclasses
import json

import pytest

from sambench.evsam.errors import SambenchError
from sambench.suites.protocol import make_protocol
from sambench.suites.results import SCHEMA, CellResult, load_results
from sambench.suites.scoring.scores import About, Metric

PLAIN = CellResult("box", "eager", "fp32", "cpu", "gt_box", "coco", make_protocol("strict").to_json())
FULL = CellResult(
    model="efficientvit_sam_l0",
    engine="eager",
    precision="fp32",
    device="cuda:0",
    suite="click",
    dataset="äöü",
    protocol=make_protocol("paper").to_json(),
    metrics={"miou_1": 0.1 + 0.2, "miou_1_small": None},
    intervals={"miou_1": [1 / 3, 2 / 3]},
    n_images=117,
    n_instances=1175,
    n_failed_images=1,
    failed_images=[{"image_id": 7, "file_name": "7.jpg", "reason": "its logits are not finite"}],
    status="failed",
    reason="out of memory",
    note="Computed by pycocotools.",
    evidence="_evidence-0123.npz",
    counts={"small": 3, "crowd_dropped": 16},
    partial={"limit": 10, "of": 117, "seed": 0},
    records="records/abc",
    timing={"decode": 1.5},
    provenance={"weights": {"sha256": "0" * 64}, "command": "sambench run x.yaml"},
)


@pytest.fixture
def written(tmp_path):
    """Write a results file, return its path."""

    def written(content):
        file = tmp_path / "results.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return file

    return written


def refused(path):
    with pytest.raises(SambenchError) as caught:
        load_results(path)
    assert "results.json" in str(caught.value)
    return str(caught.value)


def test_a_cell_says_at_least_what_the_contract_promises():
    promised = "model engine precision device suite dataset protocol metrics intervals n_images n_instances"
    assert set(f"{promised} status provenance".split()) <= set(PLAIN.to_json())
    assert SCHEMA == 1


def test_cells_come_back_as_they_were_from_the_file_and_from_its_folder(written):
    file = written({"schema": 1, "cells": [FULL.to_json(), PLAIN.to_json()]})
    assert load_results(file) == load_results(file.parent) == [FULL, PLAIN]


def test_the_full_cell_of_this_test_leaves_no_field_at_its_default():
    defaults = {f.name: getattr(PLAIN, f.name) for f in dataclasses.fields(PLAIN)}
    same = {f.name for f in dataclasses.fields(FULL) if getattr(FULL, f.name) == defaults[f.name]}
    assert same == {"engine", "precision", "about"}  # the last: see below


def test_a_run_without_cells_has_none(written):
    assert load_results(written({"schema": 1, "cells": []})) == []


def test_fields_of_a_later_version_are_passed_over(written):
    assert load_results(written({"schema": 1, "cells": [PLAIN.to_json() | {"later": 1}], "more": 2})) == [
        PLAIN
    ]


@pytest.mark.parametrize(
    "content", [{"schema": 2, "cells": []}, {"cells": []}, {"schema": "1", "cells": []}, [], 1, None]
)
def test_another_schema_is_refused(written, content):
    assert "not a results file of schema 1" in refused(written(content))


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1, "cells": [', "not json"])
def test_a_file_that_is_cut_off_is_refused(written, content):
    assert "cannot be read as results" in refused(written(content))


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "results.json").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as results" in refused(tmp_path)


@pytest.mark.parametrize("cells", [[{}], [{"model": "box"}], [5], [None], ["box"], 5, None, {"a": 1}])
def test_a_cell_that_is_incomplete_is_refused(written, cells):
    assert "a cell is incomplete" in refused(written({"schema": 1, "cells": cells}))


def test_a_file_without_cells_is_refused(written):
    assert "'cells'" in refused(written({"schema": 1}))


def test_a_missing_file_is_named_with_what_to_look_for(tmp_path):
    assert "no such file" in refused(tmp_path)
    assert "Is " in refused(tmp_path)
    with pytest.raises(SambenchError, match="no such file"):
        load_results(tmp_path / "nowhere")


def test_what_a_suite_says_of_itself_is_in_the_file_once_and_given_to_its_cells(written):
    about = About("A title", (Metric("miou", "All objects"), Metric("n", "Masks", "masks", None)))
    content = {
        "schema": 1,
        "suites": {FULL.suite: about.to_json()},
        "cells": [FULL.to_json(), PLAIN.to_json()],
    }
    assert "about" not in FULL.to_json()
    assert [cell.about for cell in load_results(written(content))] == [
        about if cell.suite == FULL.suite else None for cell in (FULL, PLAIN)
    ]


@pytest.mark.parametrize("suites", [{"gt_box": {}}, {"gt_box": {"title": "x", "metrics": 3}}, []])
def test_suites_that_are_incomplete_are_refused(written, suites):
    with pytest.raises(SambenchError, match="incomplete"):
        load_results(written({"schema": 1, "suites": suites, "cells": [PLAIN.to_json()]}))
