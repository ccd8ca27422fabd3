"""``sambench score`` on pairs that are written oddly: the number of the plain evaluation, or a refusal."""

import copy
import json

import numpy as np
import pytest
from command import call
from drawn_pairs import coded, disc, drawn
from naive_cgf1 import evaluate
from pycocotools import mask as rle

from sambench.harness.score import score
from sambench.suites.protocol import make_protocol

STRICT = make_protocol("strict")
EMPTY = coded(np.zeros((40, 60), bool))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Contents of three annotators' files, and predictions."""
    data = drawn(tmp_path_factory.mktemp("plain"), images=12, seed=3)
    contents = [json.loads(file.read_text()) for file in data.annotators]
    answers, entries = json.loads(data.answers.read_text()), []
    for image in contents[0]["images"]:
        found = answers[image["file_name"].removeprefix("im").removesuffix(".png")][image["text_input"]]
        entries += [
            {"image_id": image["id"], "score": one["score"], "segmentation": coded(disc(*one["disc"]))}
            for one in found
        ]
    return contents, entries


def scored(contents, entries, folder):
    files = [folder / f"{letter}.json" for letter in "abc"[: len(contents)]]
    for file, content in zip(files, contents, strict=True):
        file.write_text(json.dumps(content))
    (folder / "p.json").write_text(json.dumps(entries))
    return score("concept", files, folder / "p.json", protocol=STRICT).scores.metrics


def agree(metrics, expected):
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def runs(code):
    """Run lengths as plain numbers, counted pixel by pixel."""
    pixels = rle.decode(code).T.reshape(-1)
    edges = np.flatnonzero(np.diff(pixels)) + 1
    lengths = np.diff([0, *edges, len(pixels)]).tolist()
    return {"size": code["size"], "counts": [0, *lengths] if pixels[0] else lengths}


def of_truths(change):
    def apply(contents, entries):
        for content in contents:
            for k, one in enumerate(content["annotations"]):
                change(k, one)

    return apply


def of_entries(change):
    def apply(contents, entries):
        for k, one in enumerate(entries):
            change(k, one)

    return apply


def empty_some(k, one):
    if k % 3 == 0:
        one["segmentation"] = EMPTY


def twice(contents, entries):
    entries += copy.deepcopy(entries)
    for content in contents:
        content["annotations"] += [dict(a, id=a["id"] + 10_000) for a in content["annotations"]]


def annotators_in_other_orders(contents, entries):
    contents[1]["images"].reverse()
    contents[2]["annotations"].reverse()
    more = dict(contents[2]["images"][0], id=5, text_input="one more")
    contents[2]["images"].insert(0, more)


def none_annotated(contents, entries):
    for content in contents:
        content["annotations"] = []


@pytest.mark.parametrize(
    "change",
    [
        of_truths(lambda k, one: one.update(iscrowd=1)),
        of_truths(empty_some),
        of_entries(empty_some),
        of_entries(lambda k, one: one.update(score=[7, -3, 0.5, float(np.nextafter(0.5, 0))][k % 4])),
        of_entries(lambda k, one: one.update(score=0.6)),
        twice,
        annotators_in_other_orders,
        none_annotated,
        lambda contents, entries: entries.clear(),
    ],
    ids=["crowds", "empty truths", "empty masks", "scores", "ties", "twice", "orders", "no truth", "nothing"],
)
def test_odd_contents_have_the_number_of_the_plain_evaluation(plain, tmp_path, change):
    contents, entries = copy.deepcopy(plain)
    change(contents, entries)
    agree(scored(contents, entries, tmp_path), evaluate(contents, entries))


def drop(*keys):
    return lambda k, one: [one.pop(key) for key in keys]


def of_images(change):
    def apply(contents, entries):
        for content in contents:
            for k, one in enumerate(content["images"]):
                change(k, one)

    return apply


def renamed(name):
    """Give pairs other ids, wherever they are meant."""

    def apply(contents, entries):
        for content in contents:
            for one in content["images"]:
                one["id"] = name(one["id"])
        for one in (*(a for content in contents for a in content["annotations"]), *entries):
            one["image_id"] = name(one["image_id"])

    return apply


@pytest.mark.parametrize(
    "change",
    [
        of_truths(drop("bbox", "area", "category_id")),
        of_truths(lambda k, one: one.update(bbox=rle.toBbox(one["segmentation"]).tolist())),
        of_truths(lambda k, one: one.update(segmentation=runs(one["segmentation"]))),
        of_entries(lambda k, one: one.update(segmentation=runs(one["segmentation"]))),
        of_entries(lambda k, one: one.update(category_id=9, phrase="it")),
        of_images(drop("file_name", "text_input")),
        of_images(drop("height", "width")),
        of_images(lambda k, one: one.update(file_name="same.jpg", text_input="same")),
        of_images(lambda k, one: one.update(is_instance_exhaustive=bool(one["is_instance_exhaustive"]))),
        lambda contents, entries: [content.pop("categories") for content in contents],
        renamed(lambda i: -i),
        renamed(lambda i: i + 2**70),
        renamed(float),
        renamed(lambda i: f"{i:06d}"),
        renamed(lambda i: f"a/{i}"),
    ],
    ids=[
        *("no box", "pixels", "runs of truths", "runs", "other keys", "no names", "no sizes", "same names"),
        *("bool", "no categories", "negative", "huge", "float", "padded", "text"),
    ],
)
def test_what_is_written_otherwise_and_means_the_same_has_the_same_number(plain, tmp_path, change):
    contents, entries = copy.deepcopy(plain)
    change(contents, entries)
    agree(scored(contents, entries, tmp_path), evaluate(*plain))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_truths(drop("id")), "id is null"),
        (of_truths(lambda k, one: one.update(id=1)), "annotation id is there twice"),
        (of_images(lambda k, one: one.update(is_instance_exhaustive="yes")), 'is "yes", neither 0 nor 1'),
        (of_images(lambda k, one: one.update(is_instance_exhaustive=0)), "is_instance_exhaustive 1 in all"),
        (lambda contents, entries: contents[1]["images"].pop(), "image_id that the file does not list"),
        (of_entries(lambda k, one: one.update(score=True)), "score is true, no number"),
        (of_entries(lambda k, one: one.update(image_id=[1])), "image_id is [1], no id"),
        (
            of_entries(lambda k, one: one.update(segmentation={"size": [40, 60]})),
            "counts of its RLE is missing",
        ),
    ],
)
def test_what_can_mean_nothing_is_refused(plain, tmp_path, change, said):
    contents, entries = copy.deepcopy(plain)
    change(contents, entries)
    files = [tmp_path / f"{letter}.json" for letter in "abc"]
    for file, content in zip(files, contents, strict=True):
        file.write_text(json.dumps(content))
    (tmp_path / "p.json").write_text(json.dumps(entries))
    flags = [part for file in files for part in ("--annotations", file)]
    done = call("score", "--suite", "concept", *flags, "--predictions", tmp_path / "p.json")
    assert done.code == 2
    assert "Traceback" not in done.err
    assert said in done.err.replace("\n", " ")
