"""Everything mode: the official generator's masks, each part against its definition or a library."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import Fake, as_logits, rectangle
from pycocotools import mask as rle

from sambench.adapters import create
from sambench.adapters.base import Capabilities
from sambench.evsam.errors import SambenchError
from sambench.suites.base import Stopwatch
from sambench.suites.everything import generator
from sambench.suites.everything.generator import GeneratorSettings, generate
from sambench.suites.everything.parts import clean, crop_boxes, nms, point_grid

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "amg_discs.json").read_text())
SIZE = (60, 80)
IMAGE = np.zeros((*SIZE, 3), np.uint8)
ALL = GeneratorSettings(points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0, box_nms_thresh=1)


def three_discs(prompt, size):
    """The golden file's predictor: discs of three radii around the click."""
    x, y = prompt.points[0, 0].tolist()
    squared = (np.arange(size[1])[None] - x) ** 2 + (np.arange(size[0])[:, None] - y) ** 2
    iou = [0.8 + ((7 * int(x) + 13 * int(y) + 29 * k) % 100) / 500 for k in range(3)]
    return np.stack([(r**2 - squared) / 50 for r in GOLDEN["radii"]]).astype(np.float32), iou


def points_of(masks):
    return [m.point for m in masks]


LONG = [pytest.param(*given, marks=pytest.mark.slow) for given in ((0, 16), (1, 64), (2, 16))]


@pytest.mark.parametrize(("number", "prompt_batch"), [(1, 7), *LONG])
def test_the_official_generators_masks_come_out_in_its_order(number, prompt_batch):
    expected, size = GOLDEN["results"][number], GOLDEN["image_size"]
    settings = GeneratorSettings(**expected["options"])
    found = generate(Fake(three_discs, prompt_batch=prompt_batch), np.zeros((*size, 3), np.uint8), settings)
    assert len(found) == len(expected["masks"]) > 100
    for mask, official in zip(found, expected["masks"], strict=True):
        encoded = rle.frPyObjects({"size": size, "counts": official["counts"]}, *size)
        assert mask.segmentation == {"size": size, "counts": encoded["counts"].decode()}
        assert list(mask.bbox) == official["bbox"]
        assert list(mask.crop_box) == official["crop_box"]
        assert mask.area == official["area"] == mask.mask().sum()
        assert mask.predicted_iou == pytest.approx(official["predicted_iou"], abs=1e-6)
        assert mask.stability_score == pytest.approx(official["stability_score"], abs=1e-6)
        assert [list(mask.point)] == [pytest.approx(p, abs=1e-3) for p in official["point_coords"]]


def test_the_grid_is_the_centres_of_equal_cells_row_by_row():
    assert point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    masks = generate(Fake(lambda prompt, size: (as_logits(np.ones(size, bool)), [1.0])), IMAGE, ALL)
    assert points_of(masks) == [(20, 15), (60, 15), (20, 45), (60, 45)]


def test_crops_cover_the_image_and_overlap_by_the_ratio():
    (whole, layer), *crops = crop_boxes((480, 640), 2, 512 / 1500)
    assert (whole, layer) == ((0, 0, 640, 480), 0)
    assert [layer for _, layer in crops] == [1] * 4 + [2] * 16
    for wanted in (1, 2):
        covered = np.zeros((480, 640), int)
        for (x0, y0, x1, y1), layer in crops:
            covered[y0:y1, x0:x1] += layer == wanted
        assert covered.min() == 1
    (left, _), _, (right, _), _ = crops[:4]
    assert left[2] - right[0] == int(512 / 1500 * 480)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (2, 400)])
def test_every_crop_of_a_tiny_image_has_pixels(size):
    assert all(x0 < x1 and y0 < y1 for (x0, y0, x1, y1), _ in crop_boxes(size, 3, 512 / 1500))


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(12))
def test_suppression_is_torchvisions_to_the_last_tie(threshold, seed):
    ops = pytest.importorskip("torchvision.ops")
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 8, (120, 2))
    boxes = np.concatenate([start, start + rng.integers(0, 11, (120, 2))], axis=1)  # some have no area
    scores = (rng.integers(0, 6, 120) / 5).astype(np.float32)  # many equal
    zeros = torch.zeros(120, dtype=torch.int64)
    expected = ops.batched_nms(torch.from_numpy(boxes).float(), torch.from_numpy(scores), zeros, threshold)
    assert nms(boxes, scores, threshold) == expected.tolist()


def graded(prompt, size):
    """Three alternatives apart from each other, of IoU .5, .88 and .9; the last is the least stable."""
    masks = [as_logits(rectangle(size, 20 * k, 5, 20 * k + 10, 15))[0] * 4 for k in range(3)]
    masks[2][5:15, 40:42] = 0.5
    return np.stack(masks), [0.5, 0.88, 0.9]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({}, [0.9, 0.88, 0.5]),
        ({"pred_iou_thresh": 0.7}, [0.9, 0.88]),
        ({"stability_score_thresh": 0.81}, [0.88, 0.5]),
        ({"stability_score_thresh": 0.8}, [0.9, 0.88, 0.5]),
        ({"stability_score_thresh": 0.81, "stability_score_offset": 0.25}, [0.9, 0.88, 0.5]),
    ],
)
def test_thresholds_leave_out_what_they_say(change, left):
    masks = generate(Fake(graded), IMAGE, replace(ALL, points_per_side=1, **change))
    assert [m.predicted_iou for m in masks] == pytest.approx(left)


