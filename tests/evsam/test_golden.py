"""All five variants compute what the official implementation computes, to rounding."""

import functools
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import evsam
from adapters.base import Prompts, Weights
from adapters.efficientvit_sam import EfficientViTSamSegmenter
from evsam.zoo import VARIANTS
from tests.golden import golden

GOLDEN = Path(__file__).parent.parent / "golden"
RTOL = 3e-5  # numerical noise is 1e-5 or less; a wrong norm epsilon gives 5e-5

variants = pytest.mark.parametrize("name", VARIANTS)


def official_keys(name):
    with gzip.open(GOLDEN / "manifest" / f"{name}.json.gz", "rt") as file:
        return {key: tuple(shape) for key, shape in json.load(file)["keys"].items()}


@functools.lru_cache(maxsize=1)
def segmenter(name):
    model = evsam.create_model(name)
    model.load_state_dict(golden.fill_from_shapes(official_keys(name)), strict=True)
    return EfficientViTSamSegmenter(name, model, Weights("random"), torch.device("cpu"))


@functools.lru_cache(maxsize=1)
def encoded(name):
    """What the official code's taps saw: inputs, stages, embedding; and our embedding of the golden image."""
    gold = golden.load_golden(str(GOLDEN / "outputs" / f"{name}.npz"))
    subject = segmenter(name)
    got = {"meta/state_digest": np.array(golden.state_digest(subject.model.state_dict()))}

    def add(key, tensor):
        limits = gold[f"{key}/slice"].shape
        got.update({f"{key}/{k}": v for k, v in golden.summarise(tensor, limits).items()})

    taps = sorted({key.split("/")[1] for key in gold if key.startswith("tap/")})
    hooks = [
        subject.model.get_submodule(tap).register_forward_hook(lambda m, i, o, tap=tap: add(f"tap/{tap}", o))
        for tap in taps
    ]
    prepared = subject.prepare(golden.make_image())
    add("input", prepared.pixels[None])
    (embedding,) = subject.embed([prepared])
    for hook in hooks:
        hook.remove()
    add("emb", embedding.features[None])
    features = embedding.features.double()
    got["emb/channel_mean"] = features.mean((1, 2)).numpy().astype(np.float32)
    got["emb/spatial_mean"] = features.mean(0).numpy().astype(np.float32)
    return gold, got, embedding


def check(gold, got, least):
    passed, rows = golden.compare(gold, got, rtol=RTOL, verbose=False)
    assert passed, [row for row in rows if not row[2]]
    assert len(rows) >= least  # nothing was passed over


@variants
def test_state_dict_has_the_official_keys_and_shapes(name):
    own = {key: tuple(value.shape) for key, value in evsam.create_model(name).state_dict().items()}
    assert own == official_keys(name)


@variants
def test_preprocessing_taps_and_embedding_are_the_official_ones(name):
    gold, got, embedding = encoded(name)
    taps = sum(key.startswith("tap/") for key in gold)
    check(gold, got, least=taps + 11)
    assert tuple(gold["input/original_size"]) == embedding.size


@variants
def test_padding_starts_where_the_official_one_does(name):
    gold, _, _ = encoded(name)
    side = VARIANTS[name].input_size
    white = segmenter(name).prepare(np.full((480, 640, 3), 255, np.uint8)).pixels[0] > 0
    last = [int(torch.nonzero(white.any(dim=1 - axis)).max()) for axis in (0, 1)]
    # The golden entry is in the frame of the encoder's input, which is 512 or 1024 wide.
    assert last == list(gold["input/last_valid"])
    assert max(last) == side - 1


def prompts_of(prompt, mask):
    boxes = points = labels = None
    if "boxes" in prompt:
        boxes = torch.tensor(prompt["boxes"])
    if "points" in prompt:
        points, labels = torch.tensor([prompt["points"]]), torch.tensor([prompt["labels"]])
    return Prompts(boxes, points, labels, mask if "mask_from" in prompt else None)


@variants
def test_every_prompt_gives_the_official_masks(name):
    gold, _, embedding = encoded(name)
    subject = segmenter(name)
    got = {}
    mask = None
    for prompt_name, prompt in golden.PROMPTS.items():
        for mode in ("multi", "single"):
            if f"{prompt_name}/{mode}/iou" not in gold:
                continue
            prediction = subject.decode(embedding, prompts_of(prompt, mask), mode == "multi")
            low, iou = prediction.logits, prediction.iou
            full = subject.upsample(low.flatten(0, 1), embedding.size).unflatten(0, low.shape[:2])
            if (prompt_name, mode) == ("box", "multi"):
                best = int(iou[0].argmax())
                assert best == int(gold["box/multi/chosen"])
                mask = low[:1, best : best + 1]
            summary = golden.summarise_masks(low, iou, full)
            got.update({f"{prompt_name}/{mode}/{k}": v for k, v in summary.items()})
    judged = [k for k in gold if "/multi/" in k or "/single/" in k]
    left = {"box/multi/chosen", *(k for k in judged if k.endswith("near_zero"))}
    check(gold, got, least=len(judged) - len(left))
