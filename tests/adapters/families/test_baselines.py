"""The baselines draw what they say."""

import numpy as np
import pytest
import torch

from sambench import adapters
from sambench.adapters.base import Prompts
from sambench.evsam.errors import SambenchError
from tests.golden import golden

NAMES = ("box", "ellipse", "grabcut")


def masks(name, image, prompts):
    segmenter = adapters.create(name)
    (embedding,) = segmenter.encode([image])
    prediction = segmenter.decode(embedding, prompts)
    assert prediction.logits.shape[:2] == prediction.iou.shape == (len(prompts), 1)
    return (segmenter.upsample(prediction.logits[:, 0], image.shape[:2]) > 0).numpy()


def clicks(*points):
    xy = torch.tensor([[p[:2] for p in points]], dtype=torch.float32)
    return Prompts(points=xy, labels=torch.tensor([[p[2] for p in points]]))


@pytest.fixture
def image():
    return golden.make_image(120, 160)


def test_box_fills_the_pixels_whose_centre_it_holds(image):
    (mask,) = masks("box", image, Prompts(torch.tensor([[10.0, 20, 30, 50]])))
    want = np.zeros((120, 160), bool)
    want[20:50, 10:30] = True
    assert np.array_equal(mask, want)


def test_ellipse_has_the_area_and_the_extent_of_the_box(image):
    (mask,) = masks("ellipse", image, Prompts(torch.tensor([[20.0, 10, 140, 90]])))
    assert abs(mask.sum() - np.pi * 60 * 40) < 40
    assert mask.any(axis=0).sum() == 120
    assert mask.any(axis=1).sum() == 80


def test_a_click_is_a_disc_and_a_second_outside_cuts_it(image):
    radius = 160 / 16
    (disc,) = masks("box", image, clicks((80, 60, 1)))
    y, x = np.mgrid[:120, :160]
    assert np.array_equal(disc, (x - 80) ** 2 + (y - 60) ** 2 <= radius**2)
    (cut,) = masks("box", image, clicks((80, 60, 1), (86, 60, 0)))
    assert np.array_equal(cut, disc & (x < 83))


def test_ellipse_stretches_over_several_clicks(image):
    (one,) = masks("ellipse", image, clicks((80, 60, 1)))
    (two,) = masks("ellipse", image, clicks((60, 60, 1), (100, 60, 1)))
    assert two.any(axis=0).sum() > 1.5 * one.any(axis=0).sum()
    assert abs(int(two.any(axis=1).sum()) - int(one.any(axis=1).sum())) <= 1


def test_grabcut_finds_a_plain_object_and_not_its_box():
    image = np.full((100, 120, 3), (40, 90, 160), np.uint8)
    y, x = np.mgrid[:100, :120]
    truth = (x - 60) ** 2 + (y - 50) ** 2 <= 25**2
    image[truth] = (200, 60, 30)
    image += np.random.RandomState(0).randint(0, 12, image.shape).astype(np.uint8)
    for prompts in (Prompts(torch.tensor([[33.0, 23, 88, 78]])), clicks((60, 50, 1), (5, 5, 0))):
        (mask,) = masks("grabcut", image, prompts)
        assert (mask & truth).sum() / (mask | truth).sum() > 0.9


def test_grabcut_without_background_falls_back_to_the_box(image):
    (mask,) = masks("grabcut", image, Prompts(torch.tensor([[0.0, 0, 160, 120]])))
    assert mask.all()


@pytest.mark.parametrize("name", NAMES)
def test_only_background_clicks_give_an_empty_mask(name, image):
    (mask,) = masks(name, image, clicks((0, 0, 0)))
    assert not mask.any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "box", [[0, 0, 0, 0], [159.5, 119.5, 160, 120], [-20, -20, 5, 5], [150, 100, 400, 300]]
)
def test_boxes_at_and_over_the_border_are_drawn(name, box, image):
    assert masks(name, image, Prompts(torch.tensor([box], dtype=torch.float32))).shape == (1, 120, 160)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_does_not_depend_on_what_was_asked_before(name):
    image = golden.make_image()
    boxes = torch.tensor([[130.0, 95, 408, 337], [431, 258, 561, 401], [20, 300.5, 220.25, 470]])
    together = masks(name, image, Prompts(boxes))
    for box, mask in zip(boxes.flip(0), together[::-1], strict=True):
        assert np.array_equal(masks(name, image, Prompts(box[None]))[0], mask)


@pytest.mark.parametrize("name", NAMES)
def test_box_and_points_at_once_are_refused(name, image):
    prompts = Prompts(torch.rand(1, 4), torch.rand(1, 1, 2), torch.ones(1, 1).int())
    with pytest.raises(SambenchError, match="not both"):
        masks(name, image, prompts)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_refused(name):
    with pytest.raises(SambenchError, match="no parameters"):
        adapters.create(name, weights="random")
