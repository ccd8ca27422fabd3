"""What is said of a segmentation without drawing it: held against pycocotools, which draws it."""

import itertools
import json

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as rle
from pycocotools.coco import COCO

from sambench.suites.data.checks.kinds import KINDS
from sambench.suites.data.segmentation import UnfitError, compress, examine, most_outline, outline

SIZE = (40, 60)
SQUARE = [5, 10, 25, 10, 25, 22, 5, 22]
PIXELS = 40 * 60


def look(segmentation, size=SIZE):
    return examine(json.dumps(segmentation).encode(), size)


def refusal(segmentation, size=SIZE):
    raw = segmentation if isinstance(segmentation, bytes) else json.dumps(segmentation).encode()
    with pytest.raises(UnfitError) as caught:
        examine(raw, size)
    assert KINDS[caught.value.kind].severity == "error" or caught.value.kind == "no_mask"
    return caught.value.kind, caught.value.detail


def test_what_is_as_it_should_be_is_not_changed():
    found = look([SQUARE])
    assert (found.box, found.changes, found.json, found.is_rle) == ((5, 10, 20, 12), {}, None, False)


@pytest.mark.parametrize(
    ("segmentation", "changes", "instead"),
    [
        (SQUARE, {"flat_polygon": 1}, [SQUARE]),
        ([SQUARE, [1, 2, 3, 4]], {"part_dropped": 1}, [SQUARE]),
        ([[1, 2, 3, 4], [], SQUARE, [1, 2]], {"part_dropped": 3}, [SQUARE]),
        (
            {"size": [40.0, 60.0], "counts": [2399.0, 1.0]},
            {"rle_numbers": 1},
            {"size": [40, 60], "counts": [2399, 1]},
        ),
    ],
)
def test_what_was_changed_is_counted_and_comes_out_as_it_should_be(segmentation, changes, instead):
    found = look(segmentation)
    assert (found.changes, json.loads(found.json)) == (changes, instead)
    again = examine(found.json, SIZE)
    assert (again.changes, again.box) == ({}, found.box)
    assert all(KINDS[kind].severity == "mended" for kind in changes)


@pytest.mark.parametrize(
    ("segmentation", "kind", "words"),
    [
        (None, "no_mask", "segmentation is null"),
        ([], "no_mask", "segmentation is []"),
        (b"", "no_mask", "segmentation is missing"),
        ("mask.png", "damaged_rle", '"mask.png", neither polygons nor RLE'),
        (7, "damaged_rle", "7, neither polygons nor RLE"),
        ([[1, 2, 3, 4]], "bad_polygon", "2 points, not three or more"),
        ([[1, 2], [3, 4], [5, 6]], "bad_polygon", "1 points, not three or more"),
        ([SQUARE[:-1]], "bad_polygon", "7 numbers, which are no pairs"),
        ([SQUARE, [1, 2, 3]], "bad_polygon", "3 numbers, which are no pairs"),
        ([[[1, 2], [3, 4], [5, 6]]], "bad_polygon", "points are lists of their own"),
        ([[["1"]]], "bad_polygon", "points are lists of their own"),
        ([["1", "2", *SQUARE]], "bad_polygon", '"1" for a coordinate'),
        (["1", *SQUARE], "bad_polygon", '"1" for a coordinate'),
        ([[None, *SQUARE]], "bad_polygon", "null for a coordinate"),
        ([[True, *SQUARE]], "bad_polygon", "true for a coordinate"),
        ([SQUARE, 5], "bad_polygon", "5 beside polygons"),
        ([SQUARE, None], "bad_polygon", "null beside polygons"),
        ([{"x": 1, "y": 2}], "bad_polygon", "a mapping in a list"),
        ([[*SQUARE[:2], "NaN", *SQUARE[3:]]], "not_a_number", "a coordinate of a polygon"),
        (["-Infinity", *SQUARE[1:]], "not_a_number", "a coordinate of a polygon"),
        (b"[[" + b"9" * 400 + b",1,2,3,4,5]]", "bad_polygon", "more than 308 digits"),
        (b"[[1e999,1,2,3,4,5]]", "bad_polygon", "more than 308 digits"),
        (b"[" * 5000 + b"]" * 5000, "bad_polygon", "thousands deep"),
        (b'{"size":' + b"[" * 5000 + b"]" * 5000 + b"}", "damaged_rle", "thousands deep"),
        ({"size": [40, 60]}, "damaged_rle", "counts of its RLE is missing"),
        ({"size": [40, 60], "counts": None}, "damaged_rle", "counts of its RLE is null"),
        ({"counts": [2400]}, "damaged_rle", "size of its RLE is missing"),
        ({"size": [40], "counts": [2400]}, "damaged_rle", "size of its RLE is [40], not its height"),
        ({"size": "40x60", "counts": [2400]}, "damaged_rle", 'size of its RLE is "40x60"'),
        ({"size": [40, 60], "counts": 2400}, "damaged_rle", "counts of its RLE is 2400, neither"),
        ({"size": [40, 60], "counts": [["a"]]}, "damaged_rle", 'counts of its RLE is [["a"]], neither'),
        ({"size": [40, 60], "counts": [2399.5, 0.5]}, "damaged_rle", "neither text nor whole numbers"),
        ({"size": [40, 60], "counts": [2401, -1]}, "damaged_rle", "a run of its RLE has -1 pixels"),
        ({"size": [40, 60], "counts": [10**40]}, "damaged_rle", "add up to"),
        ({"size": [40, 60], "counts": "b'PPY'"}, "damaged_rle", "no text of run lengths"),
        ({"size": [40, 60], "counts": "é"}, "damaged_rle", "no text of run lengths"),
        ({"size": [40, 60], "counts": "\u20ac"}, "damaged_rle", "no text of run lengths|add up"),
        ({"size": [40, 60], "counts": "o" * 30 + "0"}, "damaged_rle", "no text of run lengths"),
        ({"size": [60, 40], "counts": [2400]}, "damaged_rle", "the image is [40, 60]: height and width exch"),
        ({"size": [50, 60], "counts": [3000]}, "damaged_rle", "of size [50, 60], the image is [40, 60]"),
        ({"size": [0, 60], "counts": []}, "damaged_rle", "its RLE is of size [0, 60]"),
    ],
)
def test_the_cause_is_named_in_our_words(segmentation, kind, words):
    found, detail = refusal(segmentation)
    assert found == kind
    assert any(part in detail for part in words.split("|")), detail
    for foreign in ("Expected", "object", "NoneType", "`", "\n"):
        assert foreign not in detail


