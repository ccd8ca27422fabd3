"""Masks, judged by pycocotools and by run lengths counted here."""

import json
import subprocess
import sys

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as rle
from pycocotools.coco import COCO

from sambench.evsam.errors import SambenchError
from sambench.suites.data.coco import CocoDataset
from sambench.suites.data.masks import decode_segmentation, decode_window, to_window

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


def decode(segmentation, size):
    return decode_segmentation(json.dumps(segmentation).encode(), size, "annotation 5 of image 3")


def refused(segmentation, size=(4, 4)):
    raw = segmentation if isinstance(segmentation, bytes) else json.dumps(segmentation).encode()
    with pytest.raises(SambenchError) as caught:
        decode_segmentation(raw, size, "annotation 5 of image 3")
    assert str(caught.value).startswith("annotation 5 of image 3: ")
    return str(caught.value)


def runs(mask):
    """Lengths of the runs of a mask, column by column, the first of them outside."""
    lengths, inside = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != inside:
            lengths.append(0)
            inside = pixel
        lengths[-1] += 1
    return lengths


def uncompressed(mask):
    return {"size": list(mask.shape), "counts": runs(mask)}


def compressed(mask):
    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


@given(MASKS)
def test_a_window_is_cut_as_from_the_whole_mask(mask):
    expected = to_window(mask)
    for encoded in (uncompressed(mask), compressed(mask)):
        window = decode_window(json.dumps(encoded).encode(), mask.shape, "annotation 5 of image 3")
        np.testing.assert_array_equal(window.pixels, expected.pixels)
        assert window.pixels.dtype == bool
        assert window.pixels.flags.c_contiguous
        assert (window.top, window.left, window.size, window.area) == (
            expected.top,
            expected.left,
            mask.shape,
            np.count_nonzero(mask),
        )


def test_runs_of_no_pixels_widen_no_window():
    """As some tools write them; pycocotools' own box of such runs is too large."""
    encoded = {"size": [4, 3], "counts": [0, 0, 2, 0, 3, 2, 1, 0, 4]}
    window = decode_window(json.dumps(encoded).encode(), (4, 3), "x")
    expected = to_window(rle.decode(rle.frPyObjects(encoded, 4, 3)).astype(bool))
    np.testing.assert_array_equal(window.pixels, expected.pixels)
    assert (window.top, window.left, window.area) == (1, 1, 2) == (expected.top, expected.left, expected.area)


@given(MASKS)
def test_both_run_length_codes_give_the_mask_back(mask):
    for encoded in (uncompressed(mask), compressed(mask)):
        pixels = decode(encoded, mask.shape)
        assert pixels.dtype == bool
        np.testing.assert_array_equal(pixels, mask)


@given(MASKS)
def test_a_code_for_the_transposed_image_is_refused_not_transposed(mask):
    size = (mask.shape[0], mask.shape[0] + mask.shape[1])
    wide = np.zeros(size, bool)
    for encoded in (uncompressed(wide), compressed(wide)):
        assert f"the image is {list(size[::-1])}" in refused(encoded, size[::-1])


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 15), st.integers(1, 9), st.integers(1, 9)),
        min_size=1,
        max_size=4,
    )
)
def test_rectangles_as_polygons_give_the_same_pixels_as_their_codes(rectangles):
    mask = np.zeros((26, 31), bool)
    polygons = []
    for x, y, w, h in rectangles:
        mask[y : y + h, x : x + w] = True
        polygons.append([x, y, x + w, y, x + w, y + h, x, y + h])
    for encoded in (polygons, uncompressed(mask), compressed(mask)):
        np.testing.assert_array_equal(decode(encoded, mask.shape), mask)


@given(
    st.lists(
        st.lists(st.floats(-5, 45, width=32), min_size=6, max_size=16).filter(lambda p: len(p) % 2 == 0),
        min_size=1,
        max_size=3,
    )
)
def test_polygons_are_rasterised_as_pycocotools_does_even_beyond_the_border(polygons):
    size = (30, 40)
    expected = np.zeros(size, bool)
    for polygon in polygons:
        expected |= rle.decode(rle.frPyObjects([polygon], *size))[:, :, 0].astype(bool)
    np.testing.assert_array_equal(decode(polygons, size), expected)


@pytest.mark.parametrize("files", ["coco_mini", "coco_mini_train", "lvis_mini"])
def test_every_mask_of_the_real_sets_is_that_of_pycocotools(files, request):
    files = request.getfixturevalue(files)
    oracle = COCO(files.annotations)
    compared = 0
    for entry in CocoDataset(*files).entries:
        for a in entry.annotations:
            pixels = decode_segmentation(a.segmentation, (entry.record.height, entry.record.width), "x")
            assert np.array_equal(pixels, oracle.annToMask(oracle.anns[a.id])), a.id
            compared += 1
    assert compared == len(oracle.anns) > 500


@pytest.mark.parametrize("encode", [uncompressed, compressed])
def test_a_code_of_another_size_is_refused_with_both_sizes(encode):
    message = refused(encode(np.zeros((4, 6), bool)), (4, 4))
    assert "size [4, 6], the image is [4, 4]" in message


@pytest.mark.parametrize("counts", [[], [15], [16, 1], [3, 4, 8]])
def test_runs_that_do_not_cover_the_image_are_refused_with_their_sum(counts):
    assert f"add up to {sum(counts)} pixels, not 16" in refused({"size": [4, 4], "counts": counts})


@pytest.mark.parametrize("pixels", [9, 15, 25])
def test_a_compressed_code_that_does_not_cover_the_image_is_refused(pixels):
    """Beyond the last run pycocotools leaves memory as it found it, so the mask would be anything."""
    other = compressed(np.eye(5, dtype=bool).ravel()[None, :pixels])
    refused({"size": [4, 4], "counts": other["counts"]})


