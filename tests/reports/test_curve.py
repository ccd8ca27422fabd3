"""The curve of a training: drawn of any log, also one that has just begun."""

import io

import numpy as np
import pytest
from PIL import Image

from sambench.reports.curve import draw_curve


def pixels(lines):
    return np.asarray(Image.open(io.BytesIO(draw_curve(lines, "a training"))).convert("RGB")).astype(int)


STEPS = [{"step": step, "loss": 10 / step} for step in range(1, 200)]
SCORES = [{"step": step, "validation": {"box": step / 4, "click_1": step / 8}} for step in (100, 150, 199)]


def test_losses_are_at_the_left_and_validations_at_the_right():
    empty, losses, both = pixels([]), pixels(STEPS), pixels([*STEPS, *SCORES])
    middle = empty.shape[1] // 2
    assert empty.shape == losses.shape == both.shape
    assert (empty[:, :middle] != losses[:, :middle]).any()
    assert (losses[:, middle:] != both[:, middle:]).any()


@pytest.mark.parametrize(
    "lines",
    [
        [{"step": 1, "loss": None}, {"step": 2, "loss": 0.5}],
        [{"step": 1, "loss": 0.0}],
        [{"step": 5, "validation": {"embedding": 0.1}}],
        [{"step": 5, "validation": {"box": 1.0}}, {"step": 9, "validation": {"box": 2.0, "other": 3.0}}],
    ],
)
def test_a_log_that_lacks_something_is_drawn(lines):
    assert pixels(lines).ndim == 3
