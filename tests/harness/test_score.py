"""``sambench score``: the official evaluator's numbers, a run's numbers, and what is refused."""

import contextlib
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from command import call
from drawn_pairs import coded, disc, drawn
from naive_cgf1 import evaluate
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sambench.harness.score import score
from sambench.suites.metrics.concepts import official
from sambench.suites.protocol import make_protocol
from sambench.suites.scoring.concepts import Concepts

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STRICT = make_protocol("strict")


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """What the official evaluator made of drawn data, and the data in files."""
    content = json.loads((GOLDEN / "cgf1_drawn.json").read_text())
    folder = tmp_path_factory.mktemp("golden")
    files = []
    for letter, truth in zip("abc", content["ground_truths"], strict=True):
        files.append(folder / f"{letter}.json")
        files[-1].write_text(json.dumps(truth))
    (folder / "predictions.json").write_text(json.dumps(content["predictions"]))
    return content["expected"], files, folder / "predictions.json"


def test_every_number_of_the_official_evaluator_at_every_threshold(golden):
    expected, annotations, predictions = golden
    for name, files in (("oracle_of_three", annotations), ("first_annotator", annotations[:1])):
        found = score("concept", files, predictions, protocol=STRICT).scores.evidence
        assert isinstance(found, Concepts)
        mine = official(found.sums.sum(axis=0, keepdims=True))
        assert mine.keys() == expected[name].keys()
        for key, value in expected[name].items():
            assert np.abs(mine[key][0] - value).max() < 1e-9, (name, key)


def test_the_command_prints_them(golden):
    expected, annotations, predictions = golden
    for name, files in (("oracle_of_three", annotations), ("first_annotator", annotations[:1])):
        flags = [part for file in files for part in ("--annotations", file)]
        done = call("score", "--suite", "concept", *flags, "--predictions", predictions, "--json")
        assert done.code == 0, done.err
        metrics, official = json.loads(done.out)["metrics"], expected[name]
        for metric, key in (
            ("cgf1", "cgF1"),
            ("pmf1", "positive_micro_F1"),
            ("macro_f1", "positive_macro_F1"),
        ):
            values = [100 * np.mean(official[key]), 100 * official[key][0], 100 * official[key][5]]
            assert [metrics[f"{metric}{at}"] for at in ("", "_50", "_75")] == pytest.approx(values, abs=1e-9)
        assert metrics["il_mcc"] == pytest.approx(official["IL_MCC"], abs=1e-12)
        table = call("score", "--suite", "concept", *flags, "--predictions", predictions)
        assert f"{metrics['cgf1']:.1f}%" in table.out
        assert f"{metrics['il_mcc']:.2f}" in table.out


def write(file, entries):
    file.write_text(json.dumps(entries))
    return file


def perfect(files, folder):
    """The first annotator's objects as predictions."""
    truth = json.loads(files[0].read_text())
    entries = [
        {"image_id": a["image_id"], "category_id": 1, "score": 0.8, "segmentation": a["segmentation"]}
        for a in truth["annotations"]
        if not a["iscrowd"]
    ]
    return write(folder / "perfect.json", entries)


def test_perfect_predictions_give_one_and_empty_ones_zero(golden, tmp_path):
    _, files, _ = golden
    right = score("concept", files[:1], perfect(files, tmp_path), protocol=STRICT).scores
    assert right.metrics["cgf1"] == pytest.approx(100, abs=0.02)  # the official divisors have 1e-4 more
    assert right.metrics["pmf1"] == pytest.approx(100, abs=0.02)
    assert right.metrics["macro_f1"] == pytest.approx(100, abs=0.02)
    assert right.metrics["il_mcc"] == pytest.approx(1, abs=1e-6)
    nothing = score("concept", files[:1], write(tmp_path / "none.json", []), protocol=STRICT).scores
    assert nothing.metrics["cgf1"] == nothing.metrics["pmf1"] == nothing.metrics["il_mcc"] == 0


