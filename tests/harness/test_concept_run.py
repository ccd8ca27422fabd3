"""Runs of the suite ``concept``: pairs with three annotators, categories' names, many workers, refusals."""

import json
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from command import call
from drawn_pairs import drawn
from tiny_coco import make_tiny

MODEL = Path(__file__).with_name("concept_model.py")


def run(folder, *flags, answers, suites="concept", more=()):
    """Run a model with answers; return what the command left and the cells."""
    file = folder / "run.yaml"
    adapter = {"name": "answers", "class": f"{MODEL}:Answers", "options": {"answers": str(answers)}}
    file.write_text(json.dumps({"adapters": [adapter], "suites": suites.split(",")}))
    done = call("run", file, "--out", folder / "out", *flags, *more)
    results = folder / "out" / "results.json"
    return done, json.loads(results.read_text())["cells"] if results.exists() else []


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return drawn(tmp_path_factory.mktemp("drawn"), images=40)


@pytest.fixture(scope="module")
def ran(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    done, (cell,) = run(folder, *pairs.flags, answers=pairs.answers)
    assert done.code == 0, done.err
    return folder, cell, done


def test_a_run_has_the_numbers_of_its_predictions(pairs, ran):
    folder, cell, _ = ran
    flags = [part for file in pairs.annotators for part in ("--annotations", file)]
    file = folder / "out" / cell["records"] / "_predictions.json"
    scored = json.loads(call("score", "--suite", "concept", *flags, "--predictions", file, "--json").out)
    assert scored["metrics"] == cell["metrics"]
    assert scored["intervals"] == cell["intervals"]
    assert scored["counts"] == cell["counts"]
    assert 5 < cell["metrics"]["cgf1"] < 95
    assert cell["protocol"] == scored["protocol"]
    assert (cell["protocol"]["phrases"], cell["protocol"]["instances"]) == ("as_given", "above_0.3")


def test_records_hold_what_was_asked_and_found(pairs, ran):
    folder, cell, _ = ran
    rows = ds.dataset(folder / "out" / cell["records"]).to_table().to_pylist()
    content = json.loads(pairs.annotators[0].read_text())
    answers = json.loads(pairs.answers.read_text())
    asked = {}
    for image in content["images"]:
        asked.setdefault(image["file_name"], []).append(image["text_input"])
    assert {r["file_name"]: r["asked"] for r in rows if r["kind"] == "image"} == {
        name: len(phrases) for name, phrases in asked.items()
    }
    found = sorted((r["file_name"], r["phrase"], r["score"]) for r in rows if r["kind"] == "instance")
    assert found == sorted(
        (name, phrase, one["score"])
        for name, phrases in asked.items()
        for phrase in phrases
        for one in answers[name.removeprefix("im").removesuffix(".png")][phrase]
        if one["score"] > 0.3
    )


def test_further_annotators_decide_the_number_and_are_named_in_the_key(pairs, ran, tmp_path):
    _, three, _ = ran
    done, (one,) = run(tmp_path, *pairs.flags[:6], answers=pairs.answers)
    assert done.code == 0, done.err
    assert one["metrics"]["cgf1"] != three["metrics"]["cgf1"]
    named = [Path(other["path"]).name for other in three["provenance"]["annotations"]["annotators"]]
    assert named == ["b.json", "c.json"]
    assert "annotators" not in one["provenance"]["annotations"]
    assert one["provenance"]["annotations"]["sha256"] != three["provenance"]["annotations"]["sha256"]


def test_the_same_by_two_workers(pairs, ran, tmp_path):
    _, cell, _ = ran
    done, (other,) = run(tmp_path, *pairs.flags, answers=pairs.answers, more=("--workers", 2))
    assert done.code == 0, done.err
    assert (other["metrics"], other["counts"]) == (cell["metrics"], cell["counts"])


def test_a_changed_annotator_is_scored_anew(pairs, tmp_path):
    mine = drawn(tmp_path / "data", images=3)
    _, (before,) = run(tmp_path, *mine.flags, answers=mine.answers)
    content = json.loads(mine.annotators[2].read_text())
    content["annotations"] = []
    mine.annotators[2].write_text(json.dumps(content))
    done, (after,) = run(tmp_path, *mine.flags, answers=mine.answers)
    assert done.code == 0, done.err
    assert after["records"] != before["records"]


def test_boxes_of_pairs_are_prompts_like_others(pairs, tmp_path):
    flags = ("--models", "box", "--suites", "gt_box,concept", "--out", tmp_path / "out")
    done = call("run", *flags, *pairs.flags)
    assert done.code == 0, done.err
    by_suite = {c["suite"]: c for c in json.loads((tmp_path / "out" / "results.json").read_text())["cells"]}
    assert by_suite["gt_box"]["metrics"]["miou"] > 50
    assert by_suite["concept"]["status"] == "not_applicable"
    assert "takes no phrases" in by_suite["concept"]["reason"]


def test_a_model_of_phrases_alone_takes_no_boxes(pairs, tmp_path):
    _, cells = run(tmp_path, *pairs.flags, answers=pairs.answers, suites="gt_box,click,everything")
    assert {cell["status"] for cell in cells} == {"not_applicable"}


def test_categories_are_asked_by_name(tmp_path):
    tiny = make_tiny(tmp_path / "tiny")
    grey = {"1": {"thing": [{"score": 0.9, "box": [5, 6, 25, 22], "disc": [15, 14, 9]}]}}
    (tmp_path / "answers.json").write_text(json.dumps(grey))
    done, (cell,) = run(tmp_path, *tiny.flags, answers=tmp_path / "answers.json")
    assert done.code == 0, done.err
    assert cell["counts"]["pairs"] == 4
    assert cell["metrics"]["ap"] is not None
    assert {"cgf1", "box_ap", "ap50", "pmf1"} <= cell["metrics"].keys()


def test_segmentation_in_the_wild_by_its_names(data_root, tmp_path):
    root = data_root / "sginw-mini" / "seginw"
    (tmp_path / "answers.json").write_text("{}")
    flags = ("--dataset", "sginw", "--images", root)
    done, (cell,) = run(tmp_path, *flags, answers=tmp_path / "answers.json")
    assert done.code == 0, done.err
    assert cell["metrics"]["ap"] is None  # 21 of the 25 are not there
    assert cell["metrics"]["ap_of_those_there"] == cell["metrics"]["ap_Cows"] == 0
    assert (tmp_path / "out" / cell["records"] / "_submission.zip").exists()


def test_annotators_go_with_pairs(tmp_path):
    tiny = make_tiny(tmp_path)
    done = call("run", "--models", "box", "--suites", "gt_box", *tiny.flags, "--annotators", tiny.annotations)
    assert done.code == 2
    assert "there are annotators, and its images have neither text_input" in done.err.replace("\n", " ")


def test_pairs_are_not_written_as_coco(pairs, tmp_path):
    done = call("data", "verify", pairs.annotators[0], "--images", pairs.images, "--fix", tmp_path / "x.json")
    assert done.code == 2
    assert "has pairs of an image and a phrase" in done.err.replace("\n", " ")
    assert not (tmp_path / "x.json").exists()
