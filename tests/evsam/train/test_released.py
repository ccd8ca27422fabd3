"""The released preset against the authors' own functions: losses, samples and five steps of L0.

``tests/golden/train_released_l0.npz`` was computed by the official code on the CPU. Its random points are
drawn numbers: request k of step s gives ``RandomState(seed + 1000 s + k).random_sample(shape)``.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sambench.adapters.images import read_image
from sambench.adapters.registry import create_module
from sambench.evsam.prompt_encoder import as_points
from sambench.evsam.train.finetune import Batch, FinetuneStep, Mode
from sambench.evsam.train.losses import released
from sambench.evsam.train.optimiser import clip, make_optimiser, train_mode
from sambench.evsam.train.points import uncertain_points
from sambench.evsam.train.prompts import by_points
from sambench.evsam.train.recipe import Finetune, Optimiser
from sambench.evsam.train.sample import Change, fit
from tests.golden import golden

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "train_released_l0.npz")
RECIPE = Finetune(resize="tensor", mask_loss="bce", pixels="uncertain")
MASKS = 6

NOISE = {
    name
    for name, norm in zip(GOLDEN["step/0/grad_names"].tolist(), GOLDEN["step/0/grad_norm"], strict=True)
    if 0 < norm < 1e-6
}
"""What has no gradient but rounding, which Adam blows up to steps: a bias of keys adds the same to every
score of a softmax, and a batch norm takes away what the norm before it added. The fast decoder leaves two
out."""


class Drawn:
    """The numbers that the official code was given in a step."""

    def __init__(self, step):
        self.seed = int(GOLDEN["seed"]) + 1000 * step
        self.calls = 0

    def __call__(self, shape):
        drawn = np.random.RandomState(self.seed + self.calls).random_sample(shape)
        self.calls += 1
        return torch.from_numpy(drawn.astype(np.float32))


def test_few_parameters_are_left_to_rounding():
    assert len(NOISE) == 8
    assert all(name.endswith(("k_proj.bias", "point_conv.norm.bias")) for name in NOISE)


def test_the_loss_of_a_mask_and_its_gradient():
    logits = torch.from_numpy(GOLDEN["loss/logits"]).requires_grad_()
    targets = torch.from_numpy(GOLDEN["loss/target"])
    bce, dice = released(logits, targets, Drawn(0))
    assert np.allclose(bce.detach(), GOLDEN["loss/mask"], rtol=0, atol=1e-5)
    assert np.allclose(dice.detach(), GOLDEN["loss/dice"], rtol=0, atol=1e-5)
    (20 * bce + dice).sum().backward()
    assert np.allclose(logits.grad, GOLDEN["loss/grad"], rtol=0, atol=1e-5)


def test_the_points_a_loss_is_taken_at():
    xy = uncertain_points(torch.from_numpy(GOLDEN["loss/logits"]), Drawn(0)).numpy()
    assert np.allclose(xy[:, :200], GOLDEN["loss/coords_first"], rtol=0, atol=1e-6)
    assert np.allclose(xy[:, -50:], GOLDEN["loss/coords_last"], rtol=0, atol=1e-6)
    assert np.allclose(xy.sum(axis=(1, 2)), GOLDEN["loss/coords_sum"], rtol=1e-6)


@pytest.fixture(scope="module")
def annotated(data_root):
    """The two images with their first six objects: pixels, masks (bool), boxes xyxy."""
    from pycocotools import mask as coco_mask

    found = {}
    for i in GOLDEN["sample/ids"].tolist():
        root = data_root / "sa1b-mini"
        objects = json.loads((root / "masks" / f"sa_{i}.json").read_text())["annotations"][:MASKS]
        masks = [coco_mask.decode(one["segmentation"]).astype(bool) for one in objects]
        boxes = np.array([one["bbox"] for one in objects], float)
        boxes[:, 2:] += boxes[:, :2]
        found[i] = (read_image(root / "images" / f"sa_{i}.jpg"), masks, boxes)
    return found


def fitted(annotated, i, *, mirrored=False):
    return fit(*annotated[i], 512, RECIPE, Change(mirrored))


@pytest.mark.parametrize("view", ["plain", "flipped"])
def test_a_sample(annotated, view):
    for i in annotated:
        sample = fitted(annotated, i, mirrored=view == "flipped")
        golden_of = {
            name: GOLDEN[f"sample/{i}/{view}/{name}"] for name in ("boxes", "mask_sums", "mask_slice")
        }
        xywh = torch.cat([sample.boxes[:, :2], sample.boxes[:, 2:] - sample.boxes[:, :2]], dim=1)
        assert np.allclose(xywh, golden_of["boxes"], rtol=1e-5, atol=1e-4)
        assert np.allclose(sample.masks.double().sum(dim=(1, 2)), golden_of["mask_sums"], rtol=1e-5)
        assert np.allclose(sample.masks[:, ::37, ::37], golden_of["mask_slice"], rtol=0, atol=1e-5)
        assert np.allclose(
            sample.image.double().sum(dim=(1, 2)), GOLDEN[f"sample/{i}/{view}/image_sums"], rtol=1e-5, atol=1
        )
        slice_ = sample.image[:, ::31, ::31]
        assert np.allclose(slice_, GOLDEN[f"sample/{i}/{view}/image_slice"], rtol=0, atol=1e-5)


def planned(kind, sample, step, image):
    """The prompts of one image as the file's plan says, in the frame of 512."""
    if kind == "box":
        return as_points(None, sample.boxes)
    count = int(kind.removeprefix("point"))
    chosen = []
    for mask in sample.masks:
        pixels = torch.nonzero(mask > 0)  # in row order, (y, x)
        places = [int((j + 1) / (count + 1) * len(pixels)) for j in range(count)]
        chosen.append(pixels[places].flip(1).float())
    xy = torch.stack(chosen)
    assert np.allclose(2 * xy, GOLDEN[f"step/{step}/points/{image}"]), (step, image)
    return by_points(xy)