@pytest.mark.parametrize("counts", [[4.5, 11.5], [3.9, 12.1]])
def test_runs_in_fractions_of_a_pixel_are_refused(counts):
    refused({"size": [4, 4], "counts": counts})


@pytest.mark.parametrize("counts", [[-1, 17], [20, -8, 4], [4294967296, -4294967280]])
def test_runs_of_negative_length_are_refused(counts):
    refused({"size": [4, 4], "counts": counts})


@pytest.mark.parametrize("numbers", [1, 3, 5, 7])
def test_a_polygon_of_odd_length_is_refused_with_its_length(numbers):
    assert f"a polygon has {numbers} numbers" in refused([[0, 0, 3, 0, 3, 3], [1.0] * numbers])


@given(st.lists(st.floats(-5, 45, width=32), min_size=2, max_size=4).filter(lambda p: len(p) % 2 == 0))
def test_a_part_of_fewer_points_draws_no_pixel_as_in_pycocotools(part):
    """Wherever it stands here; in pycocotools it is fatal where it comes first."""
    good, size = [3.0, 4, 30, 6, 18, 25], (30, 40)
    assert not rle.area(rle.frPyObjects([good, part], *size)[1])
    expected = decode([good], size)
    for polygons in ([good, part], [part, good], [[], good]):
        np.testing.assert_array_equal(decode(polygons, size), expected)


@pytest.mark.parametrize("parts", [[[]], [[1, 2]], [[1, 2, 3, 4]], [[1, 2, 3, 4], [5, 6]], [1, 2, 3, 4]])
def test_polygons_of_fewer_points_alone_are_refused(parts):
    """Four numbers would pass as a box in pycocotools."""
    assert "points, not three or more" in refused(parts)


def test_a_flat_list_is_one_polygon():
    flat = [3, 4, 30, 6, 18, 25.5]
    np.testing.assert_array_equal(decode(flat, (30, 40)), decode([flat], (30, 40)))


def test_whole_numbers_of_a_code_may_be_written_as_floats():
    mask = np.eye(5, 8, dtype=bool)
    for encoded in (uncompressed(mask), compressed(mask)):
        floats = {"size": [5.0, 8.0], "counts": encoded["counts"]}
        np.testing.assert_array_equal(decode(floats, (5, 8)), mask)
    counts = [float(run) for run in runs(mask)]
    np.testing.assert_array_equal(decode({"size": [5, 8], "counts": counts}, (5, 8)), mask)


@pytest.mark.parametrize(
    "garbage",
    [
        b"null",
        b"5",
        b'"abc"',
        b"{}",
        b'{"size": [4, 4]}',
        b'{"counts": [16]}',
        b'{"size": 4, "counts": [16]}',
        b'{"size": [4], "counts": [16]}',
        b'{"size": [4, 4], "counts": null}',
        b'{"size": [4, 4], "counts": 16}',
        b'{"size": [4, 4], "counts": ["a"]}',
        b'{"size": [4, 4], "counts": ""}',
        b'{"size": [4, 4], "counts": "garbage"}',
        b'{"size": [4, 4], "counts": "PPPPPP"}',
        b"[]",
        b"[1, 2, 3, 4, 5]",
        b"[1, 2, 3, 4, 5, 600]",
        b"[null]",
        b'[[1, 2, 3, 4, 5, "a"]]',
        b"[[[1, 2], [3, 4], [1, 1]]]",
        b'[{"size": [4, 4], "counts": [16]}]',
        b"[[1, 2, 3, 4, 5, 6",
        b"",
    ],
)
def test_garbage_is_refused_by_the_annotations_name(garbage):
    refused(garbage)


REFUSED_IN_LITTLE_MEMORY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from sambench.evsam.errors import SambenchError
from sambench.suites.data.masks import decode_segmentation
try:
    decode_segmentation(sys.argv[1].encode(), (4, 4), "annotation 5")
except SambenchError as error:
    print("refused:", error)
"""


ZIGZAG = [1, 2, *[1e6, -1e6] * 12]
WITHIN = [0, 0, *[3, 4, 0, 1] * 5000]


@pytest.mark.parametrize(
    "polygons", ["[[1, 2, 3, null, 5, 6]]", "[[1, 2, 3, 4e12, 5, 6]]", f"[{ZIGZAG}]", f"[{WITHIN}]"]
)
def test_coordinates_that_are_no_place_are_refused_before_they_take_the_machines_memory(polygons, request):
    """In a process of its own: pycocotools walks along each edge in C, without end on such ones."""
    child = subprocess.run(
        [sys.executable, "-c", REFUSED_IN_LITTLE_MEMORY, polygons],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert child.stdout.startswith("refused: annotation 5: "), (child.returncode, child.stderr)


@given(MASKS)
def test_a_window_has_all_pixels_and_no_row_or_column_too_many(mask):
    window = to_window(mask)
    rows, columns = np.nonzero(mask)
    assert window.size == mask.shape
    assert window.area == len(rows)
    np.testing.assert_array_equal(window.full(), mask)
    if len(rows):
        assert (window.top, window.left) == (rows.min(), columns.min())
        assert window.pixels.shape == (np.ptp(rows) + 1, np.ptp(columns) + 1)
        np.testing.assert_array_equal(mask[window.window], window.pixels)


def test_an_empty_mask_has_an_empty_window():
    window = to_window(np.zeros((4, 6), bool))
    assert window.pixels.shape == (0, 0)
    assert window.area == 0
    assert window.full().shape == (4, 6)
    assert not window.full().any()
    assert np.ones((4, 6), bool)[window.window].shape == (0, 0)
