"""The weights that come along: whole, small, of the data they say, and good on what they never saw."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from sambench.adapters.base import Prompts
from sambench.adapters.registry import create
from sambench.adapters.weights.resolve import default_path
from sambench.adapters.weights.shipped import MODELS, shipped
from sambench.suites.data.shapes import annotate, draw_scene

MOST_BYTES = 20e6
SEEN = {20, 21}
"""Seeds of the drawings that they were trained on and chosen by."""


@pytest.mark.parametrize("name", MODELS)
def test_what_they_say_of_themselves(name):
    file = shipped(name)
    assert file == default_path(name)
    assert file.stat().st_size < MOST_BYTES
    with safe_open(file, "pt") as content:
        about = json.loads(content.metadata()["sambench"])
    assert about["model"] == name
    assert about["data"]["format"] == "shapes"
    assert about["data"]["seed"] in SEEN
    assert about["steps"] >= 900


def test_a_model_of_others_has_none():
    assert shipped("mobile_sam") is None


def mean_iou(segmenter, seed, images=6):
    """By the boxes of all objects of some drawings, the best of three masks by predicted IoU."""
    found = []
    for index in range(images):
        scene = draw_scene(seed, index)
        objects = [one for one in annotate(scene, 1, 1) if not one["iscrowd"]]
        boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in (one["bbox"] for one in objects)])
        (embedding,) = segmenter.encode([scene.image])
        best = segmenter.decode_best(embedding, Prompts(boxes=boxes))
        masks = np.asarray(segmenter.upsample(best.logits, embedding.size) > 0)
        for mask, one in zip(masks, objects, strict=True):
            truth = owner(scene, one)
            found.append((mask & truth).sum() / (mask | truth).sum())
    return float(np.mean(found))


def owner(scene, one):
    """The object's pixels: of the drawing's things that which shows as many within the very box."""
    x, y, w, h = (int(v) for v in one["bbox"])
    window = scene.owner[y : y + h, x : x + w]
    number = next(
        k
        for k in range(1, len(scene.things) + 1)
        if (scene.owner == k).sum() == one["area"] and (window == k).sum() == one["area"]
    )
    return scene.owner == number


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"), [("efficientvit_sam_nano", 0.62), ("efficientvit_sam_pico", 0.48)]
)
def test_they_segment_drawings_that_they_never_saw(name, least):
    seed = 777
    assert seed not in SEEN
    trained = mean_iou(create(name), seed)
    assert trained > least
    assert trained > mean_iou(create("box"), seed)
