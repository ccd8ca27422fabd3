"""Phase 1's loss against brute force, what learns and what does not, and every student the project has."""

import copy

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from sambench.adapters.models import REGISTRY
from sambench.adapters.registry import TRAINABLE, create_module
from sambench.evsam.errors import SambenchError
from sambench.evsam.train.distill import DistillStep, Views, distances, fitted, image_part, view
from sambench.evsam.train.recipe import Distill
from sambench.evsam.train.sample import Change
from tests.evsam.small_sam import DIM, EMBED, INPUT, small_sam

STUDENTS = [name for name in REGISTRY if name.startswith(TRAINABLE)]
SMALL = ["mobile_sam", "tiny_sam", "edge_sam", "repvit_sam", "efficientvit_sam_l0"]


def pair(*shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=rng), torch.randn(shape, generator=rng)


def brute(student, teacher, size, side):
    """The mean squared difference of one image over the cells that show some of it, cell by cell."""
    found, (_, h, w) = [], student.shape
    for y in range(h):
        for x in range(w):
            if y * side / h < size[0] and x * side / w < size[1]:  # where the cell begins
                found += [float(a - b) ** 2 for a, b in zip(student[:, y, x], teacher[:, y, x], strict=True)]
    return np.mean(found)


def small_views(images=2, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return Views(
        torch.randn(images, 3, INPUT, INPUT, generator=rng),
        torch.randn(images, DIM, EMBED, EMBED, generator=rng),
        ((INPUT, 96), (50, INPUT), (INPUT, INPUT))[:images],
    )


@pytest.mark.parametrize("size", [(64, 64), (64, 17), (33, 64), (1, 64)])
def test_the_image_part_is_the_mean_over_the_cells_that_show_the_image(size):
    student, teacher = pair(2, 5, 8, 8)
    found = distances(student, teacher, Distill(area="image"), [size, (64, 64)], 64).images
    wanted = [brute(student[0], teacher[0], size, 64), brute(student[1], teacher[1], (64, 64), 64)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-5)


def test_all_of_the_embedding_counts_with_its_padding():
    student, teacher = pair(3, 5, 8, 8)
    found = distances(student, teacher, Distill(area="all"), [(64, 1)] * 3, 64)
    wanted = np.square(student.numpy() - teacher.numpy()).mean(axis=(1, 2, 3))
    assert found.images.tolist() == pytest.approx(wanted.tolist(), rel=1e-5)
    share = wanted / np.square(teacher.numpy()).mean(axis=(1, 2, 3))
    assert found.relative.tolist() == pytest.approx(share.tolist(), rel=1e-5)


@pytest.mark.parametrize(("side", "cells"), [(10, 4), (96, 12), (7, 7), (5, 9)])
def test_a_cell_is_of_the_image_if_they_overlap(side, cells):
    for height in range(1, side + 1):
        found = image_part([(height, side)], side, (cells, cells))[0]
        first = np.arange(cells) * side / cells
        overlap = np.minimum(first + side / cells, height) - first
        assert found.all(dim=1).tolist() == (overlap > 1e-9).tolist()


def test_nothing_is_learnt_from_padding_where_the_image_part_counts():
    student, teacher = pair(1, 4, 8, 8)
    student.requires_grad_()
    distances(student, teacher, Distill(area="image"), [(32, 64)], 64).images.sum().backward()
    assert (student.grad[:, :, 4:] == 0).all()
    assert (student.grad[:, :, :4] != 0).all()


def test_the_gradient_is_that_of_the_squares():
    student, teacher = pair(1, 2, 3, 3, seed=4)
    student = student.double().requires_grad_()
    distances(student, teacher, Distill(), [(9, 9)], 9).images.sum().backward()
    wanted = 2 * (student.detach() - teacher) / student.numel()
    assert torch.allclose(student.grad, wanted, rtol=1e-6)


def test_half_precision_is_compared_in_float32():
    student, teacher = pair(1, 4, 8, 8)
    student, teacher = 300 * student.half(), 300 * teacher.half()  # their squares are beyond float16
    found = distances(student, teacher, Distill(), [(8, 8)], 8)
    assert found.images.dtype == torch.float32
    wanted = np.square(student.double().numpy() - teacher.double().numpy()).mean()
    assert found.images.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("other", [(1, 64, 32, 32), (1, 64, 64, 1), (1, 64, 1, 1)])
def test_an_embedding_of_another_size_is_refused_with_both_sizes(other):
    with pytest.raises(SambenchError, match=r"64 x 64 x 64.*other_size: resize") as error:
        distances(torch.zeros(1, 64, 64, 64), torch.zeros(other), Distill(), [(9, 9)], 9)
    assert " x ".join(map(str, other[1:])) in str(error.value)


@pytest.mark.parametrize("other_size", ["refuse", "resize"])
@pytest.mark.parametrize("channels", [1, 32, 256])
def test_other_channels_are_never_compared(other_size, channels):
    recipe = Distill(other_size=other_size)
    with pytest.raises(SambenchError, match=rf"64 x 8 x 8.*{channels} x 8 x 8.*channels"):
        distances(torch.zeros(1, 64, 8, 8), torch.zeros(1, channels, 8, 8), recipe, [(9, 9)], 9)


def test_one_image_is_never_compared_with_many():
    with pytest.raises(ValueError, match="2 embeddings of the student, 1"):
        distances(torch.zeros(2, 4, 8, 8), torch.zeros(1, 4, 8, 8), Distill(), [(9, 9)] * 2, 9)


def test_another_size_is_resized_bilinearly():
    student = torch.tensor([[0.0, 4.0], [8.0, 12.0]])[None, None]
    found = fitted(student, torch.zeros(1, 1, 4, 4), Distill(other_size="resize"))[0, 0]
    step = torch.tensor([0.0, 1.0, 3.0, 4.0])  # a quarter and three quarters of the way, as pixel centres lie
    assert torch.allclose(found, 2 * step[:, None] + step)


def test_only_the_encoder_learns():
    model = small_sam()
    before = copy.deepcopy(model.state_dict())
    step = DistillStep(model, Distill()).train()
    optimiser = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-2)
    step(small_views()).images.sum().backward()
    optimiser.step()
    for name, parameter in model.named_parameters():
        encoder = name.startswith("image_encoder.")
        assert (parameter.grad is not None) == encoder, name
        assert torch.equal(parameter, before[name]) != encoder, name


