"""Segmentation in the Wild: the registry, ids that do not clash, the mean of all 25 or none, submissions."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes import Fake, in_shards
from test_det_box import boxes_of, filled_box, oracle

from sambench.evsam.errors import SambenchError
from sambench.suites.base import Setting, Stopwatch
from sambench.suites.data.sample import load_sample
from sambench.suites.protocol import PRESETS, for_suite
from sambench.suites.records import Records
from sambench.suites.sginw.data import ANNOTATIONS, SPLIT, SginwData, split_id
from sambench.suites.sginw.registry import registry
from sambench.suites.sginw.suite import Sginw

SCORER = {"Elephants": 25.25, "Cows": 81.09, "Fruits": 93.43, "HouseHold-Items": 89.77}
"""Perfect masks by pycocotools, which cannot match the object of id 0 in each (sginw-mini/README.md)."""


@pytest.fixture(scope="module")
def root(data_root):
    return data_root / "sginw-mini" / "seginw"


@pytest.fixture(scope="module")
def data(root):
    return SginwData(root)


@pytest.fixture(scope="module")
def detections(root, tmp_path_factory):
    """The annotated boxes as a detector's, in files of either naming."""
    folder = tmp_path_factory.mktemp("boxes")
    for i, name in enumerate(SCORER):
        content = json.loads((root / name / SPLIT / ANNOTATIONS).read_text())
        boxes_of(content["annotations"], folder / f"seginw{'_-'[i % 2]}{name}_val.json")
    return folder


@pytest.fixture(scope="module")
def suite(data, detections):
    return Sginw.on(Setting(data.annotations, tuple(e.record.id for e in data.entries), detections))


def records_of(suite, data, segmenter, preset):
    rows = []
    for entry in data.entries:
        sample = load_sample(entry)
        fake = segmenter(sample)
        (embedding,) = fake.encode([sample.image])
        protocol = for_suite(PRESETS[preset], "sginw")
        rows += suite.evaluate(fake, embedding, sample, protocol, Stopwatch())
    return pa.Table.from_pylist(rows, schema=suite.schema)


@pytest.fixture(scope="module")
def perfect(suite, data):
    return records_of(suite, data, oracle, "strict")


def test_the_registry_has_the_25_data_sets_in_the_official_order():
    assert len(registry()) == 25
    assert list(registry())[:2] == ["Elephants", "Hand-Metal"]
    assert list(registry())[-1] == "Ginger-Garlic"
    assert len(registry()["Trash"]) == 22


def test_the_data_sets_that_are_there_are_one_and_the_others_are_named(data):
    assert list(data.parts) == [name for name in registry() if name in SCORER]
    assert len(data.missing) == 21
    ids = [entry.record.id for entry in data.entries]
    assert len(set(ids)) == len(ids) == sum(len(part) for part in data.parts.values())
    data.checked(data.entries)
    data.refuse()


@pytest.mark.parametrize("preset", ["strict", "paper"])
def test_perfect_masks_score_100_or_what_the_scorer_makes_of_them(preset, suite, perfect):
    metrics = suite.score(perfect, for_suite(PRESETS[preset], "sginw")).metrics
    for name, scored in SCORER.items():
        assert metrics[f"ap_{name}"] == pytest.approx(100 if preset == "strict" else scored, abs=0.01)
    mean = 100 if preset == "strict" else sum(SCORER.values()) / 4
    assert metrics["ap_of_those_there"] == pytest.approx(mean, abs=0.01)