def test_only_what_passes_by_predicted_iou_is_upsampled():
    segmenter = Fake(graded)
    generate(segmenter, IMAGE, replace(ALL, pred_iou_thresh=0.89))
    assert segmenter.upsampled == [(4, *SIZE)]
    assert segmenter.multimask == [True]


@pytest.mark.parametrize(("pixels", "at_once"), [(1, 1), (2 * SIZE[0] * SIZE[1], 2)])
def test_masks_of_a_large_image_are_upsampled_few_at_a_time_and_are_the_same(monkeypatch, pixels, at_once):
    expected = generate(Fake(three_discs), IMAGE, ALL)
    monkeypatch.setattr(generator, "PIXELS_AT_ONCE", pixels)
    segmenter = Fake(three_discs)
    assert generate(segmenter, IMAGE, ALL) == expected
    assert segmenter.upsampled == [(at_once, *SIZE)] * (12 // at_once)


def test_masks_are_encoded_one_at_a_time():
    def rule(prompt, size):  # at a tenth of the image's size
        x, y = (prompt.points[0, 0] / 10).int().tolist()
        return as_logits(rectangle((100, 150), x - 2, y - 2, x + 2, y + 2)), [1.0]

    tracemalloc.start()
    masks = generate(Fake(rule), np.zeros((1000, 1500, 3), np.uint8), replace(ALL, points_per_side=4))
    _, peak = tracemalloc.get_traced_memory()  # of numpy, and not of torch
    tracemalloc.stop()
    assert len(masks) == 16
    assert peak < 12e6  # the image, a mask and a copy of it; all masks would be 24 MB more


def test_a_mask_without_a_pixel_is_no_mask():
    empty = Fake(lambda prompt, size: (as_logits(np.zeros(size, bool)), [1.0]))
    assert generate(empty, IMAGE, ALL) == []
    assert generate(Fake(three_discs), IMAGE, replace(ALL, pred_iou_thresh=1.0)) == []


def test_a_mask_that_a_crop_cuts_off_is_left_to_the_other_crops():
    def rule(prompt, size):  # to the crop's right edge, wherever that is
        return as_logits(rectangle(size, size[1] // 2, size[0] // 2 - 5, size[1], size[0] // 2 + 5)), [1.0]

    image = np.zeros((300, 400, 3), np.uint8)
    masks = generate(Fake(rule), image, replace(ALL, points_per_side=1, crop_n_layers=1, crop_nms_thresh=1))
    right_edges = {m.crop_box[0] + m.crop_box[2] for m in masks}
    assert right_edges == {400}
    assert len(masks) == 3  # of two crops and of the whole image


def test_the_same_mask_of_two_crops_is_that_of_the_smaller():
    where = rectangle((300, 400), 180, 130, 200, 150)

    def rule(prompt, size):
        x0, y0 = offsets[size]
        return as_logits(where[y0 : y0 + size[0], x0 : x0 + size[1]]), [1.0]

    (_, _), ((x0, y0, x1, y1), _), *_ = boxes = crop_boxes((300, 400), 1, 512 / 1500)
    offsets = {(b[3] - b[1], b[2] - b[0]): b[:2] for b, _ in boxes}
    offsets[(y1 - y0, x1 - x0)] = (x0, y0)
    image = np.zeros((300, 400, 3), np.uint8)
    settings = replace(ALL, points_per_side=1, crop_n_layers=1, crop_nms_thresh=0.7)
    best = generate(Fake(rule), image, settings)[0]
    assert best.crop_box[2:] != (400, 300)
    assert best.mask()[130:150, 180:200].all()
    assert best.area == 400


def region_sizes(mask):
    """Pixels of each region of a mask, neighbours being all eight, by flood."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    sizes = []
    while left:
        edge, size = [left.pop()], 0
        while edge:
            y, x = edge.pop()
            size += 1
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        sizes.append(size)
    return sizes


@pytest.mark.parametrize("least", [0, 1, 5, 20])
def test_clean_up_leaves_no_small_hole_and_no_small_island(least):
    rng = np.random.default_rng(7)
    for _ in range(10):
        coarse = np.kron(rng.random((10, 12)) > 0.5, np.ones((4, 4), bool))
        mask = coarse ^ (rng.random(coarse.shape) > 0.96)  # some single pixels on either side
        mended, changed = clean(mask, least)
        small = min(region_sizes(mask) + region_sizes(~mask)) < least
        assert changed == small == bool((mended != mask).any())
        assert min(region_sizes(mended)) >= least
        differs = mended != mask
        assert max(region_sizes(differs & mask) + region_sizes(differs & ~mask), default=0) < max(least, 1)


def test_holes_are_filled_before_islands_are_looked_at():
    ring = rectangle(SIZE, 10, 10, 15, 15) & ~rectangle(SIZE, 11, 11, 14, 14)  # 16 pixels around 9
    solid = rectangle(SIZE, 40, 20, 60, 40)
    mended, _ = clean(ring | solid, 20)
    assert (mended == (rectangle(SIZE, 10, 10, 15, 15) | solid)).all()


def test_the_largest_island_stays_where_all_are_small():
    mask = rectangle(SIZE, 0, 0, 3, 3) | rectangle(SIZE, 10, 10, 12, 12)
    mended, changed = clean(mask, 100)
    assert changed
    assert (mended == rectangle(SIZE, 0, 0, 3, 3)).all()


def test_of_masks_that_clean_up_makes_equal_the_untouched_stays():
    solid = rectangle(SIZE, 10, 10, 40, 40)
    pierced = solid & ~rectangle(SIZE, 20, 20, 22, 22)

    def rule(prompt, size):
        return np.concatenate([as_logits(pierced | rectangle(SIZE, 70, 50, 71, 51)), as_logits(solid)]), [
            0.9,
            0.8,
        ]

    settings = replace(ALL, points_per_side=1, box_nms_thresh=0.7)
    before = generate(Fake(rule), IMAGE, settings)
    assert [m.area for m in before] == [897, 900]
    (left,) = generate(Fake(rule), IMAGE, replace(settings, min_mask_region_area=10))
    assert left == before[1]


def test_a_mended_mask_has_its_new_area_and_box():
    mask = rectangle(SIZE, 10, 10, 40, 40) & ~rectangle(SIZE, 20, 20, 22, 22) | rectangle(
        SIZE, 70, 50, 71, 51
    )
    rule = Fake(lambda prompt, size: (as_logits(mask), [0.9]))
    (mended,) = generate(rule, IMAGE, replace(ALL, points_per_side=1, min_mask_region_area=10))
    assert mended.bbox == (10, 10, 29, 29)
    assert mended.area == 900
    assert (mended.mask() == rectangle(SIZE, 10, 10, 40, 40)).all()


def test_the_batch_changes_no_mask():
    few, many = (GeneratorSettings(points_per_side=5, points_per_batch=n) for n in (1, 100))
    image = np.zeros((200, 260, 3), np.uint8)
    found = generate(Fake(three_discs, prompt_batch=3), image, few)
    assert found
    assert found == generate(Fake(three_discs), image, many)


def test_a_model_that_takes_no_points_is_told_so_before_it_encodes():
    segmenter = Fake(three_discs, capabilities=Capabilities(points=False))
    with pytest.raises(
        SambenchError, match=r"^fake: everything mode clicks on the image, but it takes no points"
    ):
        generate(segmenter, IMAGE, ALL)


def test_an_answer_that_is_no_number_is_refused():
    nan = Fake(lambda prompt, size: (as_logits(np.ones(size, bool)), [float("nan")]))
    with pytest.raises(SambenchError, match="not finite"):
        generate(nan, IMAGE, ALL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"points_per_side": 0},
        {"points_per_batch": 0},
        {"points_per_side": 3, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2},
        {"crop_n_layers": -1},
    ],
)
def test_settings_without_points_are_refused(wrong):
    with pytest.raises(SambenchError, match="leave none"):
        GeneratorSettings(**wrong)


def test_a_model_with_one_mask_a_click_gives_that_one():
    masks = generate(create("box"), IMAGE, ALL)
    assert points_of(masks) == [(20, 15), (60, 15), (20, 45), (60, 45)]
    assert all(m.mask()[int(m.point[1]), int(m.point[0])] for m in masks)


def test_seconds_and_points_are_told():
    watch, heard = Stopwatch(), []
    settings = replace(ALL, crop_n_layers=1, points_per_batch=3)
    generate(Fake(three_discs), IMAGE, settings, watch=watch, on_points=lambda *done: heard.append(done))
    assert set(watch.seconds) == {"encode", "decode", "postprocess"}
    assert all(seconds > 0 for seconds in watch.seconds.values())
    assert heard == [(n, 20) for n in (3, 4, 7, 8, 11, 12, 15, 16, 19, 20)]


def test_an_embedding_that_is_there_is_used():
    segmenter, watch = Fake(three_discs), Stopwatch()
    (embedding,) = segmenter.encode([IMAGE])
    assert generate(segmenter, IMAGE, ALL, embedding=embedding, watch=watch) == generate(
        segmenter, IMAGE, ALL
    )
    assert "encode" not in watch.seconds


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientvit_sam_l0", "efficient_sam_ti"])
def test_real_models_answer_with_masks_of_their_own(name):
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    settings = replace(ALL, pred_iou_thresh=-1, box_nms_thresh=0.7)
    masks = generate(create(name, weights="random"), image, settings)
    assert 0 < len(masks) <= 12
    assert all(m.mask().shape == (90, 120) and m.area == m.mask().sum() for m in masks)