@pytest.mark.parametrize("at", range(2))
@pytest.mark.parametrize(("beyond", "fits"), [(0, True), (0.5, False)])
@pytest.mark.parametrize("below", [True, False])
def test_corners_may_be_as_far_outside_as_the_image_is_large(at, beyond, fits, below):
    side = SIZE[1 - at]
    polygon = list(SQUARE)
    polygon[at] = -side - beyond if below else 2 * side + beyond
    if fits:
        assert look([polygon]).box
    else:
        kind, detail = refusal([polygon])
        assert (kind, f"{polygon[at]:g}" in detail) == ("bad_polygon", True)


def walk(polygon):
    """Length of an outline, edge by edge."""
    corners = list(zip(polygon[::2], polygon[1::2], strict=True))
    edges = zip(corners, [*corners[1:], corners[0]], strict=True)
    return sum(max(abs(x1 - x0), abs(y1 - y0)) for (x0, y0), (x1, y1) in edges)


@given(st.lists(st.tuples(st.integers(-60, 120), st.integers(-40, 80)), min_size=3, max_size=20))
def test_the_length_of_an_outline_is_that_of_its_edges(points):
    polygon = [float(value) for point in points for value in point]
    assert outline(polygon) == walk(polygon)


def test_an_outline_has_a_bound_however_its_length_is_made_up():
    longest = most_outline(SIZE)
    assert longest == 2 * PIXELS + 12 * 100
    there_and_back = [0, 0, 60, 0]  # 120 pixels, if closed
    most = longest // 120
    for parts in ([there_and_back * most], [there_and_back * (most // 2)] * 2):
        assert sum(map(walk, parts)) <= longest
        assert look(parts).box == (0, 0, 60, 0)
    for parts in ([there_and_back * (most + 1)], [there_and_back * (most // 2 + 1)] * 2):
        length = sum(map(walk, parts))
        assert length > longest
        kind, detail = refusal(parts)
        assert (kind, f"{length:,.0f} pixels long" in detail) == ("bad_polygon", True)


def test_the_finest_mask_is_within_the_bound():
    """A chessboard's edges, each square a part of its own: no mask has more."""
    squares = [(x, y) for x, y in itertools.product(range(60), range(40)) if (x + y) % 2 == 0]
    parts = [[x, y, x + 1, y, x + 1, y + 1, x, y + 1] for x, y in squares]
    assert sum(map(walk, parts)) == 2 * PIXELS
    assert look(parts).box == (0, 0, 60, 40)


def test_without_a_size_the_encoding_alone_is_looked_at():
    assert look([[1e9, *SQUARE[1:]]], None).box
    assert look({"size": [40, 60], "counts": [2399, 1]}, None).box == (59, 39, 1, 1)
    assert refusal([[1, 2]], None)[0] == "bad_polygon"
    assert refusal({"size": [40, 60], "counts": [3]}, None)[0] == "damaged_rle"


MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


@given(MASKS)
def test_codes_have_the_box_and_area_of_their_pixels(mask):
    code = rle.encode(np.asfortranarray(mask, np.uint8))
    flat = np.concatenate([[False], mask.T.ravel(), [not mask[-1, -1]]])
    runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat))])).tolist()
    rows, columns = np.nonzero(mask)
    for counts in (code["counts"].decode(), runs):
        found = look({"size": list(mask.shape), "counts": counts}, mask.shape)
        assert found.is_rle
        assert rle.area(compress(found.drawable)) == len(rows)
        if not len(rows):
            assert found.box is None
        else:
            x, y = columns.min(), rows.min()
            assert found.box == (x, y, columns.max() - x + 1, rows.max() - y + 1)


@pytest.mark.parametrize("files", ["coco_mini", "coco_mini_train", "lvis_mini"])
def test_boxes_of_real_data_are_those_it_was_published_with(files, request):
    annotations = request.getfixturevalue(files).annotations
    oracle = COCO(annotations)
    for a in oracle.anns.values():
        image = oracle.imgs[a["image_id"]]
        found = look(a["segmentation"], (image["height"], image["width"]))
        assert found.changes == {}
        near = 1 if found.is_rle else 0.011  # crowds are of whole pixels; others written to hundredths
        assert found.box == pytest.approx(a["bbox"], abs=near) or a["iscrowd"], a["id"]