@pytest.mark.parametrize("images", [1, 3])
def test_shards_score_as_one_table_and_give_the_same_submission(images, suite, perfect, tmp_path):
    order = np.argsort(perfect["image_id"].to_numpy(), kind="stable")
    parts = in_shards(perfect.take(order), images)
    assert len(parts.shards) > 2
    whole, found = suite.score(perfect, PRESETS["strict"]), suite.score_all(parts, PRESETS["strict"])
    assert found == whole
    for key, array in whole.evidence.arrays().items():
        np.testing.assert_array_equal(found.evidence.arrays()[key], array, strict=True)
    suite.export(Records.of(perfect.take(order)), tmp_path / "whole")
    suite.export(parts, tmp_path / "parts")
    files = [tmp_path / name / "_submission.zip" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_data_set_without_a_record_has_an_empty_submission(suite, perfect, tmp_path):
    cows = [split_id(i)[0] == "Cows" for i in perfect["image_id"].to_pylist()]
    suite.export(in_shards(perfect.filter(pa.array(cows)), 1), tmp_path)
    with zipfile.ZipFile(tmp_path / "_submission.zip") as archive:
        assert json.loads(archive.read("seginw_Elephants_val.json")) == []
        assert json.loads(archive.read("seginw_Cows_val.json"))


def test_a_row_has_its_category_by_the_name_of_its_own_data_set(perfect):
    rows = perfect.select(["image_id", "category_id", "category"]).to_pylist()
    named = [(split_id(row["image_id"])[0], row["category_id"], row["category"]) for row in rows]
    assert {name for name, _, _ in named} == set(SCORER)
    assert all(category == registry()[name][number] for name, number, category in named)


def test_a_mean_of_four_is_not_passed_off_as_that_of_25(suite, perfect):
    scores = suite.score(perfect, PRESETS["strict"])
    assert scores.metrics["ap"] is None
    assert scores.metrics["ap_median"] is None
    assert scores.metrics["ap_Trash"] is None
    assert scores.counts["data_sets"] == 4
    assert scores.counts["images_Elephants"] == 2


def test_the_presets_take_the_single_mask_as_the_official_script_does(suite, data):
    assert for_suite(PRESETS["paper"], "sginw").select == "single"
    asked = []

    def watched(sample):
        fake = Fake(filled_box)
        asked.append(fake)
        return fake

    records_of(suite, data, watched, "paper")
    assert {mode for fake in asked for mode in fake.multimask} == {False}


def test_the_submission_is_in_the_scorers_naming_and_the_data_sets_own_ids(suite, perfect, root, tmp_path):
    suite.export(Records.of(perfect), tmp_path)
    first = (tmp_path / "_submission.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "_submission.zip") as archive:
        assert archive.namelist() == [f"seginw_{name}_val.json" for name in registry() if name in SCORER]
        results = json.loads(archive.read("seginw_Cows_val.json"))
    truth = json.loads((root / "Cows" / SPLIT / ANNOTATIONS).read_text())
    assert {r["image_id"] for r in results} <= {i["id"] for i in truth["images"]}
    assert len(results) == len(truth["annotations"])
    assert set(results[0]) == {"image_id", "category_id", "segmentation", "score"}
    suite.export(Records.of(perfect), tmp_path)
    assert (tmp_path / "_submission.zip").read_bytes() == first


def test_scores_name_the_libraries_and_each_data_set_that_has_a_caveat(suite, perfect):
    strict, paper = (suite.score(perfect, for_suite(PRESETS[p], "sginw")) for p in ("strict", "paper"))
    assert (strict.evaluator, strict.note) == ("hotcoco", None)
    assert paper.evaluator == "pycocotools"
    assert all(f"{name}/{SPLIT}/{ANNOTATIONS} has an annotation of the id 0" in paper.note for name in SCORER)


@pytest.mark.parametrize("preset", ["strict", "paper"])
def test_the_mean_has_an_interval_and_evidence_whatever_the_ids(preset, suite, data, perfect):
    scores = suite.score(perfect, for_suite(PRESETS[preset], "sginw"))
    assert scores.evidence.image_ids.tolist() == sorted(entry.record.id for entry in data.entries)
    assert len(np.unique(scores.evidence.strata)) == 4
    numbers = scores.evidence.numbers()
    assert numbers == pytest.approx({name: scores.metrics[name] for name in numbers})
    assert scores.intervals.keys() == numbers.keys() >= {"ap_of_those_there", "ap_Cows"}


@pytest.fixture
def copied(root, detections, tmp_path):
    """The data sets and their detections where they may be changed."""
    for name in SCORER:
        (tmp_path / name / SPLIT).mkdir(parents=True)
        shutil.copy(root / name / SPLIT / ANNOTATIONS, tmp_path / name / SPLIT)
    return tmp_path, Path(shutil.copytree(detections, tmp_path / "boxes"))


def test_a_digest_is_over_the_files_that_are_scored(copied):
    root, boxes = copied
    data = SginwData(root)
    cows = [e for e in data.entries if split_id(e.record.id)[0] == "Cows"]
    setting = Setting(root, tuple(e.record.id for e in cows), boxes)
    before = data.evaluated_sha256(cows), Sginw.detections_sha256(setting)
    assert before[0] != data.evaluated_sha256(data.entries) == data.evaluated_sha256(data.entries[::-1])
    (boxes / "notes.txt").write_text("beside them")
    (boxes / "seginw-Elephants_val.json").write_text("[]")
    elephants = root / "Elephants" / SPLIT / ANNOTATIONS
    elephants.write_text(elephants.read_text() + " ")
    assert (SginwData(root).evaluated_sha256(cows), Sginw.detections_sha256(setting)) == before
    (boxes / "seginw_Cows_val.json").write_text("[]")  # found before seginw-Cows_val.json
    assert Sginw.detections_sha256(setting) != before[1]


def test_what_is_scored_is_what_was_planned(copied):
    root, boxes = copied
    data = SginwData(root)
    setting = Setting(root, tuple(e.record.id for e in data.entries), boxes)
    planned = replace(
        setting,
        annotations_sha256=data.evaluated_sha256(data.entries),
        detections_sha256=Sginw.detections_sha256(setting),
    )
    suite = Sginw.on(planned)
    cows = root / "Cows" / SPLIT / ANNOTATIONS
    cows.write_text(cows.read_text() + " ")
    with pytest.raises(SambenchError, match=f"{root}: changed since this run was planned"):
        suite.check()
    (boxes / "seginw_Cows_val.json").write_text("[]")
    with pytest.raises(SambenchError, match="boxes: changed since this run was planned"):
        Sginw.on(planned)


def test_what_is_not_there_is_named(data, tmp_path):
    ids = tuple(e.record.id for e in data.entries)
    with pytest.raises(SambenchError, match="no detections of Elephants"):
        Sginw.on(Setting(data.annotations, ids, tmp_path))
    with pytest.raises(SambenchError, match="has none of the 25 data sets"):
        SginwData(tmp_path)


def test_images_under_ids_that_would_be_taken_for_others_are_refused(root, tmp_path):
    folder = tmp_path / "Elephants" / SPLIT
    folder.mkdir(parents=True)
    content = json.loads((root / "Elephants" / SPLIT / ANNOTATIONS).read_text())
    for odd in (-1, 10_000_000):
        content["images"][0]["id"], content["annotations"] = odd, []
        (folder / ANNOTATIONS).write_text(json.dumps(content))
        with pytest.raises(SambenchError, match=rf"image id {odd} \(1 such\) is not from 0 to 9999999"):
            SginwData(tmp_path)


def test_boxes_of_another_kind_are_said_with_their_file(copied):
    """Written as corners; those of the other data sets are right."""
    root, boxes = copied
    file = boxes / "seginw-Cows_val.json"
    made = json.loads(file.read_text())
    corners = [(x, y, x + w, y + h) for x, y, w, h in (d["bbox"] for d in made)]
    changed = [
        d | {"bbox": box, "image_id": str(d["image_id"])} for d, box in zip(made, corners, strict=True)
    ]
    file.write_text(json.dumps({"annotations": changed}))
    data = SginwData(root)
    suite = Sginw.on(Setting(root, tuple(e.record.id for e in data.entries), boxes))
    (said,) = suite.check()
    assert said.startswith(f"{file}: ")
    assert "fit as corners x0, y0, x1, y1" in said
    scores = suite.score(pa.Table.from_pylist([], schema=suite.schema), PRESETS["strict"])
    assert scores.note == said
    assert scores.counts["detections_wrapped"] == 1
    assert scores.counts["detections_ids_as_text"] == len(made)


def test_other_categories_than_the_registrys_are_refused(root, tmp_path):
    folder = tmp_path / "Elephants" / SPLIT
    folder.mkdir(parents=True)
    content = json.loads((root / "Elephants" / SPLIT / ANNOTATIONS).read_text())
    content["categories"] = [{"id": 0, "name": "elephants-placeholder"}, {"id": 1, "name": "elephant"}]
    (folder / ANNOTATIONS).write_text(json.dumps(content))
    with pytest.raises(SambenchError, match="placeholder category removed"):
        SginwData(tmp_path)
