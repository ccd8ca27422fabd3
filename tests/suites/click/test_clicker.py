"""The clicker, judged by the official one's traces and by a brute-force distance transform."""

import json

import numpy as np
import pytest
from fakes import paint_click, rectangle
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from sambench.suites.click.clicker import Click, Clicker
from sambench.suites.data.masks import to_window


def squared_depth(region):
    """Squared distance of each pixel of a region to the nearest outside of it, the border included.

    Each pair of pixels is measured: no transform, whole numbers, exact.
    """
    framed = np.pad(region, 1)
    inside, outside = np.argwhere(framed), np.argwhere(~framed)
    depth = np.zeros(framed.shape, np.int64)
    if len(inside):
        apart = inside[:, None] - outside[None]
        depth[framed] = (apart**2).sum(axis=2).min(axis=1)
    return depth[1:-1, 1:-1]


def next_click(truth, prediction, clicks):
    """The rule, slowly: the deepest pixel of the larger error that was not clicked; a tie is excess."""
    lacking, excess = squared_depth(truth & ~prediction), squared_depth(prediction & ~truth)
    for click in clicks:
        lacking[click.y, click.x] = excess[click.y, click.x] = 0
    positive = bool(lacking.max() > excess.max())
    depth = lacking if positive else excess
    y, x = np.unravel_index(np.argmax(depth), depth.shape)  # the first in row order
    return Click(int(x), int(y), positive)


SIDES = st.integers(1, 18)


@st.composite
def blobs(draw, size):
    """Masks of a few rectangles, added or taken away, often across the border; sometimes noise on top."""
    mask = np.zeros(size, bool)
    for _ in range(draw(st.integers(0, 4))):
        y, x = draw(st.integers(-3, size[0])), draw(st.integers(-3, size[1]))
        h, w = draw(st.integers(1, size[0] + 3)), draw(st.integers(1, size[1] + 3))
        mask[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = draw(st.booleans())
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 1000)))
        mask ^= rng.random(size) < draw(st.sampled_from([0.02, 0.1, 0.5]))
    return mask


@st.composite
def sessions(draw, rounds=5):
    """A truth and the predictions after each click."""
    size = (draw(SIDES), draw(SIDES))
    return draw(blobs(size)), [draw(blobs(size)) for _ in range(rounds)]


@settings(max_examples=150)
@given(sessions(rounds=0))
def test_the_first_click_is_the_pixel_farthest_from_the_boundary(session):
    truth, _ = session
    assert Clicker(to_window(truth)).click() == next_click(truth, np.zeros_like(truth), [])


@settings(max_examples=150)
@given(sessions())
def test_each_next_click_is_the_deepest_pixel_of_the_larger_error(session):
    truth, predictions = session
    clicker = Clicker(to_window(truth))
    clicker.click()
    for prediction in predictions:
        before = list(clicker.clicks)
        assert clicker.click(prediction) == next_click(truth, prediction, before)
        assert clicker.clicks[:-1] == before


@settings(max_examples=60)
@given(sessions(rounds=1), st.integers(2, 30))
def test_a_prediction_that_stays_as_it_is_is_clicked_through_pixel_by_pixel(session, rounds):
    truth, (prediction,) = session
    clicker = Clicker(to_window(truth))
    for _ in range(rounds):
        before = list(clicker.clicks)
        assert clicker.click(prediction) == next_click(truth, prediction, before)


@settings(max_examples=100)
@given(sessions(rounds=8))
def test_no_pixel_is_clicked_twice_while_there_is_another_error(session):
    truth, predictions = session
    clicker = Clicker(to_window(truth))
    clicker.click()
    for prediction in predictions:
        clicked = {(c.x, c.y) for c in clicker.clicks}
        wrong = {(int(x), int(y)) for y, x in np.argwhere(truth != prediction)}
        click = clicker.click(prediction)
        if wrong - clicked:
            assert (click.x, click.y) in wrong - clicked
            assert truth[click.y, click.x] == click.positive
        else:
            assert click == Click(0, 0, False)


@pytest.mark.parametrize("seed", range(12))
def test_larger_regions_with_round_edges_agree_too(seed):
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:60, :70]

    def discs():
        mask = np.zeros((60, 70), bool)
        for cy, cx, r in zip(
            rng.integers(0, 60, 3), rng.integers(0, 70, 3), rng.integers(5, 25, 3), strict=True
        ):
            mask |= (y - cy) ** 2 + (x - cx) ** 2 <= r * r
        return mask

    truth = discs()
    clicker = Clicker(to_window(truth))
    clicker.click()
    for _ in range(3):
        prediction = discs()
        before = list(clicker.clicks)
        assert clicker.click(prediction) == next_click(truth, prediction, before)


def test_a_region_ends_at_the_images_border():
    mask = rectangle((20, 30), 0, 0, 9, 9)  # in the corner: without the border the corner were deepest
    assert Clicker(to_window(mask)).click() == Click(4, 4, True)