def test_a_score_of_one_half_counts_and_one_below_does_not(golden, tmp_path):
    _, files, _ = golden
    entries = json.loads(perfect(files, tmp_path).read_text())
    for score_, cgf1 in ((0.5, 100), (0.4999, 0)):
        file = write(tmp_path / "p.json", [{**one, "score": score_} for one in entries])
        found = score("concept", files[:1], file, protocol=STRICT).scores
        assert found.metrics["cgf1"] == pytest.approx(cgf1, abs=0.02)


def test_neither_the_order_of_entries_nor_their_category_nor_a_box_matters(golden, tmp_path):
    _, files, predictions = golden
    entries = json.loads(predictions.read_text())
    changed = [
        {k: v for k, v in one.items() if k not in ("bbox", "category_id")} for one in reversed(entries)
    ]
    other = write(tmp_path / "other.json", changed)
    found = [score("concept", files, file, protocol=STRICT).scores for file in (predictions, other)]
    assert found[0].metrics == found[1].metrics


def test_pairs_that_are_not_exhaustive_in_all_files_are_not_scored(tmp_path):
    pairs = drawn(tmp_path, images=8)
    contents = [json.loads(file.read_text()) for file in pairs.annotators]
    counted = [
        all(c["images"][i]["is_instance_exhaustive"] for c in contents)
        for i in range(len(contents[0]["images"]))
    ]
    assert 0 < sum(counted) < len(counted)
    found = score("concept", pairs.annotators, write(tmp_path / "p.json", []), protocol=STRICT).scores
    assert found.counts["pairs"] == sum(counted)


def test_ids_as_text_polygons_and_gzip_are_read(golden, tmp_path):
    _, files, predictions = golden
    truth, entries = json.loads(files[0].read_text()), json.loads(predictions.read_text())
    for image in truth["images"]:
        image["id"] = f"pair-{image['id']}"
    for one in (*truth["annotations"], *entries):
        one["image_id"] = f"pair-{one['image_id']}"
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps(truth).encode()))
    other = write(tmp_path / "p.json", entries)
    found = score("concept", [tmp_path / "a.json.gz"], other, protocol=STRICT).scores
    assert found.metrics == score("concept", files[:1], predictions, protocol=STRICT).scores.metrics


def refused(*arguments):
    done = call("score", *arguments)
    assert done.code == 2
    assert "Traceback" not in done.err
    return done.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_id": None}, "has no image_id"),
        ({"score": "high"}, 'score is "high", no number'),
        ({"score": float("nan")}, "score is NaN, no number"),
        ({"segmentation": None}, "segmentation is null"),
        ({"segmentation": coded(disc(9, 9, 4))}, "its RLE is of size [40, 60], the image is [90, 120]"),
        ({"segmentation": {"size": [90, 120], "counts": "abc"}}, 'counts of its RLE, "abc", is no text'),
        ({"bbox": [1, 2, 3]}, "bbox is [1, 2, 3], not x, y, width and height"),
    ],
)
def test_an_entry_that_cannot_be_scored_is_named(golden, tmp_path, change, said):
    _, files, predictions = golden
    entries = json.loads(predictions.read_text())
    entries[3] |= change
    file = write(tmp_path / "p.json", entries)
    err = refused("--suite", "concept", "--annotations", files[0], "--predictions", file)
    assert f"{file}: 1 of {len(entries)} entries" in err.replace("\n", " ")
    assert f"entry 3: {said}" in err


def test_entries_of_other_pairs_are_left_out_and_said(golden, tmp_path):
    expected, files, predictions = golden
    entries = json.loads(predictions.read_text())
    more = write(tmp_path / "more.json", [*entries, {**entries[0], "image_id": 999}])
    done = call("score", "--suite", "concept", "--annotations", files[0], "--predictions", more, "--json")
    official = expected["first_annotator"]["IL_MCC"]
    assert json.loads(done.out)["metrics"]["il_mcc"] == pytest.approx(official, abs=1e-12)
    assert "1 entries are of no image or pair" in done.err.replace("\n", " ")
    strange = write(tmp_path / "strange.json", [{**one, "image_id": 999} for one in entries])
    err = refused("--suite", "concept", "--annotations", files[0], "--predictions", strange)
    assert f"none of its {len(entries)} entries belongs to" in err.replace("\n", " ")


