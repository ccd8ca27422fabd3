"""The interface refuses what it cannot do, and batches without changing order."""

import numpy as np
import pytest
import torch

from sambench import adapters
from sambench.adapters.base import Capabilities, Prompts
from sambench.evsam.errors import SambenchError

BOXES = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
POINTS, LABELS = torch.rand(2, 3, 2), torch.tensor([[1, 0, -1], [1, 1, 1]])


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"boxes": torch.rand(4)},
        {"boxes": torch.rand(2, 5)},
        {"points": POINTS},
        {"boxes": BOXES, "labels": LABELS},
        {"points": torch.rand(2, 3, 3), "labels": LABELS},
        {"points": POINTS, "labels": LABELS[:, :2]},
        {"boxes": BOXES, "points": POINTS[:1], "labels": LABELS[:1]},
        {"boxes": BOXES, "masks": torch.rand(2, 256, 256)},
        {"boxes": BOXES, "masks": torch.rand(1, 1, 256, 256)},
        {"boxes": BOXES, "masks": torch.rand(2, 3, 256, 256)},
    ],
)
def test_prompts_that_do_not_fit_together_are_refused(wrong):
    with pytest.raises(SambenchError, match="prompts"):
        Prompts(**wrong)


def test_a_slice_of_prompts_has_all_their_parts():
    prompts = Prompts(BOXES, POINTS, LABELS, torch.rand(2, 1, 256, 256))[1:]
    assert len(prompts) == 1
    assert torch.equal(prompts.boxes, BOXES[1:])
    assert torch.equal(prompts.labels, LABELS[1:])
    assert prompts.masks.shape == (1, 1, 256, 256)


@pytest.mark.parametrize(
    ("capabilities", "prompts", "word"),
    [
        (Capabilities(boxes=False), Prompts(BOXES), "boxes"),
        (Capabilities(points=False), Prompts(points=POINTS, labels=LABELS), "points"),
        (Capabilities(max_points=2), Prompts(points=POINTS, labels=LABELS), "at most 2 points, not 3"),
        (Capabilities(max_points=4, box_points=2), Prompts(BOXES, POINTS, LABELS), "2 points beside a box"),
        (Capabilities(background_points=False), Prompts(points=POINTS, labels=LABELS), "background"),
        (Capabilities(boxes_with_points=False), Prompts(BOXES, POINTS, LABELS), "not both"),
        (Capabilities(mask_input=False), Prompts(BOXES, masks=torch.rand(2, 1, 256, 256)), "mask"),
    ],
)
def test_a_capability_that_is_missing_is_named(capabilities, prompts, word):
    assert word in capabilities.refusal(prompts)
    assert Capabilities().refusal(prompts) is None


def test_a_box_takes_room_from_points_only_where_there_is_a_box():
    capabilities = Capabilities(max_points=3, box_points=2)
    assert capabilities.refusal(Prompts(BOXES)) is None
    assert capabilities.refusal(Prompts(points=POINTS, labels=LABELS)) is None
    assert capabilities.refusal(Prompts(BOXES, POINTS[:, :1], LABELS[:, :1])) is None


def test_padding_is_not_a_background_point():
    prompts = Prompts(points=POINTS[:, :2], labels=torch.tensor([[1, -1], [1, 1]]))
    assert Capabilities(background_points=False).refusal(prompts) is None


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 4), np.uint8), np.zeros((4, 5, 3), np.float32)],
    ids=["gray", "rgba", "float"],
)
def test_an_image_of_another_kind_is_refused(image):
    with pytest.raises(SambenchError, match="not uint8"):
        adapters.create("box").encode([image])
