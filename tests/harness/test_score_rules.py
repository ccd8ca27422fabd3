"""Rules of ``sambench score`` and of runs on pairs that break easily: order, ids, sizes, what is asked."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from command import call
from concept_model import Answers
from drawn_pairs import coded, drawn
from naive_cgf1 import evaluate
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from test_concept_run import MODEL, run

from sambench.adapters.base import Embedding
from sambench.evsam.errors import SambenchError
from sambench.harness.score import score
from sambench.suites.protocol import make_protocol

STRICT = make_protocol("strict")


def write(file, content):
    file.write_text(json.dumps(content))
    return file


def row(first, last, size=(2, 6)):
    """Mask of some columns of the upper row."""
    mask = np.zeros(size, bool)
    mask[0, first : last + 1] = True
    return coded(mask)


def pair(number=1, **more):
    return {"id": number, "file_name": "a.jpg", "text_input": "x", "is_instance_exhaustive": 1} | more


def truth(number, mask, image_id=1):
    return {"id": number, "image_id": image_id, "iscrowd": 0, "segmentation": mask}


def test_where_two_matchings_are_as_good_the_order_of_the_file_decides(tmp_path):
    """IoU .6 and .4, or .8 and .2: the official evaluator hands instances over as the file has them."""
    content = {
        "images": [pair(height=2, width=6)],
        "annotations": [truth(1, row(1, 4)), truth(2, row(3, 4))],
    }
    found = [
        {"image_id": 1, "score": 0.5, "segmentation": row(0, 3)},
        {"image_id": 1, "score": 0.7, "segmentation": row(0, 4)},
    ]
    for entries in (found, found[::-1]):
        files = [write(tmp_path / "a.json", content)], write(tmp_path / "p.json", entries)
        metrics = score("concept", *files, protocol=STRICT).scores.metrics
        assert metrics["pmf1"] == pytest.approx(evaluate([content], entries)["pmf1"], abs=1e-9)


def test_of_equal_scores_average_precision_takes_the_first_as_pycocotools_does(tmp_path):
    square = [row(first, first + 3, (40, 60)) for first in (0, 1, 20, 21)]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 40, "width": 60}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            dict(truth(k, mask), category_id=1, area=4, bbox=rle.toBbox(mask).tolist())
            for k, mask in ((1, square[0]), (2, square[2]))
        ],
    }
    found = [{"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": square[k]} for k in (1, 0, 3, 2)]
    for entries in (found, found[::-1]):
        annotations, file = write(tmp_path / "a.json", content), write(tmp_path / "p.json", entries)
        with contextlib.redirect_stdout(io.StringIO()):
            known = COCO(str(annotations))
            official = COCOeval(known, known.loadRes(str(file)), "segm")
            official.evaluate()
            official.accumulate()
            official.summarize()
        metrics = score("det_box", [annotations], file, protocol=STRICT).scores.metrics
        assert metrics["ap"] == pytest.approx(100 * official.stats[0], abs=1e-6)


@pytest.mark.parametrize("axis", [{"gt_ids": "as_given"}, {"phrases": "cleaned"}, {"names": "there"}])
def test_an_axis_of_other_data_changes_nothing_on_pairs(tmp_path, axis):
    """One changed axis makes a protocol "custom", and pairs are asked "café", not "Café (window)"."""
    data = drawn(tmp_path / "data", images=12)
    options = {"answers": str(data.answers)}
    adapter = {"name": "answers", "class": f"{MODEL}:Answers", "options": options}
    cells = []
    for name, protocol in (("plain", {}), ("changed", axis)):
        spec = {"adapters": [adapter], "suite": "concept", "protocol": {"preset": "strict"} | protocol}
        file, out = write(tmp_path / f"{name}.json", spec), tmp_path / name
        done = call("run", file, "--out", out, *data.flags)
        assert done.code == 0, done.err
        cells += json.loads((out / "results.json").read_text())["cells"]
    assert cells[0]["metrics"] == cells[1]["metrics"]


def test_names_there_hides_nothing_of_a_result_file_on_pairs(tmp_path):
    data = drawn(tmp_path, images=6)
    flags = ("score", "--suite", "concept", "--annotations", data.annotators[0], "--json")
    done = call(*flags, "--predictions", write(tmp_path / "p.json", []), "--names", "there")
    assert done.code == 2 or "cgf1" in json.loads(done.out)["metrics"]


def test_an_annotator_with_masks_of_another_size_is_refused(tmp_path):
    files = [
        write(
            tmp_path / f"{size}.json",
            {
                "images": [pair(height=size, width=6)],
                "annotations": [truth(1, row(1, 4, (size, 6)))],
            },
        )
        for size in (2, 4)
    ]
    entries = write(tmp_path / "p.json", [{"image_id": 1, "score": 0.9, "segmentation": row(1, 4)}])
    flags = [part for file in files for part in ("--annotations", file)]
    done = call("score", "--suite", "concept", *flags, "--predictions", entries)
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert str(files[1]) in done.err.replace("\n", "")


def test_polygons_of_an_image_of_no_known_size_are_refused(tmp_path):
    polygon = [[1, 0, 5, 0, 5, 1, 1, 1]]
    drawn_without = {"images": [pair()], "annotations": [truth(1, polygon)]}
    plain = {"images": [pair()], "annotations": [truth(1, row(1, 4))]}
    for content, mask in ((drawn_without, row(1, 4)), (plain, polygon)):
        file = write(tmp_path / "a.json", content)
        entries = write(tmp_path / "p.json", [{"image_id": 1, "score": 0.9, "segmentation": mask}])
        done = call("score", "--suite", "concept", "--annotations", file, "--predictions", entries)
        assert (done.code, "Traceback" in done.err) == (2, False)
        assert "[0, 0]" not in done.err


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["images"][0].update(is_instance_exhaustive=None),
        lambda content: content["images"][0].pop("is_instance_exhaustive"),
        lambda content: content["annotations"][0].update(segmentation=None),
    ],
    ids=["exhaustive null", "exhaustive missing in one", "no mask"],
)
def test_what_the_official_evaluator_would_not_count_so_is_said(tmp_path, change):
    """A pair that does not say it is exhaustive; one that is negative without an object of no mask."""
    content = {
        "images": [pair(k, text_input=str(k), height=2, width=6) for k in (1, 2)],
        "annotations": [truth(1, row(1, 4)), truth(2, row(1, 4), 2)],
    }
    change(content)
    file, entries = write(tmp_path / "a.json", content), write(tmp_path / "p.json", [])
    done = call("score", "--suite", "concept", "--annotations", file, "--predictions", entries)
    assert done.code == 2 or "warning" in done.err


def test_a_run_writes_ids_as_its_annotations_have_them(tmp_path):
    """One text among the ids makes texts of all, and 001 becomes 1: the official evaluator finds no pair."""
    data = drawn(tmp_path / "data", images=6)
    content = json.loads(data.annotators[0].read_text())
    ids = {one["id"]: one["id"] if k else "one" for k, one in enumerate(content["images"])}
    for one in content["images"]:
        one["id"] = ids[one["id"]]
    for one in content["annotations"]:
        one["image_id"] = ids[one["image_id"]]
    write(data.annotators[0], content)
    done, (cell,) = run(tmp_path, *data.flags[:6], answers=data.answers)
    assert done.code == 0, done.err
    written = json.loads((tmp_path / "out" / cell["records"] / "_predictions.json").read_text())
    assert {one["image_id"] for one in written} <= set(ids.values())


class Miscounts(Answers):
    """Gives so many answers too many, or too few, for each batch of phrases."""

    def __init__(self, answers, more):
        super().__init__("miscounts", weights=None, device=torch.device("cpu"), answers=answers)
        self.more = more

    def find_batch(self, embedding, phrases, wanted):
        found = super().find_batch(embedding, phrases, wanted)
        return found + found[:1] if self.more > 0 else found[:-1]


@pytest.mark.parametrize("more", [1, -1])
def test_a_model_that_gives_not_one_answer_a_phrase_is_refused(tmp_path, more):
    """One too many moves all later answers to other phrases; one too few ends in a StopIteration."""
    model = Miscounts(write(tmp_path / "answers.json", {}), more)
    embedding = Embedding(torch.zeros(3, 40, 60), (40, 60))
    with pytest.raises(SambenchError, match="miscounts"):
        list(model.find(embedding, ["a", "b", "c", "d"]))