def test_what_does_not_fit_together_is_refused(golden, tmp_path):
    _, files, predictions = golden
    concept = ("--suite", "concept", "--annotations", files[0])
    assert "no such file" in refused(*concept, "--predictions", tmp_path / "none.json")
    assert "Did you mean 'concept'?" in refused(
        "--suite", "concepts", *concept[2:], "--predictions", predictions
    )
    other = drawn(tmp_path / "other").annotators[0]
    assert "has no pair" in refused(*concept, "--annotations", other, "--predictions", predictions)
    assert "--suite concept" in refused(
        "--suite", "det_box", "--annotations", files[0], "--predictions", predictions
    )
    assert "--names" not in call("score", *concept, "--predictions", predictions).err
    assert "axis" not in refused(*concept, "--predictions", predictions, "--names", "some")


def test_average_precision_of_a_result_file_is_pycocotools_own(coco_mini, tmp_path):
    _, annotations = coco_mini
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
    rng = np.random.default_rng(1)
    entries = []
    for one in list(truth.anns.values())[::2]:
        code = truth.annToRLE(one)
        category = one["category_id"] if rng.random() < 0.8 else int(rng.choice(truth.getCatIds()))
        counts = code["counts"].decode()
        entries.append(
            {
                **{"image_id": one["image_id"], "category_id": category, "score": float(rng.random())},
                "segmentation": {"size": list(code["size"]), "counts": counts},
                "bbox": one["bbox"],
            }
        )
    file = write(tmp_path / "masks.json", entries)
    done = call("score", "--suite", "det_box", "--annotations", annotations, "--predictions", file, "--json")
    metrics = json.loads(done.out)["metrics"]
    for kind, names in (("segm", ("ap", "ap50", "ap75")), ("bbox", ("box_ap",))):
        with contextlib.redirect_stdout(io.StringIO()):
            official = COCOeval(truth, truth.loadRes(str(file)), kind)
            official.evaluate()
            official.accumulate()
            official.summarize()
        for name, value in zip(names, official.stats, strict=False):
            assert metrics[name] == pytest.approx(100 * value, abs=1e-6)
    by_names = call(
        "score", "--suite", "concept", "--annotations", annotations, "--predictions", file, "--json"
    )
    concept = json.loads(by_names.out)["metrics"]
    assert {name: concept[name] for name in metrics} == metrics
    assert 0 < concept["cgf1"] < 100
    for one in entries:
        del one["bbox"]
    masks = write(tmp_path / "masks.json", entries)
    without = score("det_box", [annotations], masks, protocol=STRICT).scores.metrics
    assert without == {name: value for name, value in metrics.items() if name != "box_ap"}


@pytest.mark.parametrize("seed", range(12))
def test_drawn_data_of_many_kinds_as_the_plain_evaluation_has_them(tmp_path, seed):
    data = drawn(tmp_path, images=3 + 3 * seed, seed=seed)
    contents = [json.loads(file.read_text()) for file in data.annotators]
    answers, entries = json.loads(data.answers.read_text()), []
    for image in contents[0]["images"]:
        found = answers[image["file_name"].removeprefix("im").removesuffix(".png")][image["text_input"]]
        for one in [*found, *found[: seed % 2]]:  # some twice
            mask = coded(disc(*one["disc"]))
            entries.append({"image_id": image["id"], "score": one["score"], "segmentation": mask})
    file = write(tmp_path / "p.json", entries)
    for annotators in (1, 2, 3):
        found = score("concept", data.annotators[:annotators], file, protocol=STRICT).scores.metrics
        expected = evaluate(contents[:annotators], entries)
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