def test_what_is_not_used_gets_a_gradient_where_processes_wait_for_it():
    model = small_sam()
    model.image_encoder.unused = torch.nn.Parameter(torch.ones(2))
    step = DistillStep(model, Distill())
    losses = {}
    for touch_all in (False, True):
        step.touch_all = touch_all
        losses[touch_all] = step(small_views()).images
    assert torch.equal(losses[False], losses[True])
    losses[True].sum().backward()
    assert (model.image_encoder.unused.grad == 0).all()
    assert model.mask_decoder.mask_tokens.weight.grad is None


def test_a_student_comes_near_one_image():
    step, views = DistillStep(small_sam(), Distill()).train(), small_views(1)
    optimiser = torch.optim.AdamW((p for p in step.parameters() if p.requires_grad), lr=1e-2)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = step(views).images.sum()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_what_both_see_is_mirrored_and_coloured():
    image = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
    assert np.array_equal(view(image, Change()), image)
    assert np.array_equal(view(image, Change(mirrored=True)), image[:, ::-1])
    brighter = view(image, Change(mirrored=True, brightness=1.2))
    grey = image @ [0.299, 0.587, 0.114]
    wanted = np.clip(image[:, ::-1] + 0.2 * grey.mean(), 0, 255)
    assert brighter.dtype == np.uint8
    assert np.abs(brighter - wanted).max() <= 0.51


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDENTS)
def test_every_trainable_model_is_a_student(name):
    with FakeTensorMode():  # nothing is computed but sizes
        model = create_module(name)
        side, prompts = model.input_size, model.prompt_encoder
        shape = (2, prompts.point_embeddings[0].weight.shape[1], prompts.embed_size, prompts.embed_size)
        views = Views(torch.zeros(2, 3, side, side), torch.zeros(shape), ((side, side), (side, 100)))
        losses = DistillStep(model, Distill(area="image"))(views).images
        losses.sum().backward()
    assert losses.shape == (2,)
    lacking = [name for name, p in model.image_encoder.named_parameters() if p.grad is None]
    classes = ("norm_head.", "head.")  # TinyViT's, which no embedding passes
    assert [name for name in lacking if not name.startswith(classes)] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_small_students_learn(name):
    torch.manual_seed(0)
    model, side = create_module(name), 128  # their encoders take any size; their own would take minutes
    with torch.no_grad():
        shape = model.image_encoder(torch.zeros(1, 3, side, side)).shape
    coarse = torch.randn(1, shape[1], 8, 8)
    teacher = torch.nn.functional.interpolate(coarse, shape[2:], mode="bilinear")
    views = Views(torch.randn(1, 3, side, side), teacher, ((side, side // 2),))
    step = DistillStep(model, Distill()).train()
    optimiser = torch.optim.AdamW((p for p in step.parameters() if p.requires_grad), lr=1e-3)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        loss = step(views).images.sum()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
