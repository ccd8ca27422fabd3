"""Every model computes what its official implementation computes, to rounding.

The weights are a function of names and shapes, written as the authors release theirs, and loaded through
`adapters.create`: so keys, shapes, outer key and strict loading are proven on the way.
"""

import os
from unittest import mock

import numpy as np
import pytest
import torch

from sambench import adapters
from sambench.adapters.base import Prompts
from sambench.adapters.families import sam
from sambench.evsam.fuse import fuse_norms
from tests.golden import golden, official

RTOL = 3e-5  # numerical noise is 1e-5 or less; a wrong norm epsilon gives 5e-5

LARGE = ("sam_vit_l", "sam_vit_h")
"""Proven by `make parity` alone: they take GBs, and differ from ViT-B in numbers only."""

QUICK = ("efficientvit_sam_l0", "edge_sam")


def marks(model):
    """Which commands leave a model out."""
    if model in LARGE:
        return pytest.mark.parity
    return () if model in QUICK else pytest.mark.slow


MODELS = [pytest.param(m, marks=marks(m)) for m in official.MODELS]

STRETCHED = ("efficient_sam_ti", "efficient_sam_s")
"""Models that do not keep the aspect ratio, and so do not pad."""


class Official:
    """A model with golden weights, what it makes of the golden image, and what the official one made."""

    def __init__(self, model, folder):
        path = official.write_checkpoint(model, folder)
        with mock.patch.object(sam, "fuse_norms", self.note_and_fuse):
            self.subject = adapters.create(model, weights=str(path))
        os.remove(path)
        self.gold = official.outputs(model)
        taps = sorted({key.split("/")[1] for key in self.gold if key.startswith("tap/")})
        hooks = [self.subject.model.get_submodule(tap).register_forward_hook(self.tap(tap)) for tap in taps]
        prepared = self.subject.prepare(golden.make_image())
        self.add("input", prepared.pixels[None])
        (self.embedding,) = self.subject.embed([prepared])
        for hook in hooks:
            hook.remove()
        self.add("emb", self.embedding.features[None])
        features = self.embedding.features.double()
        self.got["emb/channel_mean"] = features.mean((1, 2)).numpy().astype(np.float32)
        self.got["emb/spatial_mean"] = features.mean(0).numpy().astype(np.float32)

    def note_and_fuse(self, model):
        """Note what was loaded, before norms go into convolutions."""
        self.got = {"meta/state_digest": np.array(golden.state_digest(model.state_dict()))}
        fuse_norms(model)

    def tap(self, name):
        return lambda module, inputs, output: self.add(f"tap/{name}", output)

    def add(self, key, tensor):
        limits = self.gold[f"{key}/slice"].shape
        if tensor.ndim != len(limits) and f"{key}/shape" in self.gold:
            tensor = tensor.reshape(tuple(self.gold[f"{key}/shape"]))
        self.got |= {f"{key}/{k}": v for k, v in golden.summarise(tensor, limits).items()}


@pytest.fixture(scope="module", params=MODELS)
def official_model(request, tmp_path_factory):
    return Official(request.param, tmp_path_factory.mktemp("weights"))


def check(gold, got, least):
    passed, rows = golden.compare(gold, got, rtol=RTOL, verbose=False)
    assert passed, [row for row in rows if not row[2]]
    assert len(rows) >= least  # nothing was passed over
    print(f"\nworst of {len(rows)}: {max(row[1] for row in rows if 'area' not in row[0]):.1e}")


def test_preprocessing_taps_and_embedding_are_the_official_ones(official_model):
    gold, got = official_model.gold, official_model.got
    taps = [key for key in gold if key.startswith("tap/")]
    check(gold, got, least=len(taps) + 11)
    if "input/original_size" in gold:
        assert tuple(gold["input/original_size"]) == official_model.embedding.size


def test_padding_starts_where_the_official_one_does(official_model):
    gold, subject = official_model.gold, official_model.subject
    white = subject.prepare(np.full((480, 640, 3), 255, np.uint8)).pixels[0] > 0
    last = [int(torch.nonzero(white.any(dim=1 - axis)).max()) for axis in (0, 1)]
    # The golden entry is in the frame of the encoder's input, which is 512 or 1024 wide.
    assert last == list(gold["input/last_valid"])
    assert max(last) == white.shape[-1] - 1
    assert (min(last) == max(last)) == (subject.name in STRETCHED)


def prompts_of(prompt, mask):
    boxes = points = labels = None
    if "boxes" in prompt:
        boxes = torch.tensor(prompt["boxes"])
    if "points" in prompt:
        points, labels = torch.tensor([prompt["points"]]), torch.tensor([prompt["labels"]])
    return Prompts(boxes, points, labels, mask if "mask_from" in prompt else None)


def test_every_prompt_gives_the_official_masks(official_model):
    gold, subject, embedding = official_model.gold, official_model.subject, official_model.embedding
    got = {}
    mask = None
    for prompt_name, prompt in golden.PROMPTS.items():
        for mode in ("multi", "single"):
            if f"{prompt_name}/{mode}/iou" not in gold:
                continue
            # decode_batch, not decode: the official EfficientSAM does compute background points
            prediction = subject.decode_batch(embedding, prompts_of(prompt, mask), mode == "multi")
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