@pytest.mark.slow
def test_five_steps_of_l0(annotated):
    torch.manual_seed(0)
    model = create_module("efficientvit_sam_l0")
    model.load_state_dict(golden.fill_state_dict(model.state_dict()))
    began = {name: p.detach().clone() for name, p in model.named_parameters()}
    recipe = Optimiser(lr=1e-5)
    learner = FinetuneStep(model, RECIPE)
    optimiser = make_optimiser(model, recipe)
    samples = [fitted(annotated, i) for i in annotated]
    for step, plan in enumerate(json.loads(str(GOLDEN["plan"]))):
        train_mode(learner, recipe)
        prompts = [
            planned(kind, s, step, i)
            for i, (kind, s) in enumerate(zip(plan["prompts"], samples, strict=True))
        ]
        losses = learner(Batch.of(samples, prompts), Mode(plan["multimask"]), Drawn(step))
        loss = losses.images.mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        near = 1e-5 if step == 0 else 1e-3
        of = {name: GOLDEN[f"step/{step}/{name}"] for name in ("losses", "loss", "iou", "low_res")}
        assert np.allclose(losses.masks, of["losses"], rtol=near), step
        assert np.allclose(loss.detach(), of["loss"], rtol=near), step
        alternatives = of["iou"].shape[-1]
        assert np.allclose(losses.iou.reshape(2, MASKS, alternatives), of["iou"], rtol=near, atol=10 * near)
        low = losses.logits.reshape(2, MASKS, alternatives, 256, 256)[..., ::32, ::32]
        assert np.allclose(low, of["low_res"], rtol=near, atol=10 * near)
        if step == 0:
            check_gradients(model)
        clip(model.parameters(), recipe)
        optimiser.step()
    check_after(model, began)


def check_gradients(model):
    found = {name: p.grad for name, p in model.named_parameters()}
    names = GOLDEN["step/0/grad_names"].tolist()
    without = {name for name, g in found.items() if g is None}
    assert without - NOISE == set(GOLDEN["step/0/no_grad"].tolist())
    found = {name: torch.zeros(1) if g is None else g for name, g in found.items()}
    norms = np.array([float(found[name].double().norm()) for name in names])
    assert np.allclose(norms, GOLDEN["step/0/grad_norm"], rtol=1e-3, atol=1e-6)
    first = np.array([float(found[name].flatten()[0]) for name in names])
    assert np.allclose(first, GOLDEN["step/0/grad_first"], rtol=1e-2, atol=1e-3 * np.abs(first).max())


def check_after(model, began):
    buffers = dict(model.named_buffers())
    norms = [float(buffers[name].double().norm()) for name in GOLDEN["after/bn_names"].tolist()]
    assert np.allclose(norms, GOLDEN["after/bn_norm"], rtol=1e-3)
    now = dict(model.named_parameters())
    for name, expected in zip(GOLDEN["after/param_names"].tolist(), GOLDEN["after/moved"], strict=True):
        moved = float((now[name].detach() - began[name]).double().norm())
        assert name in NOISE or np.isclose(moved, expected, rtol=5e-3, atol=1e-9), (name, moved, expected)