def test_the_whole_image_is_clicked_in_its_middle():
    assert Clicker(to_window(np.ones((11, 5), bool))).click() == Click(2, 2, True)


def test_of_equally_deep_pixels_the_first_in_row_order_is_clicked():
    mask = rectangle((20, 30), 3, 10, 6, 13) | rectangle((20, 30), 20, 4, 23, 7)
    clicker = Clicker(to_window(mask))
    assert clicker.click() == Click(21, 5, True)
    assert clicker.click(np.zeros((20, 30), bool)) == Click(4, 11, True)


def test_a_tie_between_the_errors_goes_to_the_excess():
    truth, prediction = rectangle((20, 30), 3, 3, 8, 8), rectangle((20, 30), 20, 10, 25, 15)
    clicker = Clicker(to_window(truth))
    clicker.click()
    assert Clicker(to_window(truth)).click(prediction) == Click(22, 12, False)


def test_a_deeper_lack_goes_before_an_excess_of_more_pixels():
    truth, prediction = rectangle((20, 60), 3, 3, 8, 8), rectangle((20, 60), 0, 12, 60, 15)
    assert Clicker(to_window(truth)).click(prediction) == Click(5, 5, True)


def test_nothing_wrong_is_clicked_at_the_first_pixel_as_background():
    truth = rectangle((20, 30), 3, 3, 8, 8)
    clicker = Clicker(to_window(truth))
    clicker.click()
    assert [clicker.click(truth) for _ in range(3)] == [Click(0, 0, False)] * 3


def test_an_object_without_a_pixel_is_clicked_at_the_first_pixel_as_background():
    clicker = Clicker(to_window(np.zeros((20, 30), bool)))
    assert clicker.click() == Click(0, 0, False)
    assert clicker.click(np.zeros((20, 30), bool)) == Click(0, 0, False)
    assert clicker.click(rectangle((20, 30), 10, 10, 13, 13)) == Click(11, 11, False)


@pytest.mark.parametrize("truth_everywhere", [False, True])
def test_an_error_at_the_first_pixel_itself_is_clicked_once_as_what_it_is(truth_everywhere):
    corner = rectangle((5, 5), 0, 0, 1, 1)
    truth = corner if truth_everywhere else np.zeros((5, 5), bool)
    prediction = np.zeros((5, 5), bool) if truth_everywhere else corner
    clicker = Clicker(to_window(truth))
    assert clicker.click(prediction) == Click(0, 0, truth_everywhere)
    assert clicker.click(prediction) == Click(0, 0, False)


def test_the_prediction_and_the_truth_are_left_as_they_were():
    truth, prediction = rectangle((20, 30), 3, 3, 12, 12), rectangle((20, 30), 8, 8, 25, 18)
    kept = prediction.copy()
    window = to_window(truth)
    clicker = Clicker(window)
    clicker.click()
    clicker.click(prediction)
    np.testing.assert_array_equal(prediction, kept)
    np.testing.assert_array_equal(window.full(), truth)


@pytest.mark.parametrize(
    "laid_out", [np.asfortranarray, lambda m: np.repeat(m, 2, axis=1)[:, ::2], lambda m: m[::-1].copy()[::-1]]
)
def test_how_the_prediction_lies_in_memory_does_not_matter(laid_out):
    truth, prediction = rectangle((20, 30), 3, 3, 12, 12), rectangle((20, 30), 8, 8, 25, 18)
    prediction = laid_out(prediction)
    assert not prediction.flags.c_contiguous
    prediction.flags.writeable = False
    assert Clicker(to_window(truth)).click(prediction) == next_click(truth, prediction, [])


def golden_rows(root):
    return json.loads((root / "tests/golden/clicks_coco_mini.json").read_text())["rows"]


@pytest.mark.slow
def test_all_traces_of_the_official_clicker_are_met_click_by_click(coco_mini, request):
    rows = golden_rows(request.config.rootpath)
    oracle = COCO(coco_mini.annotations)
    assert len(rows) == len(oracle.anns) == 1175
    for row in rows:
        truth = oracle.annToMask(oracle.anns[row["ann_id"]]).astype(bool)
        clicker = Clicker(to_window(truth))
        prediction = np.zeros_like(truth)
        iou = []
        for k in range(5):
            click = clicker.click(prediction if k else None)
            paint_click(prediction, k, click.x, click.y, click.positive)
            iou.append(100 * np.count_nonzero(prediction & truth) / np.count_nonzero(prediction | truth))
        assert [[c.x, c.y] for c in clicker.clicks] == row["points"], row["ann_id"]
        assert [int(c.positive) for c in clicker.clicks] == row["labels"], row["ann_id"]
        np.testing.assert_allclose(iou, row["iou"], atol=1e-4, rtol=0, err_msg=str(row["ann_id"]))
